"""Small readers of field values that both directions share (RFC 9110 section 5.6, RFC 9112)."""

from typing import Final

from gateway.core.headers.lines import Malformed, read_length

HEAD_END: Final = b"\r\n\r\n"


def tokens(value: bytes) -> list[bytes]:
    """Return the members of a comma-separated list, lower case, without the empty ones."""
    members = [member.strip(b" \t") for member in value.lower().split(b",")]
    return [member for member in members if member]


__all__ = ["HEAD_END", "Malformed", "read_length", "tokens"]
