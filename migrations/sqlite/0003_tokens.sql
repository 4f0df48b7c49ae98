-- The token pool: sealed secrets and who leads. A lease is no row of its own: the work row names it.
-- Twin of postgres/0003_tokens.sql. Ids are 16-byte blobs, moments are microseconds since 1970 bound by the adapter, JSON is text.

create table tokens (
    id blob primary key not null,
    label text,
    -- XChaCha20-Poly1305 under a data key of its own, wrapped by the named encryption key, bound to the row.
    key_id text not null,
    wrapped_key blob not null,
    ciphertext blob not null,
    fingerprint blob not null unique check (length(fingerprint) = 32),
    max_concurrency integer not null check (max_concurrency >= 1),
    requests_per_minute integer check (requests_per_minute >= 1),
    expires_at integer,
    state text not null default 'usable' check (state in ('usable', 'cooling', 'quarantined', 'exhausted', 'disabled')),
    until integer,
    reason text,
    created_at integer not null
) strict;

create table pool_leader (
    one integer primary key default 1 check (one = 1),
    replica blob,
    address text not null default '',
    epoch integer not null default 0,
    expires_at integer not null default 0
) strict;
insert into pool_leader default values;
