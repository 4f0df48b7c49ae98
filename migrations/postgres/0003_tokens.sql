-- The token pool: sealed secrets and who leads. A lease is no row of its own: the work row names it.

create table tokens (
    id uuid primary key,
    label text,
    -- XChaCha20-Poly1305 under a data key of its own, wrapped by the named encryption key, bound to the row.
    key_id text not null,
    wrapped_key bytea not null,
    ciphertext bytea not null,
    fingerprint bytea not null unique check (octet_length(fingerprint) = 32),
    max_concurrency integer not null check (max_concurrency >= 1),
    requests_per_minute integer check (requests_per_minute >= 1),
    expires_at timestamptz,
    state text not null default 'usable' check (state in ('usable', 'cooling', 'quarantined', 'exhausted', 'disabled')),
    until timestamptz,
    reason text,
    created_at timestamptz not null default now()
);

create table pool_leader (
    one boolean primary key default true check (one),
    replica uuid,
    address text not null default '',
    epoch bigint not null default 0,
    expires_at timestamptz not null default '-infinity'
);
insert into pool_leader default values;
