r"""Paths to claims, and templates that hold them, as a configuration writes them.

A path has steps between dots: ``realm_access.roles``. A step that ends in ``[]`` goes into each member of a
list: ``teams[].slug``. A backslash takes the meaning from the dot that follows it: ``apps.my\.app.roles``.
A template is a text with paths in braces, ``{given_name} {family_name}``; a brace itself is written twice.
"""

import re
from typing import TypeAlias

MOST_STEPS = 16
MOST_PIECES = 64

_PATH = re.compile(r"(?:[^\s\\{}]|\\[.\\])+")
_STEP = re.compile(r"(?:[^.\\]|\\.)+")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|([^{}]+)|([{}])")

Path: TypeAlias = tuple[tuple[str, bool], ...]
"""The steps, each with whether it goes into the members of a list."""

Piece: TypeAlias = "str | tuple[str, Path]"
"""A text, or a path with how it is written."""


def parse_path(text: str) -> Path | None:
    """Return the steps of a path, None where it is none."""
    if _PATH.fullmatch(text) is None:
        return None
    steps = _STEP.findall(text)
    # what is between two dots, at an end, or nothing but brackets
    if len(steps) > MOST_STEPS or ".".join(steps) != text:
        return None
    found = tuple((_plain(step.removesuffix("[]")), step.endswith("[]")) for step in steps)
    return found if all(name for name, _ in found) else None


def _plain(step: str) -> str:
    return re.sub(r"\\(.)", r"\1", step)


def parse_template(text: str) -> tuple[Piece, ...] | None:
    """Return a template's pieces, None where a brace stands alone or holds no path."""
    pieces: list[Piece] = []
    for match in _PIECE.finditer(text):
        path, plain, stray = match.groups()
        if stray is not None:
            return None
        if path is not None:
            steps = parse_path(path)
            if steps is None:
                return None
            pieces.append((path, steps))
        else:
            pieces.append(plain if plain is not None else match[0][0])
    return tuple(pieces) if len(pieces) <= MOST_PIECES else None
