-- Generations (the customer's record), what is live about them (work), their tries, the workers, and the idempotency keys.

create table generations (
    id uuid primary key,
    account_id uuid not null,
    tier text not null,
    -- domain::request::GenerationRequest as JSON.
    request jsonb not null,
    -- 'open' until it ends: what an open one is doing, its work row says.
    status text not null default 'open' check (status in ('open', 'succeeded', 'failed', 'canceled')),
    -- Taken at acceptance: how much, from which bucket, of which month.
    cost bigint not null check (cost in (0, 1)),
    bucket text check (bucket in ('granted', 'purchased')),
    month integer not null,
    attempts integer not null default 0,
    output jsonb,
    error_code text,
    error_message text,
    created_at timestamptz not null,
    started_at timestamptz,
    rendering_at timestamptz,
    finished_at timestamptz,
    cancel_after timestamptz not null,
    version integer not null default 1,
    started_version integer,
    rendering_version integer,
    retry_of uuid,
    -- W3C traceparent of the submission.
    trace text,
    check ((status = 'open') = (finished_at is null)),
    check ((status = 'succeeded') = (output is not null)),
    check ((status in ('failed', 'canceled')) = (error_code is not null)),
    check ((cost = 0) = (bucket is null))
) with (fillfactor = 70);
create index generations_of_account on generations (account_id, id);

-- One narrow row for each generation that has not ended (and for each cancel that the upstream has still to be told of).
create table work (
    generation_id uuid primary key,
    account_id uuid not null,
    tier text not null,
    state text not null default 'ready' check (state in ('ready', 'backoff', 'submitting', 'rendering', 'closing')),
    tag bigint not null,
    share integer not null check (share >= 1),
    run_after timestamptz not null,
    deadline timestamptz not null,
    attempts integer not null default 0,
    crashes integer not null default 0,
    fence bigint not null default 0,
    owner uuid,
    -- The token's lease is recorded here and nowhere else.
    lease_id uuid,
    token_id uuid,
    -- The token of a submission whose answer was lost.
    in_doubt uuid,
    upstream_id text,
    claimed_at timestamptz,
    created_at timestamptz not null,
    started_at timestamptz,
    rendering_at timestamptz,
    version integer not null default 1,
    started_version integer,
    rendering_version integer,
    -- A worker claims only what it knows.
    format smallint not null default 1,
    check ((state in ('submitting', 'rendering', 'closing')) = (owner is not null)),
    check ((owner is null) = (lease_id is null)),
    check ((lease_id is null) = (token_id is null))
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
-- The claim's order; nothing but what is due is in it.
create index work_ready on work (tag, generation_id) where state = 'ready';
-- An account's last tag, its backlog and its position.
create index work_waiting_of_account on work (account_id, tag) where state in ('ready', 'backoff');
-- What an account has under way, for what is reserved.
create index work_held_of_account on work (account_id) where state in ('submitting', 'rendering');
create index work_backoff on work (run_after) where state = 'backoff';
create index work_of_owner on work (owner) where owner is not null;
-- What a renewal returns: few rows, however much the owner holds.
create index work_closing on work (owner) where state = 'closing';
create index work_deadline on work (deadline) where state <> 'closing';

-- The job history that operators see, bounded by count.
create table attempts (
    generation_id uuid not null,
    fence bigint not null,
    tier text not null,
    worker_id uuid,
    token_id uuid,
    upstream_id text,
    outcome text not null check (outcome in ('succeeded', 'failed', 'retried', 'returned', 'adopted', 'canceled')),
    error text,
    -- From acceptance to the first claim.
    waited_seconds double precision,
    started_at timestamptz,
    ended_at timestamptz not null default now(),
    primary key (generation_id, fence)
);
create index attempts_by_end on attempts (outcome, ended_at);

create table idempotency_keys (
    account_id uuid not null,
    key text not null,
    fingerprint bytea not null check (octet_length(fingerprint) = 32),
    generation_id uuid not null,
    created_at timestamptz not null,
    primary key (account_id, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);

create table workers (
    id uuid primary key,
    name text not null,
    version text not null,
    state text not null default 'alive' check (state in ('alive', 'dead')),
    slots integer not null,
    active integer not null default 0,
    rendering integer not null default 0,
    draining boolean not null default false,
    drain_asked boolean not null default false,
    started_at timestamptz not null default now(),
    renewed_at timestamptz not null default now(),
    expires_at timestamptz not null
) with (fillfactor = 50);
create index workers_alive on workers (expires_at) where state = 'alive';

-- One row: virtual time, the pause switch, and until when the token pool is dry.
create table scheduler (
    one boolean primary key default true check (one),
    greatest_tag bigint not null default 0,
    paused boolean not null default false,
    dry_until timestamptz
) with (fillfactor = 10);
insert into scheduler default values;
