-- The trigger function: writes a row's change into the outbox, in the user's own transaction; {schema} is our schema's quoted name.
-- It must never fail the user's statement for a reason of shape. So no user column is named in a static statement: columns
-- are read from the row as JSON, and by name only in statements composed from the catalogue as it is at that moment. A row is
-- always written r.*, for a column may be called r.

-- name: create_narrowed
-- Whether an image is only the key of a row that was too wide, which {schema}.narrow has made: row_to_json writes no blanks.
CREATE OR REPLACE FUNCTION {schema}.narrowed(doc json) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $function$
    SELECT right(doc::text, 19) = '"truncated" : true}'
$function$;

-- name: create_matches
-- Whether a change passes the input's filter, a jsonpath over {"data": ..., "before": ...}. What can't be looked into passes.
CREATE OR REPLACE FUNCTION {schema}.matches(condition text, after json, before json) RETURNS boolean
LANGUAGE plpgsql STABLE AS $function$
DECLARE
    fact json := json_build_object('data', after, 'before', before);
BEGIN
    IF {schema}.narrowed(after) OR {schema}.narrowed(before)
       OR fact::text ~ '\\u(0000|(?!00[01])[0-9a-fA-F]{4})|[0-9][eE][+-]?[0-9]{4}' THEN
        RETURN true;
    END IF;
    RETURN coalesce(jsonb_path_match(fact::jsonb, condition::jsonpath, '{}', true), false);
END
$function$;

-- name: create_differs
-- Whether an update has changed one of these columns.
CREATE OR REPLACE FUNCTION {schema}.differs(after json, before json, columns text[]) RETURNS boolean
LANGUAGE sql STABLE AS $function$
    SELECT coalesce({schema}.narrowed(after), false) OR coalesce({schema}.narrowed(before), false)
        OR bool_or(({schema}.lexable(after) -> name)::text IS DISTINCT FROM ({schema}.lexable(before) -> name)::text)
    FROM unnest(columns) AS wanted (name)
$function$;

-- name: create_identity
-- A record's id, by the key's names as the trigger was given them, else by their present ones; '' without a key. In plpgsql
-- lest it be inlined: what is seldom needed must not weigh on the plan of each statement.
CREATE OR REPLACE FUNCTION {schema}.identity(doc json, key text[], relation oid) RETURNS text
LANGUAGE plpgsql STABLE AS $function$
BEGIN
    RETURN CASE WHEN key = '{}' THEN ''
        ELSE coalesce({schema}.key_text(doc, key), {schema}.key_text(doc, {schema}.key_of(relation)), '') END;
END
$function$;

-- The same, inlined as far as it is simple: for a key of one column that is there, `sole`.
CREATE OR REPLACE FUNCTION {schema}.quick_identity(doc json, sole text, key text[], relation oid) RETURNS text
LANGUAGE sql STABLE AS $function$
    SELECT coalesce(CASE WHEN strpos(doc::text, '\u') = 0 THEN doc ->> sole END, {schema}.identity(doc, key, relation))
$function$;

-- name: create_packed
-- What the event carries of its images, chosen columns only; in plpgsql for the same reason.
CREATE OR REPLACE FUNCTION {schema}.packed(after json, before json, chosen text[], key text[], max_payload integer) RETURNS json
LANGUAGE plpgsql STABLE AS $function$
BEGIN
    RETURN {schema}.payload({schema}.image(after, chosen), {schema}.image(before, chosen), key, max_payload);
END
$function$;

-- The same, inlined as far as it is simple: for whole rows within the limit.
CREATE OR REPLACE FUNCTION {schema}.quick_packed(after json, before json, chosen text[], key text[], max_payload integer) RETURNS json
LANGUAGE sql STABLE AS $function$
    SELECT CASE
        WHEN chosen IS NOT NULL
            OR coalesce(octet_length(after::text), 0) + coalesce(octet_length(before::text), 0) > max_payload
        THEN {schema}.packed(after, before, chosen, key, max_payload)
        WHEN before IS NULL THEN json_build_object('data', after)
        WHEN after IS NULL THEN json_build_object('before', before)
        ELSE json_build_object('data', after, 'before', before) END
