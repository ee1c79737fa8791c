-- The statements of a SQLite journal. `{rows}` becomes as many rows of placeholders as a call has, so that a batch is one
-- step of the database. Reads that feed the engine return one JSON text for the same reason. A condition that looks like
-- another one's echo names a partial index in its own words, without which SQLite reads the whole table.

-- name: next_event
SELECT value FROM meta WHERE key = 'next_event'

-- name: set_next_event
UPDATE meta SET value = ? WHERE key = 'next_event'

-- name: find_plan
SELECT id FROM plans WHERE text = ?

-- name: add_plan
INSERT INTO plans (text) VALUES (?)

-- name: load_plan
SELECT text FROM plans WHERE id = ?

-- name: add_events
INSERT INTO events (seq, trigger, uid, plan, unrouted, accepted_at, cause, body) VALUES {rows}
ON CONFLICT (uid, trigger) DO NOTHING

-- name: events_between
SELECT json_group_array(seq) FROM events WHERE seq BETWEEN ? AND ?

-- name: find_event
SELECT body FROM events WHERE uid = ? AND trigger = ?

-- name: add_deliveries
INSERT INTO deliveries (id, process, state, attempt, owner, due_at, lane, hold) VALUES {rows}

-- name: lane_is_busy
SELECT EXISTS (
    SELECT 1 FROM deliveries
    WHERE process = ? AND lane = ? AND id < ? AND state IN (0, 1, 2, 4, 7) AND (state <> 4 OR hold)
)

-- name: save_checkpoint
INSERT INTO checkpoints (input, value) VALUES (?, ?) ON CONFLICT (input) DO UPDATE SET value = excluded.value

-- name: still_running
WITH given (id, attempt, owner) AS (VALUES {rows})
SELECT json_group_array(given.id) FROM given JOIN deliveries AS d ON d.id = given.id
WHERE d.state = 2 AND d.attempt = given.attempt AND d.owner = given.owner

-- name: begin_mark
SAVEPOINT mark

-- name: undo_mark
ROLLBACK TO mark

-- name: end_mark
RELEASE mark

-- name: mark_done
WITH given (id, attempt, owner, started_at, settled_at) AS (VALUES {rows})
UPDATE deliveries
SET state = 3, settled_at = given.settled_at, started_at = given.started_at, reason = NULL, interrupted = 0
FROM given
WHERE deliveries.id = given.id AND deliveries.attempt = given.attempt AND deliveries.owner = given.owner AND state = 2

-- name: settle
WITH given (
    id, attempt, owner, started_at, settled_at, state, due_at, failures, interruptions, interrupted, reason, output
) AS (VALUES {rows})
UPDATE deliveries
SET state = given.state, due_at = given.due_at, failures = given.failures, interruptions = given.interruptions,
    interrupted = given.interrupted, started_at = given.started_at, settled_at = given.settled_at,
    reason = given.reason, output = given.output
FROM given
WHERE deliveries.id = given.id AND deliveries.attempt = given.attempt AND deliveries.owner = given.owner
    AND deliveries.state = 2

-- name: add_attempts
INSERT INTO attempts (delivery, number, state, reason, started_at, settled_at) VALUES {rows}

-- name: add_logs
INSERT INTO logs (delivery, attempt, lines) VALUES {rows}

-- name: siblings
WITH given (seq) AS (VALUES {rows})
SELECT json_group_array(json_array(e.seq, e.plan, (
    SELECT json_group_array(json_array(d.id & 1023, d.state, d.output))
    FROM deliveries AS d WHERE d.id BETWEEN e.seq * 1024 AND e.seq * 1024 + 1023
)))
FROM given JOIN events AS e ON e.seq = given.seq

-- name: load_event
SELECT body FROM events WHERE seq = ?

-- name: advance
WITH given (id, state, due_at, settled_at, reason) AS (VALUES {rows})
UPDATE deliveries
SET state = given.state, due_at = given.due_at, settled_at = given.settled_at, reason = given.reason
FROM given
WHERE deliveries.id = given.id AND deliveries.state IN (0, 5)

-- name: lanes_of
WITH given (id) AS (VALUES {rows})
SELECT json_group_array(json_array(d.process, d.lane))
FROM given JOIN deliveries AS d ON d.id = given.id WHERE d.lane IS NOT NULL

-- name: release_lane
UPDATE deliveries SET due_at = :now
WHERE state IN (1, 7) AND due_at = :held AND id = (
    SELECT min(id) FROM deliveries
    WHERE process = :process AND lane = :lane AND state IN (0, 1, 2, 4, 7) AND (state <> 4 OR hold)
)

-- name: due
SELECT json_group_array(id) FROM (
    SELECT id FROM deliveries AS d INDEXED BY deliveries_ready
    WHERE state = 1 AND process = :process AND due_at <= :now AND (lane IS NULL OR NOT EXISTS (
        SELECT 1 FROM deliveries AS other
        WHERE other.process = d.process AND other.lane = d.lane AND other.state IN (0, 1, 2, 4, 7) AND (
            (other.id < d.id AND (other.state <> 4 OR other.hold)) OR other.state = 2
        )
    ))
    ORDER BY due_at, id LIMIT :limit
)

