-- Readings that passed validation; the same rules again, as the last line of defence.
CREATE TABLE IF NOT EXISTS reading (
    raw_id      bigint PRIMARY KEY,
    sensor      text NOT NULL,
    stadium     text NOT NULL,
    latitude    numeric NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude   numeric NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    rain_mm     numeric NOT NULL CHECK (rain_mm >= 0),
    measured_at timestamptz NOT NULL
);
