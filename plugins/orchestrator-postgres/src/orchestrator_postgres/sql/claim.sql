-- How the rows of an input are taken; {schema} is our schema's quoted name.

-- name: create_claim
-- Deletes the next rows of an input and returns them, or one row without them: with whether the reader sleeps, the oldest
-- transaction that runs, its own, the server, and the lowest seq of all, taken or not. No row: somebody else is at it, for one
-- orchestrator at a time hands an input over, so that the order of each key holds.
-- Never by cursor: a row that commits late has a low seq, and the floor is below those that still may. It holds on the server
-- where it was found out. What somebody has locked is not taken, but seen. MATERIALIZED, because a plan may run a subquery more
-- than once. A function, because a session need not plan what is in it each time. The planner is forbidden to sort and to
-- hash: it believes the outbox to be as small as ANALYZE last saw it, and would read a whole backlog for each batch of it, be
-- it to put it in order or to find what is deleted. What that makes a plan seem to cost must not have it compiled either.
CREATE OR REPLACE FUNCTION {schema}.claim(watched text, floor bigint, found_on text, most integer) RETURNS TABLE (
    asleep boolean, oldest bigint, own bigint, server text, first bigint,
    seq bigint, uid uuid, op text, location text, id text, at bigint, key text, payload json
) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_sort = off SET enable_hashjoin = off SET jit = off AS $function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH turn AS MATERIALIZED (
        SELECT i.asleep, pg_snapshot_xmin(now.seen)::text::bigint AS oldest, here.server,
               CASE here.server WHEN found_on THEN floor ELSE 0 END AS low
        FROM {schema}.input AS i, pg_current_snapshot() AS now (seen),
             LATERAL (SELECT extract(epoch FROM pg_postmaster_start_time())::text) AS here (server)
        WHERE i.name = watched FOR UPDATE OF i SKIP LOCKED
    ), batch AS MATERIALIZED (
        SELECT o.ctid FROM {schema}.outbox AS o WHERE o.input = watched AND o.seq >= (SELECT low FROM turn)
        ORDER BY o.seq LIMIT most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM {schema}.outbox AS o USING batch WHERE o.ctid = batch.ctid
        RETURNING o.seq, o.uid, o.op, o.location, o.id, o.key, o.payload, (extract(epoch FROM o.at) * 1000000)::bigint AS at
    )
    SELECT turn.asleep, turn.oldest, pg_current_xact_id()::text::bigint, turn.server,
           (SELECT min(o.seq) FROM {schema}.outbox AS o WHERE o.input = watched AND o.seq >= (SELECT low FROM turn)),
           gone.seq, gone.uid, gone.op, gone.location, gone.id, gone.at, gone.key, gone.payload
    FROM turn LEFT JOIN gone ON true ORDER BY gone.seq;
END
$function$;

-- name: revoke_claim
REVOKE ALL ON FUNCTION {schema}.claim(text, bigint, text, integer) FROM PUBLIC
