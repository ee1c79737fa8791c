-- What the command line and embedders read of a SQLite journal. `{where}` and `{order}` are filled from a `DeliveryQuery`
-- with placeholders and fixed words, never with a value.

-- name: count_events
SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM events WHERE unrouted)

-- name: count_deliveries
SELECT process, state, count(*) FROM deliveries GROUP BY process, state

-- name: oldest_events
SELECT e.body, e.accepted_at, p.text FROM events AS e JOIN plans AS p ON p.id = e.plan
WHERE :trigger IS NULL OR e.trigger = :trigger ORDER BY e.seq LIMIT :limit

-- name: newest_events
SELECT e.body, e.accepted_at, p.text FROM events AS e JOIN plans AS p ON p.id = e.plan
WHERE :trigger IS NULL OR e.trigger = :trigger ORDER BY e.seq DESC LIMIT :limit

-- name: event
SELECT e.body, e.accepted_at, p.text FROM events AS e JOIN plans AS p ON p.id = e.plan
WHERE e.uid = :uid AND (:trigger IS NULL OR e.trigger = :trigger) ORDER BY e.seq DESC LIMIT 1

-- name: derived
SELECT e.body, e.accepted_at, p.text
FROM events AS parent JOIN events AS e ON e.cause BETWEEN parent.seq * 1024 AND parent.seq * 1024 + 1023
JOIN plans AS p ON p.id = e.plan
WHERE parent.uid = :uid ORDER BY e.seq

-- name: event_rows
SELECT e.seq, json_array_length(p.text) FROM events AS e JOIN plans AS p ON p.id = e.plan WHERE e.uid = ?

-- name: deliveries
SELECT d.id, d.process, d.state, d.attempt, d.failures, d.interruptions, d.interrupted, d.due_at, d.settled_at,
    d.reason, d.output, e.accepted_at, e.uid, e.trigger
FROM deliveries AS d JOIN events AS e ON e.seq = d.id / 1024
WHERE {where} ORDER BY d.id {order} LIMIT ?

-- name: delivery_rows
SELECT d.id FROM deliveries AS d WHERE {where} ORDER BY d.id {order} LIMIT ?

-- name: current_attempt
SELECT attempt, state, started_at, settled_at FROM deliveries WHERE id = ?

-- name: attempts
SELECT number, state, reason, started_at, settled_at FROM attempts WHERE delivery = ? ORDER BY id

-- name: logs
SELECT attempt, lines FROM logs WHERE delivery = ? ORDER BY id

-- name: checkpoint
SELECT value FROM checkpoints WHERE input = ?

-- name: is_busy
SELECT EXISTS (
    SELECT 1 FROM deliveries AS d INDEXED BY deliveries_ready
    WHERE state = 1 AND due_at < :held AND (lane IS NULL OR NOT EXISTS (
        SELECT 1 FROM deliveries AS other
        WHERE other.process = d.process AND other.lane = d.lane AND other.id < d.id
        AND other.state IN (0, 4, 7) AND (other.state <> 4 OR other.hold)
    ))
)
