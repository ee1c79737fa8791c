-- Statements of the installation around those that create the objects; {schema} is our schema's quoted name.
-- The other names in braces of write_row are literals.

-- name: take_turn
-- Installers come one after the other: CREATE OR REPLACE FUNCTION in two sessions at once fails for one of them.
SELECT pg_advisory_xact_lock(hashtextextended('orchestrator-postgres ' || %(schema)s, 0))

-- name: look_again
-- Waiting for an advisory lock does not make a session see what was created meanwhile: its catalogue cache still says that it
-- is not there, and CREATE ... IF NOT EXISTS fails. Locking any table does.
SELECT FROM pg_namespace LIMIT 1

-- name: write_row
INSERT INTO {schema}.input (name, options, version, columns, changed, condition, key_only, max_payload, channel)
VALUES ({name}, {options}, {version}, {columns}, {changed}, {condition}, {key_only}, {max_payload}, {channel})
ON CONFLICT (name) DO UPDATE SET
    options = excluded.options, version = excluded.version, columns = excluded.columns, changed = excluded.changed,
    condition = excluded.condition, key_only = excluded.key_only, max_payload = excluded.max_payload, channel = excluded.channel

-- name: blockers
-- Who holds a table against the installation.
SELECT coalesce(string_agg(format('process %%s (%%s, open since %%s)', a.pid, coalesce(nullif(a.application_name, ''), a.usename),
                                  to_char(a.xact_start, 'HH24:MI:SS')), ', '), 'nobody any more')
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.relation = %(table)s::regclass AND l.granted AND l.mode <> 'AccessShareLock' AND a.pid <> pg_backend_pid()