$function$;

-- name: create_write
-- Writes one change: for row triggers, and for a statement that touches a row too wide to be looked at as a whole.
CREATE OR REPLACE FUNCTION {schema}.write(
    watched text, relation oid, op text, location text, key text[], after json, before json
) RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
    i      {schema}.input;
    chosen text[];
BEGIN
    SELECT own.* INTO i FROM {schema}.input AS own WHERE own.name = watched;
    chosen := CASE WHEN i.key_only THEN key ELSE i.columns END;
    INSERT INTO {schema}.outbox (input, op, location, id, payload)
    SELECT watched, op, location, {schema}.identity(r.doc, key, relation),
           {schema}.packed(after, before, chosen, key, i.max_payload)
    FROM (SELECT coalesce(after, before) AS doc) AS r
    WHERE (i.condition IS NULL OR {schema}.matches(i.condition, after, before))
      AND (i.changed IS NULL OR op <> 'update' OR {schema}.differs(after, before, i.changed));
END
$function$;

-- name: create_narrow
-- The expression that makes a row's JSON, but of its key alone where the row is wider than the limit. Naming columns is safe
-- here: the expression is composed and run under the lock that the user's statement holds on the table.
CREATE OR REPLACE FUNCTION {schema}.narrow(whole text, field text, relation oid, width integer) RETURNS text
LANGUAGE sql STABLE AS $function$
    SELECT format('CASE WHEN pg_column_size(%1$s) <= %2$s THEN row_to_json(%1$s) ELSE json_build_object(%3$s''truncated'', true) END',
                  whole, width, string_agg(format('%L, %s%I, ', name, field, name), ''))
    FROM unnest({schema}.key_of(relation)) AS part (name)
$function$;

-- name: create_capture_insert
CREATE OR REPLACE FUNCTION {schema}.capture_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO' SET "IntervalStyle" = 'iso_8601' SET bytea_output = 'hex' SET extra_float_digits = 1
AS $function$
DECLARE
    key      constant text[] := TG_ARGV[1];
    sole     constant text   := CASE WHEN key[2] IS NULL THEN key[1] END;
    location constant text   := TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME;
    uid      constant uuid   := gen_random_uuid();
    i        record;
    after    json;
BEGIN
    SELECT own.max_payload, own.condition, own.asleep, own.channel,
           CASE WHEN own.key_only THEN key ELSE own.columns END AS chosen,
           (SELECT max(pg_column_size(r.*)) FROM after_rows AS r) AS widest
    INTO i FROM {schema}.input AS own WHERE own.name = TG_ARGV[0];
    IF i.widest > i.max_payload THEN
        FOR after IN EXECUTE format('SELECT %s FROM after_rows AS r', {schema}.narrow('r.*', 'r.', TG_RELID, i.max_payload)) LOOP
            PERFORM {schema}.write(TG_ARGV[0], TG_RELID, 'create', location, key, after, NULL);
        END LOOP;
    ELSE
        INSERT INTO {schema}.outbox (uid, input, op, location, id, payload)
        SELECT uid, TG_ARGV[0], 'create', location, {schema}.quick_identity(r.doc, sole, key, TG_RELID),
               {schema}.quick_packed(r.doc, NULL, i.chosen, key, i.max_payload)
        FROM (SELECT row_to_json(r.*) AS doc FROM after_rows AS r OFFSET 0) AS r
        WHERE i.condition IS NULL OR {schema}.matches(i.condition, r.doc, NULL);
    END IF;
    IF i.asleep AND FOUND AND current_setting('max_prepared_transactions') = '0' THEN
        PERFORM pg_notify(i.channel, '');
    END IF;
    RETURN NULL;
