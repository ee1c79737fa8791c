-- The tables of a SQLite journal, format 1.
--
-- The deliveries of event `seq` have the ids seq * 1024 + step, so an event's deliveries are neighbours and need no index
-- of their own. States: 0 waiting, 1 ready, 2 running, 3 done, 4 dead, 5 skipped, 6 cancelled, 7 parked.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;

CREATE TABLE plans (
    id   INTEGER PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);

CREATE TABLE events (
    seq         INTEGER PRIMARY KEY,
    trigger     TEXT NOT NULL,
    uid         TEXT NOT NULL,
    plan        INTEGER NOT NULL,
    unrouted    INTEGER NOT NULL,
    accepted_at REAL NOT NULL,
    cause       INTEGER,            -- the delivery that derived it
    body        TEXT NOT NULL
);
CREATE UNIQUE INDEX events_identity ON events (uid, trigger);
CREATE INDEX events_unrouted ON events (seq) WHERE unrouted;
CREATE INDEX events_derived ON events (cause) WHERE cause IS NOT NULL;

CREATE TABLE deliveries (
    id            INTEGER PRIMARY KEY,
    process       TEXT NOT NULL,
    state         INTEGER NOT NULL,
    attempt       INTEGER NOT NULL DEFAULT 0,
    failures      INTEGER NOT NULL DEFAULT 0,
    interruptions INTEGER NOT NULL DEFAULT 0,
    interrupted   INTEGER NOT NULL DEFAULT 0,
    owner         INTEGER,
    due_at        REAL NOT NULL,
    lane          TEXT,             -- the ordering key, for an ordered step
    hold          INTEGER,          -- whether a dead letter holds back its lane
    started_at    REAL,
    settled_at    REAL,
    reason        TEXT,
    output        TEXT
);
CREATE INDEX deliveries_ready ON deliveries (process, due_at, id) WHERE state = 1;
CREATE INDEX deliveries_unusual ON deliveries (state, process) WHERE (state = 0 OR state = 4 OR state = 7);
CREATE INDEX deliveries_lane ON deliveries (process, lane, id) WHERE lane IS NOT NULL AND state IN (0, 1, 2, 4, 7);

CREATE TABLE attempts (
    id         INTEGER PRIMARY KEY,
    delivery   INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    state      TEXT NOT NULL,
    reason     TEXT,
    started_at REAL,
    settled_at REAL
);
CREATE INDEX attempts_delivery ON attempts (delivery);

CREATE TABLE logs (
    id       INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    lines    TEXT NOT NULL
);
CREATE INDEX logs_delivery ON logs (delivery);

CREATE TABLE checkpoints (
    input TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE workers (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT NOT NULL UNIQUE,
    expires REAL NOT NULL
);
