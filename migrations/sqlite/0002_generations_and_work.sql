-- Generations (the customer's record), what is live about them (work), their tries, the workers, and the idempotency keys.
-- Twin of postgres/0002_generations_and_work.sql. Ids are 16-byte blobs, moments are microseconds since 1970 bound by the adapter, JSON is text.

create table generations (
    id blob primary key not null,
    account_id blob not null,
    tier text not null,
    -- domain::request::GenerationRequest as JSON.
    request text not null,
    -- 'open' until it ends: what an open one is doing, its work row says.
    status text not null default 'open' check (status in ('open', 'succeeded', 'failed', 'canceled')),
    -- Taken at acceptance: how much, from which bucket, of which month.
    cost integer not null check (cost in (0, 1)),
    bucket text check (bucket in ('granted', 'purchased')),
    month integer not null,
    attempts integer not null default 0,
    output text,
    error_code text,
    error_message text,
    created_at integer not null,
    started_at integer,
    rendering_at integer,
    finished_at integer,
    cancel_after integer not null,
    version integer not null default 1,
    started_version integer,
    rendering_version integer,
    retry_of blob,
    -- W3C traceparent of the submission.
    trace text,
    check ((status = 'open') = (finished_at is null)),
    check ((status = 'succeeded') = (output is not null)),
    check ((status in ('failed', 'canceled')) = (error_code is not null)),
    check ((cost = 0) = (bucket is null))
) strict;
create index generations_of_account on generations (account_id, id);

-- One narrow row for each generation that has not ended (and for each cancel that the upstream has still to be told of).
create table work (
    generation_id blob primary key not null,
    account_id blob not null,
    tier text not null,
    state text not null default 'ready' check (state in ('ready', 'backoff', 'submitting', 'rendering', 'closing')),
    tag integer not null,
    share integer not null check (share >= 1),
    run_after integer not null,
    deadline integer not null,
    attempts integer not null default 0,
    crashes integer not null default 0,
    fence integer not null default 0,
    owner blob,
    -- The token's lease is recorded here and nowhere else.
    lease_id blob,
    token_id blob,
    -- The token of a submission whose answer was lost.
    in_doubt blob,
    upstream_id text,
    claimed_at integer,
    created_at integer not null,
    started_at integer,
    rendering_at integer,
    version integer not null default 1,
    started_version integer,
    rendering_version integer,
    -- A worker claims only what it knows.
    format integer not null default 1,
    check ((state in ('submitting', 'rendering', 'closing')) = (owner is not null)),
    check ((owner is null) = (lease_id is null)),
    check ((lease_id is null) = (token_id is null))
) strict;
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
    generation_id blob not null,
    fence integer not null,
    tier text not null,
    worker_id blob,
    token_id blob,
    upstream_id text,
    outcome text not null check (outcome in ('succeeded', 'failed', 'retried', 'returned', 'adopted', 'canceled')),
    error text,
    -- From acceptance to the first claim.
    waited_seconds real,
    started_at integer,
    ended_at integer not null,
    primary key (generation_id, fence)
) strict;
create index attempts_by_end on attempts (outcome, ended_at);

create table idempotency_keys (
    account_id blob not null,
    key text not null,
    fingerprint blob not null check (length(fingerprint) = 32),
    generation_id blob not null,
    created_at integer not null,
    primary key (account_id, key)
) strict;
create index idempotency_keys_by_age on idempotency_keys (created_at);

create table workers (
    id blob primary key not null,
    name text not null,
    version text not null,
    state text not null default 'alive' check (state in ('alive', 'dead')),
    slots integer not null,
    active integer not null default 0,
    rendering integer not null default 0,
    draining integer not null default 0,
    drain_asked integer not null default 0,
    started_at integer not null,
    renewed_at integer not null,
    expires_at integer not null
) strict;
create index workers_alive on workers (expires_at) where state = 'alive';

-- One row: virtual time, the pause switch, and until when the token pool is dry.
create table scheduler (
    one integer primary key default 1 check (one = 1),
    greatest_tag integer not null default 0,
    paused integer not null default 0,
    dry_until integer
) strict;
insert into scheduler default values;
