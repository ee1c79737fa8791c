-- The backfill: existing rows as events; {schema} is our schema's quoted name.

-- name: create_backfill_page
-- Writes the next page of a table's rows into the outbox as reads, and how far it has come, in one transaction. The rows are
-- locked against writers for that long: so each waits for the other, and a read stands where it belongs among the changes of
-- its key. Returns how many rows it has looked at; 0 when it is done, null while somebody else is at it.
CREATE OR REPLACE FUNCTION {schema}.backfill_page(watched text, relation oid, place text, page integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO' SET "IntervalStyle" = 'iso_8601' SET bytea_output = 'hex' SET extra_float_digits = 1
AS $function$
DECLARE
    i       record;
    done    {schema}.backfill;
    key     text[] := {schema}.key_of(relation);
    marks   text;
    bounds  text;
    looked  bigint;
    reached text;
BEGIN
    SELECT own.*, CASE WHEN own.key_only THEN key ELSE own.columns END AS chosen
    INTO i FROM {schema}.input AS own WHERE own.name = watched;
    INSERT INTO {schema}.backfill (input, location) VALUES (watched, place) ON CONFLICT DO NOTHING;
    SELECT * INTO done FROM {schema}.backfill AS b WHERE b.input = watched AND b.location = place FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF done.done_at IS NOT NULL THEN
        RETURN 0;
    END IF;
    SELECT coalesce(string_agg(format('r.%I', a.attname), ', ' ORDER BY k.n), 'r.ctid'),
           coalesce(string_agg(format('($1[%s])::%s', k.n, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY k.n),
                    '($1[1])::tid')
    INTO marks, bounds
    FROM unnest(key) WITH ORDINALITY AS k (name, n)
    JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = k.name;
    EXECUTE format(
        'WITH page AS MATERIALIZED ('
        '  SELECT ARRAY[%1$s]::text[]::text AS mark, %2$s AS doc FROM %3$s AS r WHERE %4$s ORDER BY %1$s LIMIT $2 FOR SHARE'
        '), numbered AS (SELECT row_number() OVER () AS n, page.* FROM page'
        '), written AS ('
        '  INSERT INTO %5$s.outbox (input, op, location, id, payload)'
        '  SELECT $3, ''read'', $4, %5$s.identity(n.doc, $5, $6), %5$s.payload(%5$s.image(n.doc, $7), NULL, $5, $8)'
        '  FROM numbered AS n WHERE $9 IS NULL OR %5$s.matches($9, n.doc, NULL) ORDER BY n.n'
        ') SELECT (SELECT count(*) FROM numbered), (SELECT mark FROM numbered ORDER BY n DESC LIMIT 1)',
        marks, {schema}.narrow('r.*', 'r.', relation, i.max_payload),
        CASE WHEN (SELECT relkind FROM pg_class WHERE oid = relation) = 'p' THEN '' ELSE 'ONLY ' END || relation::regclass,
        CASE WHEN done.position IS NULL THEN 'true' ELSE format('ROW(%s) > ROW(%s)', marks, bounds) END,
        $schema${schema}$schema$)
    INTO looked, reached
    USING done.position::text[], page, watched, place, key, relation, i.chosen, i.max_payload, i.condition;
    UPDATE {schema}.backfill AS b
    SET position = coalesce(reached, b.position), rows = b.rows + looked,
        done_at = CASE WHEN looked < page THEN clock_timestamp() END
    WHERE b.input = watched AND b.location = place;
    IF i.asleep AND looked > 0 AND current_setting('max_prepared_transactions') = '0' THEN
        PERFORM pg_notify(i.channel, '');
    END IF;
    RETURN looked;
END
$function$;

-- name: revoke_backfill_page
-- It reads the user's tables with its owner's rights.
REVOKE ALL ON FUNCTION {schema}.backfill_page(text, oid, text, integer) FROM PUBLIC
