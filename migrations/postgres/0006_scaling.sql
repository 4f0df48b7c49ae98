-- Scaling: which share of its CPU a worker uses, told with its renewals; and the autoscaler's one row: who leads, and what was last decided.

alter table workers add column cpu double precision check (cpu >= 0);

create table scaling (
    one boolean primary key default true check (one),
    replica uuid,
    epoch bigint not null default 0,
    expires_at timestamptz not null default '-infinity',
    -- domain::scaling::Standing as JSON, and when it was written.
    standing jsonb,
    recorded_at timestamptz,
    check ((standing is null) = (recorded_at is null))
) with (fillfactor = 50);
insert into scaling default values;
