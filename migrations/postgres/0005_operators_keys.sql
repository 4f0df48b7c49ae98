-- What operators' changes were answered with, under their Idempotency-Key, for a day.

create table operator_keys (
    -- Keyed hash of the key and of the call it came with; the key itself is nowhere.
    hash bytea primary key check (octet_length(hash) = 32),
    fingerprint bytea not null check (octet_length(fingerprint) = 32),
    -- Its entry in the audit trail.
    entry uuid not null,
    -- Sealed by the gateway, for it may hold an API key; null only until its transaction ends.
    answer bytea,
    created_at timestamptz not null default now()
);
create index operator_keys_by_age on operator_keys (created_at);
