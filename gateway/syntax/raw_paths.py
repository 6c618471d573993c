"""Paths that go on as they came, where every reading of them is below the one route that lets them (R79).

Applications take ``%2F``, ``//`` and ``;`` for parts of a name. Such a path is read in several ways, and the
ways are not ours to know; what no reading can do is leave a directory without a ``..``.
"""

import re
from urllib.parse import unquote_to_bytes

from gateway.syntax.targets import Target, plain_letters, split_target

# nobody decodes more often, and each round costs the whole path
_MOST_DECODINGS = 4
_ESCAPES = re.compile(rb"%(?:[0-9A-Fa-f]{2})?")
# ASCII in overlong UTF-8, as some decoders take it
_OVERLONG = re.compile(rb"[\xc0\xc1]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]|\xf8[\x80-\x87]|\xfc[\x80-\x83]")
_PIECES = re.compile(r"[/\\;?#%]")
_SEGMENTS = re.compile(r"[/\\]")
_PARAMETERS = re.compile(r"[;?#]")


def raw_target(target: bytes) -> Target | None:
    """Return an origin-form target as it came, None where it may lead out of the directory that it begins in.

    That is ``..`` in any spelling, what a client reads an authority in (``//host`` and the like), a control
    byte, an overlong or incomplete escape, one that is nested deeper than anybody decodes.
    """
    found = split_target(target)
    if found is None or any(len(each) == 1 for each in _ESCAPES.findall(found.path)):
        return None
    text = _decoded(found.path)
    if text is None or any(_climbs(piece) for piece in _PIECES.split(text)):
        return None
    return found if first_segment(text) is not None else None


def begins_with(target: Target, prefix: bytes) -> bool:
    """Tell whether any reading of such a target is below a prefix, such as that of our own endpoints."""
    text = _decoded(target.path)
    return text is None or first_segment(text) == prefix.decode("latin-1").split("/")[1].casefold()


def first_segment(text: str) -> str | None:
    """Return the first segment of a decoded path, in lower case; None where a client reads an authority."""
    for segment in _SEGMENTS.split(text)[1:]:
        name = _PARAMETERS.split(segment)[0]
        if name == ".":
            continue
        return name.casefold() or (None if text != "/" else "")
    return ""


def _decoded(path: bytes) -> str | None:
    for _ in range(_MOST_DECODINGS):
        plain = unquote_to_bytes(path)
        if plain == path:
            break
        path = plain
    else:
        return None
    if _OVERLONG.search(path) or any(byte < 0x20 or byte == 0x7F for byte in path):
        return None
    return plain_letters(path)


def _climbs(piece: str) -> bool:
    # some file systems drop spaces at a name's end, and "....//" is "../" to whoever takes "../" out once
    plain = piece.strip()
    return len(plain) > 1 and not plain.strip(".")
