-- Accounts, their keys, and the append-only credit ledger.
-- Twin of postgres/0001_accounts_and_credits.sql. Ids are 16-byte blobs, moments are microseconds since 1970 bound by the adapter, JSON is text.

create table accounts (
    id blob primary key not null,
    name text not null,
    email text,
    tier text not null check (tier in ('free', 'pro', 'premium', 'enterprise', 'system')),
    status text not null default 'active' check (status in ('active', 'suspended')),
    overrides text not null default '{}',
    -- The purse: domain::credits says what moves between these.
    granted integer not null default 0 check (granted >= 0),
    purchased integer not null default 0 check (purchased >= 0),
    month integer not null default 0,
    granted_in_month integer not null default 0 check (granted_in_month >= 0),
    used integer not null default 0 check (used >= 0),
    created_at integer not null
) strict;

-- Found at every gateway's start, among however many accounts.
create index accounts_system on accounts (tier) where tier = 'system';

create table api_keys (
    id blob primary key not null,
    account_id blob not null references accounts (id),
    name text not null,
    prefix text not null,
    -- Keyed hash; the key itself is nowhere.
    hash blob not null unique check (length(hash) = 32),
    created_at integer not null,
    expires_at integer,
    revoked_at integer
) strict;
create index api_keys_of_account on api_keys (account_id);

create table credit_entries (
    account_id blob not null,
    id blob not null,
    kind text not null check (kind in ('grant', 'top_up', 'debit', 'refund', 'lapse')),
    bucket text not null check (bucket in ('granted', 'purchased')),
    -- Signed: debits and lapses are negative.
    amount integer not null check (amount <> 0 and (amount < 0) = (kind in ('debit', 'lapse'))),
    generation_id blob,
    reason text,
    created_at integer not null,
    primary key (account_id, id),
    check ((kind in ('debit', 'refund')) <= (generation_id is not null))
) strict;
-- One debit and one refund a generation, whoever writes.
create unique index credit_entries_once on credit_entries (generation_id, kind) where generation_id is not null;

create table audit (
    id blob primary key not null,
    actor text not null,
    action text not null,
    subject text,
    address text,
    request_id text not null,
    created_at integer not null
) strict;
