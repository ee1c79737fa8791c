-- The hand-over: claim and delete, then accept, then commit; {schema} is our schema's quoted name.
-- {input}, {floor}, {server}, {limit} and {asleep} are literals, since a message of several statements has no parameters.

-- name: begin
-- The server's own deadlines stand behind ours: a client that vanished must not hold the input for long.
-- It and the claim go to the server as one message, for each trip there and back is a wait.
BEGIN;
SET LOCAL synchronous_commit = on;
SET LOCAL idle_in_transaction_session_timeout = '10s';
SET LOCAL lock_timeout = '1s';
SET LOCAL statement_timeout = '10s';
SELECT set_config('client_connection_check_interval', '1s', true)
WHERE current_setting('client_connection_check_interval', true) IS NOT NULL AND version() LIKE '%linux%'

-- name: claim
SELECT * FROM {schema}.claim({input}, {floor}, {server}, {limit})

-- name: set_asleep
UPDATE {schema}.input SET asleep = {asleep} WHERE name = {input} AND asleep <> {asleep}

-- name: backlog
-- How much waits to be handed over, counted up to a bound, and for how many seconds the oldest has waited.
SELECT (SELECT count(*) FROM (SELECT FROM {schema}.outbox WHERE input = %(input)s LIMIT 100000) AS waiting),
       coalesce(extract(epoch FROM clock_timestamp() - (
           SELECT at FROM {schema}.outbox WHERE input = %(input)s ORDER BY seq LIMIT 1)), 0)::float8

-- name: limits
-- For a page of the backfill: writers wait for it, so it waits for them only shortly. Two that wait for each other for
-- deadlock_timeout, 1 s, lose one of them to the server, be it the writer; and it may wait for several in a row meanwhile.
SET LOCAL lock_timeout = '250ms';
SET LOCAL statement_timeout = '10s'

-- name: backfill_page
SELECT {schema}.backfill_page(%(input)s, %(relation)s::oid, %(location)s, %(page)s)

-- name: backfilled
-- The tables whose backfill is done.
SELECT location FROM {schema}.backfill WHERE input = %(input)s AND done_at IS NOT NULL

-- name: restart_backfill
DELETE FROM {schema}.backfill WHERE input = %(input)s AND location = ANY (%(locations)s)
