"""What an explanation may show: never a credential, nor what might be one.

Values are shown of the fields that the gateway writes, and of the few of a client's in which nobody puts a
secret; of any other field its name alone. Of a query the names are shown, not the values.
"""

import re
from collections.abc import Iterable
from typing import Final

from gateway.core.headers.identity import IdentityHeader
from gateway.core.headers.request import Header
from gateway.core.rules.sends import Sends
from gateway.core.runtime import RuntimeConfig
from gateway.syntax.encoding import Json

HIDDEN: Final = "(hidden)"
AS_SENT: Final = "(as sent)"
_ELLIPSIS: Final = "..."
_MOST: Final = 300

_NAMES: Final = b"""
    accept accept-charset accept-encoding accept-language access-control-request-headers
    access-control-request-method cache-control content-encoding content-length content-type dnt expect
    forwarded host if-modified-since if-unmodified-since max-forwards origin pragma priority range sec-ch-ua
    sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc
    sec-purpose te trailer transfer-encoding upgrade upgrade-insecure-requests user-agent x-forwarded-for
    x-forwarded-host x-forwarded-prefix x-forwarded-proto x-request-id x-requested-with
"""
_PLAIN: Final = frozenset(_NAMES.split())
_CREDENTIALS: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"})
# as a JWT or an API key looks, wherever it stands
_SECRET: Final = re.compile(r"eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)*|gwk_[A-Za-z0-9_-]*")
_QUERY: Final = re.compile(r"([&;]?)([^&;=]*)(=?)([^&;]*)")


def text_of(value: bytes | str) -> str:
    """Return a text that can be shown: printable, not too long, nothing that looks like a JWT or a key."""
    text = value if isinstance(value, str) else value.decode("utf-8", "replace")
    text = _SECRET.sub(HIDDEN, "".join(sign if sign.isprintable() else "?" for sign in text))
    return text if len(text) <= _MOST else text[: _MOST - 3] + _ELLIPSIS


def host_of(host: bytes) -> str:
    """Return an authority without what stands before ``@``, where people put passwords."""
    user, at, name = host.rpartition(b"@")
    return text_of(_ELLIPSIS.encode() + at + name if user else host)


def target_of(target: bytes | str) -> str:
    """Return a target or URL whose query has no values; of one that has no names, nothing."""
    text = target if isinstance(target, str) else target.decode("latin-1")
    path, mark, query = text.partition("?")
    return text_of(path) + mark + (text_of(_QUERY.sub(_nameless, query)) if query else "")


def _nameless(found: re.Match[str]) -> str:
    sign, name, equals, value = found.groups()
    if not equals:
        return sign + (_ELLIPSIS if name else "")
    return f"{sign}{name}{equals}{_ELLIPSIS if value else ''}"


def headers_of(
    headers: Iterable[Header], runtime: RuntimeConfig, sends: Sends | None, told: Iterable[IdentityHeader]
) -> list[Json]:
    """Return the fields that an upstream gets: names, and the values that may be shown.

    Args:
        headers: all of them, in order.
        runtime: the configuration, whose key field holds a secret.
        sends: what the route says of its upstream, None where it says nothing.
        told: the fields that tell an identity here.
    """
    keys = runtime.settings.api_keys
    secret = _CREDENTIALS | (frozenset() if sends is None else sends.hidden)
    secret |= frozenset() if keys is None else {keys.header.lower().encode()}
    shown = _PLAIN | {each.name.lower() for each in told}
    return [_field(name, value, secret, shown) for name, value in headers]


def _field(name: bytes, value: bytes, secret: frozenset[bytes], shown: frozenset[bytes]) -> Json:
    lower = name.lower()
    text = text_of(value) if lower in shown else AS_SENT
    if lower in secret:
        text = HIDDEN
    return {"name": text_of(name), "value": text}
