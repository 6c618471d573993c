"""What authenticates a connection instead of a request (NTLM, Negotiate; RFC 4559): R77."""

import re
from collections.abc import Iterable
from typing import Final

from gateway.core.headers.kinds import BINDING_SCHEME

_CREDENTIALS: Final = re.compile(rb"(?i:proxy-)?(?i:authorization):(?:[^\r\n]*[ \t,])?" + BINDING_SCHEME)


def sends_binding(lines: Iterable[bytes]) -> bool:
    """Tell whether the field lines of a request authenticate the connection that it is sent on."""
    return any(_CREDENTIALS.match(line) for line in lines)