-- name: next_due
SELECT min(due_at) FROM deliveries INDEXED BY deliveries_ready
WHERE state = 1 AND process = :process AND due_at > :now AND due_at < :held

-- name: take
WITH given (id, owner) AS (VALUES {rows})
UPDATE deliveries SET state = 2, owner = given.owner, attempt = attempt + 1, settled_at = NULL, started_at = NULL
FROM given WHERE deliveries.id = given.id AND deliveries.state = 1

-- name: load_claims
WITH given (id) AS (VALUES {rows})
SELECT json_group_array(json_array(
    d.id, d.process, d.attempt, d.failures, d.interruptions, d.interrupted, d.due_at, d.reason,
    e.accepted_at, e.plan, e.body
))
FROM given JOIN deliveries AS d ON d.id = given.id JOIN events AS e ON e.seq = d.id / 1024

-- name: add_worker
INSERT INTO workers (name, expires) VALUES (?, ?)

-- name: find_worker
SELECT id FROM workers WHERE name = ?

-- name: renew
UPDATE workers SET expires = ? WHERE name = ? AND expires > 0

-- name: expire_all
UPDATE workers SET expires = 0

-- name: expire
UPDATE workers SET expires = 0 WHERE name = ?

-- name: expired_workers
SELECT id FROM workers WHERE expires <= ?

-- name: remember_interrupted
INSERT INTO attempts (delivery, number, state, reason, started_at, settled_at)
SELECT id, attempt, 'ready', :reason, started_at, :now FROM deliveries
WHERE state = 2 AND owner IN (SELECT id FROM workers WHERE expires <= :now)

-- name: reap
UPDATE deliveries
SET state = 1, owner = NULL, due_at = :now, interruptions = interruptions + 1, interrupted = 1, reason = :reason
WHERE state = 2 AND owner IN (SELECT id FROM workers WHERE expires <= :now)

-- name: forget_expired
DELETE FROM workers WHERE expires <= ?

-- name: ready_processes
WITH RECURSIVE found (process) AS (
    SELECT min(process) FROM deliveries INDEXED BY deliveries_ready WHERE state = 1
    UNION ALL
    SELECT (SELECT min(process) FROM deliveries INDEXED BY deliveries_ready WHERE state = 1 AND process > found.process)
    FROM found WHERE found.process IS NOT NULL
)
SELECT process FROM found WHERE process IS NOT NULL

-- name: parked_processes
SELECT DISTINCT process FROM deliveries WHERE state = 7 AND (state = 0 OR state = 4 OR state = 7)

-- name: park
UPDATE deliveries SET state = 7, reason = (
    SELECT printf('input "%s" has a delivery for process "%s", which is not in the pipeline', trigger, process)
    FROM events WHERE seq = deliveries.id / 1024
)
WHERE state = 1 AND process = ?

-- name: unpark
UPDATE deliveries SET state = 1, reason = NULL WHERE state = 7 AND (state = 0 OR state = 4 OR state = 7) AND process = ?

-- name: count_parked
SELECT count(*) FROM deliveries WHERE state = 7 AND (state = 0 OR state = 4 OR state = 7)

-- name: redrive
WITH given (id, due_at) AS (VALUES {rows})
UPDATE deliveries
SET state = 1, due_at = given.due_at, failures = 0, interruptions = 0, interrupted = 0, settled_at = NULL, owner = NULL
FROM given WHERE deliveries.id = given.id AND state = 4

-- name: cancel
WITH given (id, settled_at, reason) AS (VALUES {rows})
UPDATE deliveries SET state = 6, settled_at = given.settled_at, reason = given.reason, owner = NULL
FROM given WHERE deliveries.id = given.id AND state IN (0, 1, 4, 7)

-- name: prunable
SELECT json_group_array(seq) FROM (
    SELECT seq FROM events AS e
    WHERE seq > :after AND accepted_at < :before AND NOT EXISTS (
        SELECT 1 FROM deliveries AS d WHERE d.id BETWEEN e.seq * 1024 AND e.seq * 1024 + 1023
        AND (d.state NOT IN (3, 5, 6) OR d.settled_at >= :before)
    )
    ORDER BY seq LIMIT :limit
)

-- name: prune_logs
WITH given (seq) AS (VALUES {rows})
DELETE FROM logs WHERE id IN (
    SELECT l.id FROM given JOIN logs AS l ON l.delivery BETWEEN given.seq * 1024 AND given.seq * 1024 + 1023
)

-- name: prune_attempts
WITH given (seq) AS (VALUES {rows})
DELETE FROM attempts WHERE id IN (
    SELECT a.id FROM given JOIN attempts AS a ON a.delivery BETWEEN given.seq * 1024 AND given.seq * 1024 + 1023
)

-- name: prune_deliveries
WITH given (seq) AS (VALUES {rows})
DELETE FROM deliveries WHERE id IN (
    SELECT d.id FROM given JOIN deliveries AS d ON d.id BETWEEN given.seq * 1024 AND given.seq * 1024 + 1023
)

-- name: prune_events
WITH given (seq) AS (VALUES {rows})
DELETE FROM events WHERE seq IN (SELECT seq FROM given)
