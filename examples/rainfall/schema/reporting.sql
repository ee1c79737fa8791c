-- What the reports read: where the sensors are, and how much rain fell on them.
CREATE TABLE IF NOT EXISTS sensor (
    sensor    text PRIMARY KEY,
    stadium   text NOT NULL,
    latitude  numeric NOT NULL,
    longitude numeric NOT NULL
);

CREATE TABLE IF NOT EXISTS precipitation (
    sensor      text NOT NULL,
    measured_at timestamptz NOT NULL,
    rain_mm     numeric NOT NULL,
    PRIMARY KEY (sensor, measured_at)
);
