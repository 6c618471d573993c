"""W3C Trace Context: which trace a request belongs to, and who in it sent it.

What cannot be read is as if it were absent (section 3.2.3): the trace then begins anew.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SAMPLED: Final = 0x01
_RANDOM: Final = 0x02
MOST_PARENT: Final = 256
"""Bytes of a traceparent; those of versions to come may be longer than version 00's 55."""
MOST_STATE: Final = 1024
"""Bytes of a tracestate, of all its fields together; 512 have to be passed on."""
_MOST_MEMBERS: Final = 32

_PARENT: Final = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-[!-~]*)?"
)
_KEY: Final = rb"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_MEMBER: Final = re.compile(
    rb"(?P<key>" + _KEY + rb")=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where in which trace somebody is: ``trace_id`` has 16 bytes, ``span_id`` 8, neither is all zero."""

    trace_id: bytes
    span_id: bytes
    flags: int
    state: bytes = b""

    @property
    def is_sampled(self) -> bool:
        """Whether whoever sent this records it."""
        return bool(self.flags & SAMPLED)


def read(parents: Sequence[bytes], states: Sequence[bytes]) -> TraceContext | None:
    """Return the context that these fields tell, None where they tell none.

    Args:
        parents: the values of every traceparent: more than one is none.
        states: the values of every tracestate. Where they cannot be read the context has none.
    """
    if len(parents) != 1 or len(parents[0]) > MOST_PARENT:
        return None
    match = _PARENT.fullmatch(parents[0])
    if match is None or match["version"] == b"ff":
        return None
    if match["version"] == b"00" and match["more"] is not None:
        return None
    trace_id, span_id = bytes.fromhex(match["trace"].decode()), bytes.fromhex(match["parent"].decode())
    if not any(trace_id) or not any(span_id):
        return None
    return TraceContext(trace_id, span_id, int(match["flags"], 16) & (SAMPLED | _RANDOM), _state(states))


def _state(values: Sequence[bytes]) -> bytes:
    """Return the list that these make up (section 3.3), empty where it is none."""
    joined = b",".join(values)
    if len(joined) > MOST_STATE:
        return b""
    members = [member for each in joined.split(b",") if (member := each.strip(b" \t"))]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match["key"] for match in matches if match is not None}
    # one that is no member, or one key twice
    if len(members) > _MOST_MEMBERS or len(keys) != len(members):
        return b""
    return b",".join(members)


def write(context: TraceContext) -> bytes:
    """Return the lines that tell a context, joined by CRLF."""
    line = b"traceparent: 00-%b-%b-%02x" % (
        context.trace_id.hex().encode(),
        context.span_id.hex().encode(),
        context.flags,
    )
    return b"%b\r\ntracestate: %b" % (line, context.state) if context.state else line
