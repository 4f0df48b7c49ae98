-- What operators' changes were answered with, under their Idempotency-Key, for a day.
-- Twin of postgres/0005_operators_keys.sql.

create table operator_keys (
    -- Keyed hash of the key and of the call it came with; the key itself is nowhere.
    hash blob primary key not null check (length(hash) = 32),
    fingerprint blob not null check (length(fingerprint) = 32),
    -- Its entry in the audit trail.
    entry blob not null,
    -- Sealed by the gateway, for it may hold an API key; null only until its transaction ends.
    answer blob,
    created_at integer not null
) strict;
create index operator_keys_by_age on operator_keys (created_at);