END
$function$;

-- name: create_capture_delete
CREATE OR REPLACE FUNCTION {schema}.capture_delete() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO' SET "IntervalStyle" = 'iso_8601' SET bytea_output = 'hex' SET extra_float_digits = 1
AS $function$
DECLARE
    key      constant text[] := TG_ARGV[1];
    sole     constant text   := CASE WHEN key[2] IS NULL THEN key[1] END;
    location constant text   := TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME;
    uid      constant uuid   := gen_random_uuid();
    i        record;
    before   json;
BEGIN
    SELECT own.max_payload, own.condition, own.asleep, own.channel,
           CASE WHEN own.key_only THEN key ELSE own.columns END AS chosen,
           (SELECT max(pg_column_size(r.*)) FROM before_rows AS r) AS widest
    INTO i FROM {schema}.input AS own WHERE own.name = TG_ARGV[0];
    IF i.widest > i.max_payload THEN
        FOR before IN EXECUTE format('SELECT %s FROM before_rows AS r', {schema}.narrow('r.*', 'r.', TG_RELID, i.max_payload)) LOOP
            PERFORM {schema}.write(TG_ARGV[0], TG_RELID, 'delete', location, key, NULL, before);
        END LOOP;
    ELSE
        INSERT INTO {schema}.outbox (uid, input, op, location, id, payload)
        SELECT uid, TG_ARGV[0], 'delete', location, {schema}.quick_identity(r.doc, sole, key, TG_RELID),
               {schema}.quick_packed(NULL, r.doc, i.chosen, key, i.max_payload)
        FROM (SELECT row_to_json(r.*) AS doc FROM before_rows AS r OFFSET 0) AS r
        WHERE i.condition IS NULL OR {schema}.matches(i.condition, NULL, r.doc);
    END IF;
    IF i.asleep AND FOUND AND current_setting('max_prepared_transactions') = '0' THEN
        PERFORM pg_notify(i.channel, '');
    END IF;
    RETURN NULL;
END
$function$;

-- name: create_capture_update
-- Old and new rows are paired by position: the executor stores both images of a row at once (AfterTriggerSaveEvent).
CREATE OR REPLACE FUNCTION {schema}.capture_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO' SET "IntervalStyle" = 'iso_8601' SET bytea_output = 'hex' SET extra_float_digits = 1
AS $function$
DECLARE
    key      constant text[] := TG_ARGV[1];
    sole     constant text   := CASE WHEN key[2] IS NULL THEN key[1] END;
    location constant text   := TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME;
    uid      constant uuid   := gen_random_uuid();
    i        record;
    pair     record;
BEGIN
    SELECT own.max_payload, own.condition, own.changed, own.asleep, own.channel,
           CASE WHEN own.key_only THEN key ELSE own.columns END AS chosen,
           greatest((SELECT max(pg_column_size(r.*)) FROM after_rows AS r),
                    (SELECT max(pg_column_size(r.*)) FROM before_rows AS r)) AS widest
    INTO i FROM {schema}.input AS own WHERE own.name = TG_ARGV[0];
    IF i.widest > i.max_payload THEN
        FOR pair IN EXECUTE format(
            'SELECT a.doc AS after, b.doc AS before'
            ' FROM (SELECT row_number() OVER () AS place, %1$s AS doc FROM after_rows AS r) AS a'
            ' JOIN (SELECT row_number() OVER () AS place, %1$s AS doc FROM before_rows AS r) AS b USING (place) ORDER BY place',
            {schema}.narrow('r.*', 'r.', TG_RELID, i.max_payload)
        ) LOOP
            PERFORM {schema}.write(TG_ARGV[0], TG_RELID, 'update', location, key, pair.after, pair.before);
        END LOOP;
    ELSE
        INSERT INTO {schema}.outbox (uid, input, op, location, id, payload)
        SELECT uid, TG_ARGV[0], 'update', location, {schema}.quick_identity(a.doc, sole, key, TG_RELID),
               {schema}.quick_packed(a.doc, b.doc, i.chosen, key, i.max_payload)
        FROM (SELECT row_number() OVER () AS place, row_to_json(r.*) AS doc FROM after_rows AS r) AS a
        JOIN (SELECT row_number() OVER () AS place, row_to_json(r.*) AS doc FROM before_rows AS r) AS b USING (place)
        WHERE (i.condition IS NULL OR {schema}.matches(i.condition, a.doc, b.doc))
          AND (i.changed IS NULL OR {schema}.differs(a.doc, b.doc, i.changed));
    END IF;
    IF i.asleep AND FOUND AND current_setting('max_prepared_transactions') = '0' THEN
        PERFORM pg_notify(i.channel, '');
    END IF;
    RETURN NULL;
