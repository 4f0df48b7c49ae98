-- Scaling: which share of its CPU a worker uses, told with its renewals; and the autoscaler's one row: who leads, and what was last decided.
-- Twin of postgres/0006_scaling.sql. Ids are 16-byte blobs, moments are microseconds since 1970 bound by the adapter.

alter table workers add column cpu real check (cpu >= 0);

create table scaling (
    one integer primary key default 1 check (one = 1),
    replica blob,
    epoch integer not null default 0,
    expires_at integer not null default 0,
    -- domain::scaling::Standing as JSON, and when it was written.
    standing text,
    recorded_at integer,
    check ((standing is null) = (recorded_at is null))
) strict;
insert into scaling default values;
