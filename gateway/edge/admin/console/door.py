"""The door of the console: whose requests are let through, and how a browser is known again."""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.core.rules.rate_limit import MICROSECONDS, Buckets, compile_rate_limit, key_of
from gateway.edge.admin.console.visits import Visit
from gateway.edge.admin.http import Ask
from gateway.syntax import forms

MOST_FORM: Final = 65_536
COOKIE: Final = "gateway-console"
PENDING: Final = "gateway-console-login"
_ROOT: Final = "/console/"
MOST_KNOWN: Final = 256
"""Addresses that have logged in of late, and are kept out by no others."""
_OF_ONE: Final = RateLimitSettings(requests=10, per=60.0, by="address")
_OF_ALL: Final = RateLimitSettings(requests=60, per=60.0, by="address")


class Attempts:
    """How often somebody may try to log in: of one address, and all together.

    Args:
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._of_one = Buckets(compile_rate_limit(_OF_ONE, "console"))
        self._of_all = Buckets(compile_rate_limit(_OF_ALL, "console"))
        self._known: OrderedDict[str, None] = OrderedDict()

    def succeeded(self, client: str) -> None:
        """Remember that somebody has logged in from there: strangers together keep them out no more."""
        self._known[client] = None
        self._known.move_to_end(client)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def wait(self, client: str) -> int | None:
        """Count one attempt; return the seconds until the next may be made, where this is one too many."""
        now = int(self._monotonic() * MICROSECONDS)
        # who is shut out by themselves takes nothing from the others
        wait = self._of_one.take(key_of("address", None, client), now).wait
        if wait is not None or client in self._known:
            return wait
        return self._of_all.take("", now).wait


def is_private(client: str) -> bool:
    """Tell whether whoever asks is on this very machine, so that nobody can listen on the way."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


class Origin:
    """How browsers find the console by a request: its origin, and whether that is https.

    Args:
        ask: a request.
        url: ``admin.console.url``, under which TLS may end in front of the listener.
        is_tls: whether the listener itself speaks TLS.
    """

    def __init__(self, ask: Ask, url: str | None, *, is_tls: bool = False) -> None:
        hosts = ask.fields(b"host")
        self.host = hosts[0].decode("latin-1").lower() if len(hosts) == 1 else ""
        known = None if url is None else urlsplit(url)
        is_known = known is not None and known.scheme == "https" and self.host == known.netloc.lower()
        self.is_secure = is_tls or is_known
        self._own = f"{'https' if self.is_secure else 'http'}://{self.host}"

    def sent(self, ask: Ask) -> bool:
        """Tell whether a page of the console itself has sent this change."""
        origins = [each.decode("latin-1").lower() for each in ask.fields(b"origin")]
        sites = [each.strip().lower() for each in ask.fields(b"sec-fetch-site")]
        # browsers tell the origin of every POST; what tells none is no page of ours
        return bool(self.host) and origins == [self._own] and all(each == b"same-origin" for each in sites)

    def cookie(self, name: str) -> str:
        """Return the full name of a cookie: no other host, and no plain http, can set it where that is so."""
        # cookies know no ports, so what is for this one is told by its name
        port = self.host.rpartition(":")[2]
        return f"__Host-{name}" if self.is_secure else f"{name}-{port if port.isdecimal() else 'http'}"

    def set(self, name: str, value: str, *, lifetime: int | None = None, site: str = "Strict") -> str:
        """Return the value of Set-Cookie; a ``lifetime`` is in seconds, 0 clears it."""
        where = "Path=/; Secure" if self.is_secure else f"Path={_ROOT}"
        age = "" if lifetime is None else f"; Max-Age={lifetime}"
        return f"{self.cookie(name)}={value}; {where}; HttpOnly; SameSite={site}{age}"

    def read(self, ask: Ask, name: str) -> str:
        """Return what a cookie of ours holds, empty where it is not there, or there more than once."""
        wanted = self.cookie(name)
        found = []
        for field in ask.fields(b"cookie"):
            for piece in field.decode("latin-1").split(";"):
                key, _, value = piece.strip().partition("=")
                if key == wanted:
                    found.append(value)
        return found[0] if len(found) == 1 else ""


async def read_form(ask: Ask) -> Mapping[str, str] | None:
    """Return the fields of a form that was posted, None where it is none. Raises Fault: it is too large."""
    body = await ask.read(MOST_FORM)
    types = [(b"content-type", each) for each in ask.fields(b"content-type")]
    return forms.read_form(body) if forms.is_form(types) else None


def has_token(visit: Visit, fields: Mapping[str, str]) -> bool:
    """Tell whether a form brings the token of its session."""
    brought = fields.get("csrf", "").encode("utf-8", "replace")
    return hmac.compare_digest(brought, visit.csrf.encode())


def is_from_elsewhere(ask: Ask) -> bool:
    """Tell whether a page of another site led here, so that no Strict cookie was sent."""
    return [each.strip().lower() for each in ask.fields(b"sec-fetch-site")] == [b"cross-site"]


def is_embedded(ask: Ask) -> bool:
    """Tell whether a page has its browser ask for a part of it: a picture, a frame, a script."""
    return any(each.strip().lower() != b"document" for each in ask.fields(b"sec-fetch-dest"))
