"""Colours as ``#rrggbb``: how much two differ to the eye (WCAG 2.2), and mixtures of two."""

import re
from typing import Final, TypeAlias

READABLE: Final = 4.5
"""The least contrast of text with its ground (WCAG 2.2, success criterion 1.4.3)."""

Parts: TypeAlias = tuple[int, int, int]

_FORM: Final = re.compile(r"#[0-9a-fA-F]{6}")


def is_colour(text: str) -> bool:
    """Tell whether a text is a colour in the form ``#rrggbb``."""
    return _FORM.fullmatch(text) is not None


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mixed(one: str, other: str, share: float) -> str:
    """Return a colour that is ``share`` (0 to 1) of the second and the first for the rest."""
    parts = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round(first + (second - first) * share):02x}" for first, second in parts)


def text_on(ground: str) -> str:
    """Return black or white, whichever is easier to read on a colour."""
    return max("#ffffff", "#000000", key=lambda each: contrast(each, ground))


def _parts(colour: str) -> Parts:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(part / 255) for part in _parts(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
