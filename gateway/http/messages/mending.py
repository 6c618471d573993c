"""Response heads as real servers write them, brought into the one form that is read strictly (RFC 9112).

Only towards upstreams, which the operator has chosen: the client is written a head anew, so nothing of this
reaches anybody who might read it otherwise. Requests are never mended (R57).

1. A line may end in LF alone (section 2.2); the first empty line ends the head, however it ends itself.
2. Empty lines before the status line are skipped.
3. A line that begins with white space continues the one before: a space takes the place of the fold
   (section 5.2).
4. White space between a field's name and its colon is removed (section 5.1).
5. The same Content-Length twice, in one line or in several, is one (RFC 9110 section 8.6).

Everything is within the bounds of heads. A control byte in a value has no reading: the fault names the field.
"""

import re
from typing import Final

from gateway.core.headers.lines import Malformed
from gateway.syntax.tokens import is_token

_LINE_END: Final = re.compile(rb"\r?\n")
_EMPTY_LINES: Final = re.compile(rb"(?:\r?\n)*")
# a CR may be the last byte so far
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?=[^\n])")
_BLANK: Final = b" \t"
_LONGEST_NAME: Final = 128
# folds among them: each is put to what came before it
_MOST_LINES: Final = 1024


def end_of_head(data: bytes) -> int:
    """Return the place after the first head in the data, 0 while it is not complete."""
    start = 0 if data[:1] > b"\r" else skip_empty_lines(data)
    end = data.find(b"\n\r\n", start)
    # the first LF of one may be the last of the other
    bare = data.find(b"\n\n", start) if end < 0 else data.find(b"\n\n", start, end + 1)
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else 0


def skip_empty_lines(data: bytes) -> int:
    """Return the place after the empty lines that data begins with."""
    if data[:1] not in (b"\r", b"\n"):
        return 0
    match = _EMPTY_LINES.match(data)
    assert match is not None
    return match.end()


def check_bytes(data: bytes, start: int) -> None:
    """Refuse a head as soon as a byte has come that can stand in none; what came before ``start`` is checked.

    Raises:
        Malformed: a control byte; the field in which it stands is named.
    """
    match = _CONTROL.search(data, start)
    if match is not None:
        line = data[data.rfind(b"\n", 0, match.start()) + 1 : match.start()]
        raise Malformed(_where(line))


def _where(line: bytes) -> str:
    name, colon, _ = line.partition(b":")
    name = name.rstrip(_BLANK)
    if not colon or len(name) > _LONGEST_NAME or not is_token(name):
        return "control byte"
    return f"control byte in {name.decode('ascii')}"


def mend(data: bytes) -> tuple[bytes, bool]:
    """Bring one head into its strict form.

    Returns:
        the head, and whether its lines were beyond doubt: where they were not, what follows the response on
        its connection is not trusted to be the next one (a bare LF may be somebody's who could write into a
        field).

    Raises:
        Malformed: it cannot be mended.
    """
    check_bytes(data, 0)
    lines = _LINE_END.split(data[skip_empty_lines(data) :])
    if len(lines) > _MOST_LINES:
        raise Malformed("too many lines")
    lines = _unfold(lines)
    joined = b"\r\n".join(lines)
    return b"\r\n".join(_one_length(lines)), joined == data


def _unfold(lines: list[bytes]) -> list[bytes]:
    found = lines[:1]
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t"):
            if len(found) == 1:
                raise Malformed("white space before the first field")
            found[-1] = found[-1].rstrip(_BLANK) + b" " + line.strip(_BLANK)
            continue
        name, colon, value = line.partition(b":")
        found.append(name.rstrip(_BLANK) + colon + value)
    return found


def _one_length(lines: list[bytes]) -> list[bytes]:
    """Return the lines with one Content-Length in the place of several equal ones."""
    places = [at for at, line in enumerate(lines) if line[:15].lower() == b"content-length:"]
    values = {value.strip(_BLANK) for at in places for value in lines[at][15:].split(b",")}
    if len(values) != 1:
        # different ones are refused when they are read
        return lines
    kept = [line for at, line in enumerate(lines) if at not in places[1:]]
    kept[places[0]] = b"Content-Length: " + values.pop()
    return kept