END
$function$;

-- name: create_capture_row
-- Row by row: for partitioned tables, whose statement triggers miss writes straight to a partition, and for inheritance.
-- The third argument is the location of the partitioned table; the partition's own name is an accident.
CREATE OR REPLACE FUNCTION {schema}.capture_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO' SET "IntervalStyle" = 'iso_8601' SET bytea_output = 'hex' SET extra_float_digits = 1
AS $function$
DECLARE
    i        record;
    after    json;
    before   json;
BEGIN
    SELECT own.* INTO i FROM {schema}.input AS own WHERE own.name = TG_ARGV[0];
    IF TG_OP <> 'DELETE' THEN
        IF pg_column_size(NEW) > i.max_payload THEN
            EXECUTE 'SELECT ' || {schema}.narrow('$1', '($1).', TG_RELID, i.max_payload) INTO after USING NEW;
        ELSE
            after := row_to_json(NEW);
        END IF;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        IF pg_column_size(OLD) > i.max_payload THEN
            EXECUTE 'SELECT ' || {schema}.narrow('$1', '($1).', TG_RELID, i.max_payload) INTO before USING OLD;
        ELSE
            before := row_to_json(OLD);
        END IF;
    END IF;
    PERFORM {schema}.write(
        TG_ARGV[0], TG_RELID, CASE TG_OP WHEN 'INSERT' THEN 'create' ELSE lower(TG_OP) END,
        coalesce(TG_ARGV[2], TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME), TG_ARGV[1]::text[], after, before
    );
    IF i.asleep AND FOUND AND current_setting('max_prepared_transactions') = '0' THEN
        PERFORM pg_notify(i.channel, '');
    END IF;
    RETURN NULL;
END
$function$;

-- name: create_capture_truncate
-- One event with the id *. The fourth argument names the partition that a trigger is on: TRUNCATE of a partition does not fire
-- the trigger of its root.
CREATE OR REPLACE FUNCTION {schema}.capture_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET "TimeZone" = 'UTC' SET "DateStyle" = 'ISO' SET "IntervalStyle" = 'iso_8601' SET bytea_output = 'hex' SET extra_float_digits = 1
AS $function$
DECLARE
    i        record;
BEGIN
    SELECT own.* INTO i FROM {schema}.input AS own WHERE own.name = TG_ARGV[0];
    INSERT INTO {schema}.outbox (input, op, location, id, payload)
    VALUES (TG_ARGV[0], 'delete', coalesce(TG_ARGV[2], TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME), '*',
            json_build_object('data', CASE WHEN TG_ARGV[3] IS NULL THEN json_build_object('truncate', true)
                                      ELSE json_build_object('truncate', true, 'partition', TG_ARGV[3]) END));
    IF i.asleep AND FOUND AND current_setting('max_prepared_transactions') = '0' THEN
        PERFORM pg_notify(i.channel, '');
    END IF;
    RETURN NULL;
END
$function$;

-- name: revoke_functions
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
