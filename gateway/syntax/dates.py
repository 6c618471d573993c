"""Dates as people write them in a configuration (RFC 3339 section 5.6), in UTC."""

import re
from typing import Final

_DATE: Final = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})Z)?",
    re.ASCII,
)
_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EPOCH: Final = 719_162
"""Days from the first of January of the year 1 to that of 1970."""


def read_date(text: str) -> float | None:
    """Return the epoch seconds of ``2027-01-31`` (its beginning) or ``2027-01-31T12:00:00Z``.

    None for anything else: other zones, other forms, days that no calendar has.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day = (int(match[name]) for name in ("year", "month", "day"))
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if year < 1970 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return None
    if not 1 <= day <= _LENGTHS[month - 1] + (month == 2 and is_leap):
        return None
    past = year - 1
    days = past * 365 + past // 4 - past // 100 + past // 400 - _EPOCH
    days += sum(_LENGTHS[: month - 1]) + (month > 2 and is_leap) + day - 1
    return float(days * 86400 + hour * 3600 + minute * 60 + second)
