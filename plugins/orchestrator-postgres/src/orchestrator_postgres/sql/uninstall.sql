-- The way out; {schema} is our schema's quoted name.

-- name: count
SELECT count(*) FROM {schema}.outbox WHERE input = %(input)s

-- name: forget
-- Once the triggers are gone nobody writes rows of this input any more.
WITH rows AS (DELETE FROM {schema}.outbox WHERE input = %(input)s),
     pages AS (DELETE FROM {schema}.backfill WHERE input = %(input)s)
DELETE FROM {schema}.input WHERE name = %(input)s

-- name: others
SELECT name FROM {schema}.input WHERE name <> %(input)s ORDER BY name

-- name: functions
SELECT format('DROP FUNCTION %%s', p.oid::regprocedure) FROM pg_proc AS p WHERE p.pronamespace = %(schema)s::regnamespace
ORDER BY p.prorettype = 'trigger'::regtype DESC, p.oid DESC

-- name: tables
DROP TABLE {schema}.outbox, {schema}.backfill, {schema}.input

-- name: left
-- What is in the schema besides the objects of inputs: `applied` of postgres.sql, or something of the user's.
SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = %(schema)s::regnamespace
AND c.relname NOT IN ('outbox', 'backfill', 'input') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i'))

-- name: applied
DROP TABLE {schema}.applied

-- name: comment
COMMENT ON SCHEMA {schema} IS NULL

-- name: schema
DROP SCHEMA {schema}
