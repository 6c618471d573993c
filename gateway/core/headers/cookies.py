"""The gateway's own cookies: names, chunks, reading and writing (RFC 6265bis).

With an https ``public_url`` names carry ``__Host-`` and cookies are Secure (R38, R39). What only the
gateway's own endpoints read has their path, and so ``__Secure-`` instead: ``__Host-`` demands Path=/. On http
(loopback) names carry the port, since cookies ignore ports.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Header: TypeAlias = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Seal:
    """A value that the edge seals under the key ring, with a nonce that it draws, for one purpose."""

    purpose: str
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CookieChange:
    """A cookie of ours to set (``value`` sealed, chunked as needed) or to clear (``value`` None).

    ``plain`` is set as it is, where it tells nobody anything. ``cross_site``: other sites' forms send it.
    ``presented`` are the names of its chunks that the browser sent, so leftovers are cleared too.
    ``max_age`` is in seconds. ``path`` is the only part of the site that the browser sends it to, ``domain``
    whose hosts it is for, empty for the one that sets it.
    ``written`` holds, once that was sealed, under what and how it is written.
    """

    name: str
    value: Seal | None
    max_age: int = 0
    presented: tuple[str, ...] = ()
    path: str = "/"
    plain: str | None = None
    cross_site: bool = False
    domain: str = ""
    written: list[tuple[object, list[bytes]]] = field(
        init=False, default_factory=list, repr=False, compare=False
    )


MOST_BYTES: Final = 4096
MOST_CHUNKS: Final = 4
_MOST_COOKIES: Final = 300
_ATTRIBUTES: Final = len("; Path=/; Max-Age=9999999999; HttpOnly; SameSite=None; Secure")


_SHARED: Final = frozenset({"session", "refresh", "handle"})


@dataclass(frozen=True, slots=True)
class Site:
    """One public URL: its origin, authority, and everything named after them.

    ``session_cookie`` and ``refresh_cookie`` are the names of these cookies. ``domain`` is the one that they
    are for, empty where they are for this host alone.
    """

    origin: str
    authority: bytes
    secure: bool
    cookie_prefix: str
    domain: str = ""
    session_cookie: str = field(init=False)
    refresh_cookie: str = field(init=False)

    def __post_init__(self) -> None:
        # what is for a domain cannot be __Host-, and all else goes on to be: no other host can set it
        prefix = self.scoped_prefix if self.domain else self.cookie_prefix
        object.__setattr__(self, "session_cookie", prefix + "session")
        object.__setattr__(self, "refresh_cookie", prefix + "refresh")

    @property
    def loop_cookie(self) -> str:
        """The name of the cookie that remembers recent callbacks."""
        return self.cookie_prefix + "recent"

    @property
    def scoped_prefix(self) -> str:
        """What the names of cookies begin with that only the gateway's own endpoints are sent."""
        return "__Secure-gateway-" if self.secure else self.cookie_prefix

    @property
    def hint_cookie(self) -> str:
        """The name of the cookie that keeps the ID token for the provider's logout."""
        return self.scoped_prefix + "hint"

    @property
    def logout_cookie(self) -> str:
        """The name of the cookie that remembers a logout on its way over the provider."""
        return self.scoped_prefix + "logout"

    @property
    def evicted_cookie(self) -> str:
        """The name of the cookie that remembers which pending logins had to go."""
        return self.cookie_prefix + "evicted"

    @property
    def choice_cookie(self) -> str:
        """The name of the cookie that remembers at which provider this browser has logged in."""
        return self.cookie_prefix + "provider"

    @property
    def login_prefix(self) -> str:
        """What the names of pending logins begin with."""
        return self.cookie_prefix + "login-"

    def purpose(self, kind: str) -> str:
        """Bind a kind of cookie to this origin, so that one host's cookie never opens on another.

        Where the sessions of a domain are shared, they are bound to that.
        """
        return f"{kind} *.{self.domain}" if self.domain and kind in _SHARED else f"{kind} {self.origin}"


# bytes that some skip before a cookie's name; "=" since browsers send a nameless cookie's value alone
_BEFORE_A_NAME: Final = bytes(range(0x21)) + b'="\x7f'
_LONGEST_PREFIX: Final = 64


class OwnCookies:
    """What one Cookie line holds of ours.

    Attributes:
        rest: the line without our own cookies, None where nothing is left of it.
        has_own: whether there may be any of ours.
        leads_to: by site what the decision found that it leads to.
    """

    __slots__ = ("_by_prefix", "_line", "has_own", "leads_to", "rest")

    def __init__(self, line: Header, rest: bytes | None) -> None:
        self.rest = rest
        self.has_own = rest is None or len(rest) != len(line[0]) + len(line[1]) + 2
        self._line = line
        self._by_prefix: dict[str, dict[str, str]] = {}
        self.leads_to: dict[str, Any] = {}

    def of(self, prefix: str) -> dict[str, str]:
        """Return the cookies of a prefix; one that comes twice is left out (R46). Not to be changed."""
        found = self._by_prefix.get(prefix)
        if found is None:
            found = self._by_prefix[prefix] = read((self._line,), prefix)
        return found


