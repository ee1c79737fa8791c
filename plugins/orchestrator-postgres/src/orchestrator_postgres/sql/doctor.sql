-- What the doctor looks at beside the catalogue; {schema} is our schema's quoted name.

-- name: rights
SELECT right_name, has FROM (VALUES
    ('SELECT on outbox', has_table_privilege(%(schema)s || '.outbox', 'SELECT')),
    ('DELETE on outbox', has_table_privilege(%(schema)s || '.outbox', 'DELETE')),
    ('UPDATE (seq) on outbox', has_column_privilege(%(schema)s || '.outbox', 'seq', 'UPDATE')),
    ('SELECT on input', has_table_privilege(%(schema)s || '.input', 'SELECT')),
    ('UPDATE (asleep) on input', has_column_privilege(%(schema)s || '.input', 'asleep', 'UPDATE')),
    ('EXECUTE on claim', coalesce(has_function_privilege(
        to_regprocedure(%(schema)s || '.claim(text, bigint, text, integer)'), 'EXECUTE'), false))
) AS needed (right_name, has)

-- name: superusers
SELECT DISTINCT r.rolname FROM pg_proc AS p JOIN pg_roles AS r ON r.oid = p.proowner
WHERE p.pronamespace = %(schema)s::regnamespace AND p.prosecdef AND r.rolsuper

-- name: old_transactions
SELECT pid, coalesce(nullif(application_name, ''), usename, backend_type), extract(epoch FROM clock_timestamp() - xact_start)::float8
FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND xact_start < clock_timestamp() - make_interval(secs => %(seconds)s)
AND pid <> pg_backend_pid() ORDER BY xact_start
