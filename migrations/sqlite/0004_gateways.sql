-- Gateways that live: one leased row each, written every few seconds. Limits are shared by their number while Redis is out of reach.
-- Twin of postgres/0004_gateways.sql. Ids are 16-byte blobs, moments are microseconds since 1970 bound by the adapter.

create table gateways (
    id blob primary key not null,
    expires_at integer not null
) strict;
