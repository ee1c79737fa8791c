"""The rules that a rain reading must keep before it is believed."""

from collections.abc import Mapping
from typing import Any

from orchestrator_core import JSON, AttemptContext, Event, Reject

RULES = (
    ("rain_mm", 0, 2_000, "rain falls, it does not rise, and no hour has had two metres of it"),
    ("latitude", -90, 90, "latitudes go from -90 at the south pole to 90 at the north pole"),
    ("longitude", -180, 180, "longitudes go from -180 to 180, both at the date line"),
)


def validate(event: Event, context: AttemptContext) -> JSON:
    """Return the reading as it was, or reject it with a message that names each field that can't be."""
    reading = event.data
    if not isinstance(reading, dict):
        raise Reject(f"a reading is a row, found {reading!r:.80}")
    if problems := _problems(reading):
        raise Reject("; ".join(problems))
    context.log(f"{reading['stadium']}: {reading['rain_mm']} mm")
    return reading


def _problems(reading: Mapping[str, Any]) -> list[str]:
    return [
        f"{field} is {reading[field]}: {why}"
        for field, lowest, highest, why in RULES
        if not lowest <= reading[field] <= highest
    ]
