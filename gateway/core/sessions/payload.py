"""JSON payloads of cookies and records: a reader raises TypeError or ValueError for what we never wrote."""

import json
import math
from typing import Final

from gateway.core.identity import Position
from gateway.syntax.encoding import Json

TIME_BYTES: Final = 6


def dump_json(value: Json) -> bytes:
    """Return a value as compact JSON; lone surrogates keep their bytes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def load_json(data: bytes) -> dict[str, Json] | None:
    """Return a JSON object, None where the bytes are none."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_text(value: Json) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise TypeError
    return value


def read_optional(value: Json) -> str | None:
    """Return a text, or None for null."""
    return None if value is None else read_text(value)


def read_time(value: Json) -> float:
    """Return a time in epoch seconds, finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    try:
        time = float(value)
    except OverflowError:
        raise TypeError from None
    if not math.isfinite(time):
        raise TypeError
    return time


def read_count(value: Json) -> int:
    """Return a whole number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError
    return value


def read_texts(value: Json) -> list[str]:
    """Return a list of texts."""
    if not isinstance(value, list):
        raise TypeError
    return [read_text(each) for each in value]


def read_claims(value: Json) -> dict[str, Json]:
    """Return an object."""
    if not isinstance(value, dict):
        raise TypeError
    return value


def read_name(value: Json, names: tuple[str, ...]) -> str:
    """Return one of ``names``."""
    # a number is the place of a claim that is kept; others are written out
    return value if isinstance(value, str) else names[read_count(value)]


def position_field(position: Position) -> Json:
    """Return a position of the denylist as JSON."""
    return list(position)


def position_from(value: Json) -> Position | None:
    """Return the position of such a value, None where it has none.

    Raises:
        TypeError: it is something else.
    """
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise TypeError
    return read_text(value[0]), read_count(value[1])
