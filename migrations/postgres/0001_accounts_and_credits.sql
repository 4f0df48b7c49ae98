-- Accounts, their keys, and the append-only credit ledger.

create table accounts (
    id uuid primary key,
    name text not null,
    email text,
    tier text not null check (tier in ('free', 'pro', 'premium', 'enterprise', 'system')),
    status text not null default 'active' check (status in ('active', 'suspended')),
    overrides jsonb not null default '{}',
    -- The purse: domain::credits says what moves between these.
    granted bigint not null default 0 check (granted >= 0),
    purchased bigint not null default 0 check (purchased >= 0),
    month integer not null default 0,
    granted_in_month bigint not null default 0 check (granted_in_month >= 0),
    used bigint not null default 0 check (used >= 0),
    created_at timestamptz not null default now()
) with (fillfactor = 80);

-- Found at every gateway's start, among however many accounts.
create index accounts_system on accounts (tier) where tier = 'system';

create table api_keys (
    id uuid primary key,
    account_id uuid not null references accounts (id),
    name text not null,
    prefix text not null,
    -- Keyed hash; the key itself is nowhere.
    hash bytea not null unique check (octet_length(hash) = 32),
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
create index api_keys_of_account on api_keys (account_id);

create table credit_entries (
    account_id uuid not null,
    id uuid not null,
    kind text not null check (kind in ('grant', 'top_up', 'debit', 'refund', 'lapse')),
    bucket text not null check (bucket in ('granted', 'purchased')),
    -- Signed: debits and lapses are negative.
    amount bigint not null check (amount <> 0 and (amount < 0) = (kind in ('debit', 'lapse'))),
    generation_id uuid,
    reason text,
    created_at timestamptz not null default now(),
    primary key (account_id, id),
    check ((kind in ('debit', 'refund')) <= (generation_id is not null))
);
-- One debit and one refund a generation, whoever writes.
create unique index credit_entries_once on credit_entries (generation_id, kind) where generation_id is not null;

create table audit (
    id uuid primary key,
    actor text not null,
    action text not null,
    subject text,
    address text,
    request_id text not null,
    created_at timestamptz not null default now()
);
