-- What there is: the server, our objects, the tables and our triggers on them. Reads the catalogue only.

-- name: server
SELECT current_setting('server_version_num')::int, pg_is_in_recovery() OR current_setting('transaction_read_only')::bool,
       current_setting('fsync') = 'on', current_setting('max_prepared_transactions')::int, current_database(), current_user

-- name: version
-- The version of our objects, null without the schema; and the input's row as text.
SELECT obj_description(n.oid, 'pg_namespace'), to_regclass(%(schema)s || '.input') IS NOT NULL, to_regclass(%(schema)s || '.outbox') IS NOT NULL
FROM pg_namespace AS n WHERE n.nspname = %(name)s

-- name: input
SELECT options::text, version, columns, changed, condition, key_only, max_payload, channel FROM {schema}.input WHERE name = %(input)s

-- name: functions
-- Our functions, to be compared with those that we would create.
SELECT p.proname, p.prosrc, p.prosecdef, coalesce(p.proconfig, '{}'), has_function_privilege('public', p.oid, 'EXECUTE')
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = %(name)s

-- name: tables
-- Ordinary and partitioned tables of users, with what decides how they are watched.
SELECT c.oid::int8, n.nspname, c.relname, c.relkind = 'p', c.relispartition, c.relkind = 'r' AND inherits.has,
       CASE WHEN c.relispartition THEN root.place END
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent)) AS has
) AS inherits
LEFT JOIN LATERAL (
    SELECT rn.nspname || '.' || rc.relname AS place FROM pg_class AS rc JOIN pg_namespace AS rn ON rn.oid = rc.relnamespace
    WHERE rc.oid = pg_partition_root(c.oid)
) AS root ON c.relispartition
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', %(name)s) AND n.nspname NOT LIKE 'pg\_%%'
ORDER BY 2, 3

-- name: keys
-- The key's columns of some tables: of the replica identity index, else of the primary key.
SELECT i.indrelid::int8, array_agg(a.attname::text ORDER BY part.place)
FROM (SELECT DISTINCT ON (indrelid) indrelid, indkey, indnkeyatts FROM pg_index
      WHERE indrelid = ANY (%(tables)s::oid[]) AND (indisreplident OR indisprimary) AND indisvalid
      ORDER BY indrelid, indisreplident DESC) AS i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS part (attnum, place)
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = part.attnum
WHERE part.place <= i.indnkeyatts
GROUP BY i.indrelid

-- name: triggers
-- Our triggers, those that a partition has from its root left out.
SELECT t.tgrelid::int8, n.nspname, c.relname, t.tgname, t.tgenabled::text, p.proname, t.tgtype::int,
       string_to_array(convert_from(decode(replace(replace(regexp_replace(encode(t.tgargs, 'hex'), '(..)', '\1 ', 'g'),
           '00 ', '1f '), ' ', ''), 'hex'), getdatabaseencoding()), chr(31))
FROM pg_trigger AS t
JOIN pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_namespace AS own ON own.oid = p.pronamespace AND own.nspname = %(name)s
JOIN pg_class AS c ON c.oid = t.tgrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE t.tgparentid = 0 AND NOT t.tgisinternal
