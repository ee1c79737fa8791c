"""Write `readings.jsonl`: a day of rain at twelve stadiums, the same on every run, with some readings gone wrong."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

STADIUMS = {
    "azteca": ("Estadio Azteca", 19.3029, -99.1505),
    "bombonera": ("La Bombonera", -34.6356, -58.3648),
    "camp-nou": ("Camp Nou", 41.3809, 2.1228),
    "dortmund": ("Westfalenstadion", 51.4926, 7.4519),
    "eden-gardens": ("Eden Gardens", 22.5646, 88.3433),
    "eden-park": ("Eden Park", -36.8750, 174.7448),
    "ellis-park": ("Ellis Park", -26.1976, 28.0609),
    "johan-cruijff": ("Johan Cruijff ArenA", 52.3143, 4.9414),
    "maracana": ("Maracanã", -22.9121, -43.2302),
    "mcg": ("Melbourne Cricket Ground", -37.8200, 144.9834),
    "san-siro": ("San Siro", 45.4781, 9.1240),
    "wembley": ("Wembley", 51.5560, -0.2796),
}
START = datetime(2026, 5, 4, tzinfo=UTC)
HOURS = 25

# Which readings go wrong, by their place in the file, and how: a gauge below zero, coordinates that are nowhere.
FAULTS = {
    17: ("rain_mm", -0.4),
    42: ("latitude", 91.5),
    63: ("rain_mm", -12.0),
    88: ("longitude", -180.01),
    101: ("latitude", -138.0),
    134: ("rain_mm", -999.0),
    150: ("longitude", 252.8811),
    199: ("latitude", 90.0001),
    203: ("rain_mm", -2.7),
    241: ("longitude", 1449.834),
    266: ("rain_mm", -0.1),
    280: ("latitude", 523.143),
}


def readings() -> list[dict[str, object]]:
    """Return every reading, oldest first."""
    rng = Random(1953)  # noqa: S311 (weather, not a secret)
    made: list[dict[str, object]] = []
    for hour in range(HOURS):
        for sensor, (stadium, latitude, longitude) in STADIUMS.items():
            rain = round(max(0.0, rng.gauss(-1.0, 3.0)), 1)
            reading: dict[str, object] = {
                "sensor": sensor,
                "stadium": stadium,
                "latitude": latitude,
                "longitude": longitude,
                "rain_mm": rain,
                "measured_at": (START + timedelta(hours=hour)).isoformat(),
            }
            field, value = FAULTS.get(len(made), ("rain_mm", rain))
            made.append({**reading, field: value})
    return made


def main() -> None:
    """Write the file beside this one."""
    lines = (json.dumps(reading, ensure_ascii=False) for reading in readings())
    Path(__file__).with_name("readings.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")


if __name__ == "__main__":
    main()
