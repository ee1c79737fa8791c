-- The hand-over: claim and delete, then accept, then commit; {schema} is our schema's quoted name.
-- {input}, {floor}, {server}, {limit} and {asleep} are literals, since a message of several statements has no parameters.

-- name: begin
-- The server's own deadlines stand behind ours: a client that vanished must not hold the input for long.
-- It and the claim go to the server as one message, for each trip there and back is a wait. The planner is forbidden to sort:
-- it believes the outbox to be as small as VACUUM last saw it, and would sort a whole backlog for each batch of it. What that
-- makes a plan seem to cost must not have it compiled either.
BEGIN;
SET LOCAL synchronous_commit = on;
SET LOCAL idle_in_transaction_session_timeout = '10s';
SET LOCAL lock_timeout = '1s';
SET LOCAL statement_timeout = '10s';
SET LOCAL enable_sort = off;
SET LOCAL jit = off;
SELECT set_config('client_connection_check_interval', '1s', true)
WHERE current_setting('client_connection_check_interval', true) IS NOT NULL AND version() LIKE '%linux%'

-- name: claim
-- One orchestrator at a time hands an input over, so the order of each key holds. No row: somebody else is at it.
-- Never by cursor: a row that commits late has a low seq, and {floor} is below those that still may. It holds on the server
-- where it was found out. What somebody has locked is not taken, but seen: `first` is the lowest seq of all. MATERIALIZED,
-- because a plan may run a subquery more than once.
WITH turn AS MATERIALIZED (
    SELECT own.asleep, pg_snapshot_xmin(now.seen)::text::bigint AS oldest, here.server,
           CASE here.server WHEN {server} THEN {floor} ELSE 0 END AS low
    FROM {schema}.input AS own, pg_current_snapshot() AS now (seen),
         LATERAL (SELECT extract(epoch FROM pg_postmaster_start_time())::text) AS here (server)
    WHERE own.name = {input} FOR UPDATE OF own SKIP LOCKED
), batch AS MATERIALIZED (
    SELECT ctid FROM {schema}.outbox WHERE input = {input} AND seq >= (SELECT low FROM turn)
    ORDER BY seq LIMIT {limit} FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM {schema}.outbox AS o USING batch WHERE o.ctid = batch.ctid
    RETURNING o.seq, o.uid::text, o.op, o.location, o.id, o.key, o.payload::text,
              (extract(epoch FROM o.at) * 1000000)::bigint AS at
)
SELECT asleep, oldest, pg_current_xact_id()::text::bigint AS own, server,
       (SELECT min(seq) FROM {schema}.outbox WHERE input = {input} AND seq >= (SELECT low FROM turn)) AS first,
       seq, uid, op, location, id, key, payload, at
FROM turn LEFT JOIN gone ON true ORDER BY seq

-- name: set_asleep
UPDATE {schema}.input SET asleep = {asleep} WHERE name = {input} AND asleep <> {asleep}

-- name: backlog
-- How much waits to be handed over, counted up to a bound, and for how many seconds the oldest has waited.
SELECT (SELECT count(*) FROM (SELECT FROM {schema}.outbox WHERE input = %(input)s LIMIT 100000) AS waiting),
       coalesce(extract(epoch FROM clock_timestamp() - (
           SELECT at FROM {schema}.outbox WHERE input = %(input)s ORDER BY seq LIMIT 1)), 0)::float8

-- name: limits
-- For a page of the backfill: writers wait for it, so it waits for them only shortly.
SET LOCAL lock_timeout = '2s';
SET LOCAL statement_timeout = '10s'

-- name: backfill_page
SELECT {schema}.backfill_page(%(input)s, %(relation)s::oid, %(location)s, %(page)s)

-- name: backfilled
-- The tables whose backfill is done.
SELECT location FROM {schema}.backfill WHERE input = %(input)s AND done_at IS NOT NULL

-- name: restart_backfill
DELETE FROM {schema}.backfill WHERE input = %(input)s AND location = ANY (%(locations)s)
