-- The objects of the input, in a schema of their own; {schema} stands for its quoted name.
-- Idempotent: an older version is brought up to date in place, without a lock on anybody's table.

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS {schema};

-- name: create_input
-- One row for each input. Its lock is what makes one orchestrator at a time hand the input over.
CREATE TABLE IF NOT EXISTS {schema}.input (
    name        text PRIMARY KEY,
    options     json NOT NULL,
    version     integer NOT NULL,
    columns     text[],
    changed     text[],
    condition   text,
    key_only    boolean NOT NULL DEFAULT false,
    max_payload integer NOT NULL DEFAULT 262144,
    asleep      boolean NOT NULL DEFAULT true,
    channel     text NOT NULL
) WITH (fillfactor = 20);

-- name: create_outbox
-- The truth between a commit and its acceptance. No unique index on seq: it restarts after a restore or a failover, and
-- that must never fail a user's write; an event is known by seq and uid, which is the same for all rows of a statement. The
-- payload is json because jsonb refuses \u0000 and strings over 256 MB. Space is not given back but used again: to give it
-- back, VACUUM locks writers out for a moment.
CREATE TABLE IF NOT EXISTS {schema}.outbox (
    seq      bigint GENERATED ALWAYS AS IDENTITY,
    uid      uuid NOT NULL DEFAULT gen_random_uuid(),
    input    text NOT NULL,
    key      text,
    op       text NOT NULL,
    location text NOT NULL,
    id       text NOT NULL,
    payload  json,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);

-- An outbox that was there before gets it too. No reader and no writer waits for it.
ALTER TABLE {schema}.outbox SET (vacuum_truncate = off);

-- name: create_outbox_index
CREATE INDEX IF NOT EXISTS outbox_input_seq ON {schema}.outbox (input, seq);

-- name: create_backfill
-- How far the backfill of a table has come; written in the transaction of each page.
CREATE TABLE IF NOT EXISTS {schema}.backfill (
    input    text NOT NULL,
    location text NOT NULL,
    position text,
    rows     bigint NOT NULL DEFAULT 0,
    done_at  timestamptz,
    PRIMARY KEY (input, location)
);

-- name: create_lexable
-- Reading one field of a json lexes the whole of it, and fails at an escape that text can't hold. Only a user's own json
-- column can bring one, so each is masked; {schema}.restored puts it back.
CREATE OR REPLACE FUNCTION {schema}.lexable(doc json) RETURNS json
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
    SELECT CASE WHEN strpos(doc::text, '\u') = 0 THEN doc ELSE
        regexp_replace(doc::text, '(?<!\\)((?:\\\\)*)\\u(0000|(?!00[0-7])[0-9a-fA-F]{4})', '\1\\u001a\\u001a\2', 'g')::json
    END
$function$;

-- name: create_restored
CREATE OR REPLACE FUNCTION {schema}.restored(doc json) RETURNS json
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
    SELECT CASE WHEN strpos(doc::text, '\u001a\u001a') = 0 THEN doc ELSE
        regexp_replace(doc::text, '(?<!\\)((?:\\\\)*)\\u001a\\u001a([0-9a-fA-F]{4})', '\1\\u\2', 'g')::json
    END
$function$;

-- name: create_key_text
-- A record's id: its key as text, a composite key as the text of a JSON array. Null if a key column is not there.
CREATE OR REPLACE FUNCTION {schema}.composite_key(doc json, key text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $function$
    SELECT CASE WHEN bool_and(doc ->> part IS NOT NULL) THEN json_agg(doc -> part ORDER BY place)::text END
    FROM unnest(key) WITH ORDINALITY AS parts (part, place)
$function$;

CREATE OR REPLACE FUNCTION {schema}.key_text(doc json, key text[]) RETURNS text
LANGUAGE sql IMMUTABLE AS $function$
    SELECT CASE WHEN key[2] IS NULL THEN {schema}.lexable(doc) ->> key[1]
                ELSE {schema}.composite_key({schema}.lexable(doc), key) END
$function$;

-- name: create_key_of
-- The columns of a table's key by their present names: its replica identity index if it has one, else its primary key.
CREATE OR REPLACE FUNCTION {schema}.key_of(relation oid) RETURNS text[]
LANGUAGE sql STABLE AS $function$
    SELECT coalesce(array_agg(a.attname::text ORDER BY part.place), '{}')
    FROM (SELECT indkey, indnkeyatts, indrelid FROM pg_catalog.pg_index
          WHERE indrelid = relation AND (indisreplident OR indisprimary) AND indisvalid
          ORDER BY indisreplident DESC LIMIT 1) AS i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS part (attnum, place)
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = part.attnum
    WHERE part.place <= i.indnkeyatts
$function$;

-- name: create_image
-- One image of a row as the event carries it: all of it, or the columns that were chosen, in the table's order.
CREATE OR REPLACE FUNCTION {schema}.picked(doc json, columns text[]) RETURNS json
LANGUAGE sql IMMUTABLE AS $function$
    SELECT {schema}.restored(coalesce(json_object_agg(field.key, field.value), '{}'))
    FROM json_each({schema}.lexable(doc)) AS field
    WHERE field.key = ANY (columns)
$function$;

CREATE OR REPLACE FUNCTION {schema}.image(doc json, columns text[]) RETURNS json
LANGUAGE sql IMMUTABLE AS $function$
    SELECT CASE WHEN columns IS NULL OR doc IS NULL THEN doc ELSE {schema}.picked(doc, columns) END
$function$;

-- name: create_payload
-- What the event carries. Over the limit, each image is reduced to its key and says so.
CREATE OR REPLACE FUNCTION {schema}.reduced(doc json, key text[]) RETURNS json
LANGUAGE sql STABLE AS $function$
    SELECT coalesce(json_object_agg(field.name, field.value), '{"truncated":true}')
    FROM (SELECT part AS name, {schema}.lexable(doc) -> part AS value FROM unnest(key) AS parts (part)
          UNION ALL SELECT 'truncated', 'true'::json) AS field
    WHERE field.value IS NOT NULL AND doc IS NOT NULL
$function$;

CREATE OR REPLACE FUNCTION {schema}.payload(after json, before json, key text[], max_payload integer) RETURNS json
LANGUAGE sql STABLE AS $function$
    SELECT CASE
        WHEN coalesce(octet_length(after::text), 0) + coalesce(octet_length(before::text), 0) > max_payload
        THEN json_build_object('data', CASE WHEN after IS NOT NULL THEN {schema}.reduced(after, key) END,
                               'before', CASE WHEN before IS NOT NULL THEN {schema}.reduced(before, key) END)
        WHEN before IS NULL THEN json_build_object('data', after)
        WHEN after IS NULL THEN json_build_object('before', before)
        ELSE json_build_object('data', after, 'before', before) END
$function$;
