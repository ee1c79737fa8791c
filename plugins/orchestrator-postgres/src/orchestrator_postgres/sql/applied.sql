-- What makes the effect of postgres.sql exactly-once: a row for each delivery, in the transaction of its work.

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS {schema}

-- name: create_applied
CREATE TABLE IF NOT EXISTS {schema}.applied (
    delivery_id text PRIMARY KEY,
    output      json,
    at          timestamptz NOT NULL DEFAULT clock_timestamp()
)

-- name: create_applied_at
CREATE INDEX IF NOT EXISTS applied_at ON {schema}.applied (at)

-- name: grants
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.applied TO {role}

-- name: exists
-- Whether it is there, and whether this role may do all with it that it has to.
SELECT a IS NOT NULL, has_table_privilege(a, 'SELECT') AND has_table_privilege(a, 'INSERT')
                      AND has_table_privilege(a, 'UPDATE') AND has_table_privilege(a, 'DELETE')
FROM to_regclass(%(table)s) AS a

-- name: begin
-- A statement whose client has gone is stopped, so that it does not hold up the next attempt (Postgres 14 and newer, on Linux).
BEGIN;
SET LOCAL synchronous_commit = on;
SELECT set_config('client_connection_check_interval', '1s', true)
WHERE current_setting('client_connection_check_interval', true) IS NOT NULL AND version() LIKE '%linux%'

-- name: limit
SELECT set_config('statement_timeout', %(milliseconds)s, true)

-- name: record
-- Waits for another attempt of the same delivery that is still under way, then sees whether it committed.
INSERT INTO {schema}.applied (delivery_id) VALUES (%(delivery_id)s) ON CONFLICT DO NOTHING RETURNING true

-- name: output
SELECT output::text FROM {schema}.applied WHERE delivery_id = %(delivery_id)s

-- name: keep_output
UPDATE {schema}.applied SET output = %(output)s WHERE delivery_id = %(delivery_id)s

-- name: prune
DELETE FROM {schema}.applied WHERE delivery_id IN (
    SELECT delivery_id FROM {schema}.applied WHERE at < clock_timestamp() - %(keep)s ORDER BY at LIMIT 1000
    FOR UPDATE SKIP LOCKED)
