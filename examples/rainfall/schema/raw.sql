-- Readings as the sensors sent them: nothing is believed yet, so nothing is refused.
CREATE TABLE IF NOT EXISTS reading (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sensor      text,
    stadium     text,
    latitude    numeric,
    longitude   numeric,
    rain_mm     numeric,
    measured_at timestamptz
);
