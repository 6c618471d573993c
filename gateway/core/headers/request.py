"""A request's head, framed and validated, before any decision."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.core.pattern import Pattern

from typing import Any, TypeAlias

Header: TypeAlias = tuple[bytes, bytes]


class Field:
    """One header field: name and value, the whole line with CRLF as we send it, and its meaning to framing.

    ``kind`` is the data plane's; 0 means that the field says nothing about framing.
    """

    __slots__ = ("kind", "line", "name", "value")

    def __init__(self, name: bytes, value: bytes, kind: int = 0, line: bytes | None = None) -> None:
        self.name = name
        self.value = value
        self.kind = kind
        self.line = b"%b: %b\r\n" % (name, value) if line is None else line


class Request:
    """One framed and validated request head (RFC 9112), before any decision; never changed once made.

    Args:
        method: as sent.
        target: origin-form (an absolute-form whose authority equals Host has been reduced) or ``*``.
        host: the Host field, lower case, with its port when one was sent.
        headers: (name, value) pairs in order and spelling, values without surrounding white space; unused
            where ``fields`` are given.
        peer: the socket's address.
        tls: whether it came over TLS.
        fields: the same, as the data plane parsed them.

    Attributes:
        pattern: the ``core.pattern.Pattern`` that recognised it; None where it was read field by field.
        match: where in its bytes the pattern found what differs; ``fields`` are then read when asked for.
        kept: whether this very object may come again; ``plan`` is then what the pipeline worked out for it.
    """

    __slots__ = (
        "_fields",
        "_headers",
        "host",
        "kept",
        "match",
        "method",
        "pattern",
        "peer",
        "plan",
        "target",
        "tls",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        host: bytes,
        headers: tuple[Header, ...] | None,
        peer: str,
        tls: bool = False,
        fields: tuple[Field, ...] | None = None,
        pattern: "Pattern | None" = None,
        match: "re.Match[bytes] | None" = None,
    ) -> None:
        self.method = method
        self.target = target
        self.host = host
        self.peer = peer
        self.tls = tls
        self.pattern = pattern
        self.match = match
        self.kept = False
        self.plan: Any = None
        self._fields = fields
        self._headers = headers

    @property
    def fields(self) -> tuple[Field, ...] | None:
        """The fields as the data plane parsed them, None where only ``headers`` were given."""
        if self._fields is None and self.match is not None and self.pattern is not None:
            self._fields = self.pattern.read(self.match[0])
        return self._fields

    @property
    def headers(self) -> tuple[Header, ...]:
        """The fields as (name, value) pairs."""
        if self._headers is None:
            self._headers = tuple((field.name, field.value) for field in self.fields or ())
        return self._headers
