"""Languages: tags as they are written (BCP 47), and which of several a browser would rather read.

RFC 9110 section 12.5.4 says what Accept-Language is, RFC 4647 section 3.4 how one is looked up by it.
"""

import re
from collections.abc import Sequence
from typing import Final

MOST_FIELD: Final = 1000
"""Octets of Accept-Language that are read."""

MOST_RANGES: Final = 32
"""Language ranges that are read."""

_TAG: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,3}")
_RANGE: Final = re.compile(
    r"(?P<range>\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,7})"
    r"(?:[ \t]*;[ \t]*[qQ]=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)
_RIGHT_TO_LEFT: Final = frozenset(("ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"))


def is_tag(text: str) -> bool:
    """Tell whether a text has the form of a short language tag, such as ``de`` or ``pt-BR``."""
    return _TAG.fullmatch(text) is not None


def direction_of(tag: str) -> str:
    """Return in which direction a language is written, as HTML's ``dir`` says it."""
    return "rtl" if tag.partition("-")[0].lower() in _RIGHT_TO_LEFT else "ltr"


def ranges_of(field: bytes) -> tuple[list[str], list[str]]:
    """Return the ranges of an Accept-Language field, the dearest first, and those that are refused.

    Both are in lower case. What is malformed is left out, as is what comes after so much that no browser
    sends it.
    """
    found: list[tuple[float, str]] = []
    refused: list[str] = []
    for part in field[:MOST_FIELD].decode("latin-1").split(",", MOST_RANGES)[:MOST_RANGES]:
        match = _RANGE.fullmatch(part.strip(" \t"))
        if match is None:
            continue
        weight = float(match["weight"] or 1)
        name = match["range"].lower()
        if weight:
            found.append((weight, name))
        else:
            refused.append(name)
    found.sort(key=lambda each: -each[0])
    return [name for _, name in found], refused


def choose(field: bytes, tags: Sequence[str]) -> str:
    """Return the tag that an Accept-Language field asks for, the first where it asks for none of them.

    Each range is looked up as RFC 4647 section 3.4 says: as it is, then ever shorter. Beyond that a range
    that none of it is written for takes the first tag that is a kind of it, as ``pt`` does ``pt-BR``.

    Args:
        field: the value, of several fields joined by commas; empty where there is none.
        tags: what there is, at least one.
    """
    if not field or len(tags) == 1:
        return tags[0]
    wanted, refused = ranges_of(field)
    there = {tag.lower(): tag for tag in tags if tag.lower() not in refused}
    for each in wanted:
        if (found := _look_up(each, there)) is not None:
            return found
    return next(iter(there.values()), tags[0])


def _look_up(wanted: str, there: dict[str, str]) -> str | None:
    if wanted == "*":
        # RFC 4647 section 3.4: where it stands among others it is skipped; alone it asks for the default
        return None
    parts = wanted.split("-")
    while parts:
        if (found := there.get("-".join(parts))) is not None:
            return found
        parts.pop()
        # a single letter or digit leads to what came after it (RFC 4647 section 3.4)
        if parts and len(parts[-1]) == 1:
            parts.pop()
    return next((tag for name, tag in there.items() if name.startswith(f"{wanted}-")), None)