def split_own(name: bytes, value: bytes, line: bytes, prefixes: tuple[bytes, ...]) -> OwnCookies:
    """Take a Cookie line apart: our own cookies, by lower-case prefixes, and the rest, byte for byte.

    ``line`` is what goes on where none are ours: long lines are not copied to be remembered.
    """
    rest = without_own(value, prefixes)
    if len(rest) == len(value):
        return OwnCookies((name, value), line if value else None)
    return OwnCookies((name, value), b"%b: %b" % (name, rest) if rest else None)


def without_own(value: bytes, prefixes: tuple[bytes, ...]) -> bytes:
    """Return a Cookie value without our own cookies; what is left keeps its bytes."""
    lower = value.lower()
    for prefix in prefixes:
        if prefix in lower:
            break
    else:
        return value
    pairs = value.split(b";")
    kept = [pair for pair in pairs if not is_own(pair, prefixes)]
    return value if len(kept) == len(pairs) else b";".join(kept).strip(b" \t")


def is_own(pair: bytes, prefixes: tuple[bytes, ...]) -> bool:
    """Tell whether a cookie's pair may be taken for one of ours, whoever reads it."""
    return pair.lstrip(_BEFORE_A_NAME)[:_LONGEST_PREFIX].lower().startswith(prefixes)


def read(headers: Iterable[Header], prefix: str) -> dict[str, str]:
    """Return the cookies whose names begin with ``prefix``; one that comes twice is left out (R46)."""
    start = prefix.encode()
    found: dict[str, str] = {}
    twice: set[str] = set()
    for name, value in headers:
        if len(name) == 6 and name.lower() == b"cookie" and start in value:
            for pair in value.split(b";", _MOST_COOKIES)[:_MOST_COOKIES]:
                key, equals, content = pair.strip(b" \t").partition(b"=")
                if not equals or not key.startswith(start):
                    continue
                text = key.decode("latin-1")
                if text in found:
                    twice.add(text)
                found[text] = content.decode("latin-1")
    for text in twice:
        del found[text]
    return found


def joined(cookies: Mapping[str, str], name: str) -> str | None:
    """Return a cookie's value put together from its chunks, or None when one is missing or surplus.

    The first chunk of several says how many there are; a count beyond ``MOST_CHUNKS`` counts as absent (R40).
    """
    first = cookies.get(name)
    if first is None:
        return None
    count, tilde, rest = first.partition("~")
    if not tilde:
        return first
    if len(count) != 1 or count not in "234":
        return None
    parts = [rest]
    for index in range(1, int(count)):
        part = cookies.get(f"{name}-{index}")
        if part is None:
            return None
        parts.append(part)
    return "".join(parts)


def presented(cookies: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return the names under which this cookie or its chunks were sent."""
    names = (name, *(f"{name}-{index}" for index in range(1, MOST_CHUNKS)))
    return tuple(each for each in names if each in cookies)


def chunk_capacity(name: str, path: str = "/", domain: str = "") -> int:
    """Return how many characters of value fit into one chunk."""
    more = len(path) - 1 + (len("; Domain=") + len(domain) if domain else 0)
    return max(1, MOST_BYTES - len(name) - 2 - 1 - 2 - _ATTRIBUTES - more)


def capacity(name: str) -> int:
    """Return how many characters of value fit into the chunks of one cookie."""
    return chunk_capacity(name) * MOST_CHUNKS


def _line(change: CookieChange, name: str, value: str, max_age: int) -> bytes:
    # both prefixes are only ever given on https, and are void without Secure (RFC 6265bis section 4.1.3)
    secure = "; Secure" if name.startswith(("__Host-", "__Secure-")) else ""
    # None is void without Secure
    same_site = "None" if change.cross_site and value and secure else "Lax"
    path = f"{change.path}; Domain={change.domain}" if change.domain else change.path
    return f"{name}={value}; Path={path}; Max-Age={max_age}; HttpOnly; SameSite={same_site}{secure}".encode(
        "latin-1"
    )


def set_cookie_lines(change: CookieChange, sealed: str | None) -> list[bytes]:
    """Return the Set-Cookie values for one change; ``sealed`` is its sealed text, None to clear.

    Raises:
        ValueError: the value does not fit into ``MOST_CHUNKS`` chunks; callers check ``capacity`` before.
    """
    lines: list[bytes] = []
    written: set[str] = set()
    if sealed is not None:
        size = chunk_capacity(change.name, change.path, change.domain)
        parts = [sealed[start : start + size] for start in range(0, len(sealed), size)] or [""]
        if len(parts) > MOST_CHUNKS:
            raise ValueError("a cookie of more than four chunks")
        if len(parts) > 1:
            parts[0] = f"{len(parts)}~{parts[0]}"
        for index, part in enumerate(parts):
            name = f"{change.name}-{index}" if index else change.name
            written.add(name)
            lines.append(_line(change, name, part, change.max_age))
    leftovers = change.presented if sealed is not None else (change.name, *change.presented)
    lines.extend(_line(change, name, "", 0) for name in dict.fromkeys(leftovers) if name not in written)
    return lines
