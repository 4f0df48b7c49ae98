-- Gateways that live: one leased row each, written every few seconds. Limits are shared by their number while Redis is out of reach.

create table gateways (
    id uuid primary key,
    expires_at timestamptz not null
) with (fillfactor = 50);
