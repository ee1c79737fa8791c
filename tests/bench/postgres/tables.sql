-- What the benchmarks write to: three tables of one shape, the last two with a trigger; and what they write.

-- name: tables
CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int, amount numeric, note text, at timestamptz DEFAULT now());
CREATE TABLE orders (LIKE plain INCLUDING ALL);
CREATE TABLE announced (LIKE plain INCLUDING ALL)

-- name: ancestor
-- The ancestor's way: a notification for each row, with the row's place, id and operation as JSON.
CREATE FUNCTION process_record() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    PERFORM pg_notify('process_record', json_build_object('tbl', TG_TABLE_NAME, 'id', COALESCE(NEW.id, 0), 'op', TG_OP)::text);
    RETURN NEW;
END
$function$;
CREATE TRIGGER announced_trigger AFTER INSERT OR UPDATE OR DELETE ON announced FOR EACH ROW EXECUTE FUNCTION process_record()

-- name: single
INSERT INTO {table} (customer, amount, note) VALUES (random() * 1000, 12.34, 'two of the small ones');

-- name: bulk
INSERT INTO {table} (customer, amount, note) SELECT n, 12.34, 'two of the small ones' FROM generate_series(1, {rows}) AS n
