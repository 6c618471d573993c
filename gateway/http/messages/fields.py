"""Small readers of field values that both directions share (RFC 9110 section 5.6, RFC 9112)."""

from gateway.core.headers.lines import Malformed

HEAD_END = b"\r\n\r\n"


def tokens(value: bytes) -> list[bytes]:
    """Return the members of a comma-separated list, lower case, without the empty ones."""
    members = [member.strip(b" \t") for member in value.lower().split(b",")]
    return [member for member in members if member]


def read_length(value: bytes) -> int:
    """Return a Content-Length (RFC 9110 section 8.6).

    Raises:
        Malformed: not 1 to 18 digits.
    """
    if not value.isdigit() or len(value) > 18:
        raise Malformed("Content-Length")
    return int(value)


__all__ = ["HEAD_END", "Malformed", "read_length", "tokens"]
