-- What a role needs that runs a pipeline and owns nothing; {schema} and {role} are quoted names. Nothing on the user's tables.

-- name: usage
GRANT USAGE ON SCHEMA {schema} TO {role}

-- name: outbox
-- Locking a row needs the right to update one of its columns.
GRANT SELECT, DELETE, UPDATE (seq) ON {schema}.outbox TO {role}

-- name: input
GRANT SELECT, UPDATE (asleep) ON {schema}.input TO {role}

-- name: backfill
GRANT SELECT, DELETE ON {schema}.backfill TO {role}

-- name: backfill_page
GRANT EXECUTE ON FUNCTION {schema}.backfill_page(text, oid, text, integer) TO {role}

-- name: claim
GRANT EXECUTE ON FUNCTION {schema}.claim(text, bigint, text, integer) TO {role}
