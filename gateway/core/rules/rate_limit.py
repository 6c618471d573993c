"""How often a caller may ask: the generic cell rate algorithm, in whole microseconds.

Each caller has one number, its theoretical arrival time: the moment from which its allowance is whole again.
A request moves it on by one interval, and is refused where that would lead further ahead than the burst
allows. So no window of ``t`` ever lets through more than ``burst + t / interval`` requests.
"""

import hashlib
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final, Literal

from gateway.config.settings.rate_limits import RateLimitSettings
from gateway.core.headers.request import Header
from gateway.core.identity import Identity

MICROSECONDS: Final = 1_000_000
MOST_KEYS: Final = 50_000
_LONGEST_KEY: Final = 256
_PREFIX_BITS: Final = 64

By = Literal["identity", "address", "session"]


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit, compiled. ``interval`` is microseconds per request, rounded up.

    ``name`` is the route's or the limit's own. ``policy`` is the value of RateLimit-Policy: the burst, and
    the seconds in which it fills up again.
    """

    name: str
    interval: int
    burst: int
    by: By
    shared: bool
    policy: bytes

    @property
    def span(self) -> int:
        """Microseconds in which a spent burst becomes whole again."""
        return self.interval * self.burst


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one check found. ``remaining`` requests may follow at once.

    The burst is whole again in ``reset`` seconds. ``wait`` is None where the request may pass, else the
    seconds (at least 1) until one may.
    """

    remaining: int
    reset: int
    wait: int | None = None


def compile_rate_limit(settings: RateLimitSettings, name: str) -> RateLimit:
    """Compile a limit of settings that ``config.checks.every`` found good."""
    interval = ceil(settings.per * MICROSECONDS / settings.requests)
    burst = settings.requests if settings.burst is None else settings.burst
    window = ceil(interval * burst / MICROSECONDS)
    policy = b'"%b";q=%d;w=%d' % (_label(name), burst, window)
    return RateLimit(name, interval, burst, settings.by, settings.shared, policy)


def _label(name: str) -> bytes:
    """Return the inside of an sf-string (RFC 9651 section 3.3.3)."""
    kept = "".join(letter for letter in name if " " <= letter <= "~")
    return kept.replace("\\", "\\\\").replace('"', '\\"').encode("ascii")


def judge(limit: RateLimit, arrival: int, now: int) -> tuple[Allowance, int]:
    """Judge one request at ``now``, the caller's theoretical arrival time being ``arrival``; microseconds.

    Returns:
        What was found, and the new theoretical arrival time, which a refusal leaves as it was.
    """
    moved = max(arrival, now) + limit.interval
    ahead = moved - now
    if ahead > limit.span:
        wait = max(1, _seconds(ahead - limit.span))
        return Allowance(0, _seconds(arrival - now), wait), arrival
    return allowed(limit, ahead), moved


def allowed(limit: RateLimit, ahead: int) -> Allowance:
    """Tell of a request that passed and left its caller ``ahead`` microseconds ahead of now."""
    return Allowance((limit.span - ahead) // limit.interval, _seconds(ahead))


def refused(limit: RateLimit, ahead: int) -> Allowance:
    """Tell of a request that was refused, its caller being ``ahead`` microseconds ahead of now."""
    return Allowance(0, _seconds(ahead), max(1, _seconds(ahead + limit.interval - limit.span)))


def _seconds(microseconds: int) -> int:
    return -(-microseconds // MICROSECONDS)


def fields(limit: RateLimit, allowance: Allowance) -> tuple[Header, Header]:
    """Return RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10)."""
    name = limit.policy[: limit.policy.rindex(b'"') + 1]
    state = b"%b;r=%d;t=%d" % (name, allowance.remaining, allowance.reset)
    return (b"RateLimit-Policy", limit.policy), (b"RateLimit", state)


class Buckets:
    """The callers of one limit, in bounded memory.

    A caller whose allowance is whole again is forgotten without loss. Where the table is full of others, the
    one that is least ahead makes room, and from then on everybody who is not in the table counts as being
    as far ahead as it was. So nobody is ever better off for having been forgotten: flooding the table with
    new callers gives no limited one a fresh start, and costs a newcomer no more than the least busy owes.
    """

    __slots__ = ("_arrivals", "_floor", "_most", "_order", "limit")

    def __init__(self, limit: RateLimit, most: int = MOST_KEYS) -> None:
        self.limit = limit
        self._most = most
        self._floor = 0
        self._arrivals: dict[str, int] = {}
        # one entry for each caller, perhaps with an earlier time than the true one until it surfaces
        self._order: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._arrivals)

    def look(self, key: str, now: int) -> Allowance:
        """Judge a request without counting it."""
        return judge(self.limit, self._arrivals.get(key, self._floor), now)[0]

    def take(self, key: str, now: int) -> Allowance:
        """Judge a request, and count it if it passes. ``now`` is of a clock that never goes back."""
        known = self._arrivals.get(key)
        found, moved = judge(self.limit, self._floor if known is None else known, now)
        if found.wait is None:
            self._keep(key, known, moved, now)
        return found

    def count(self, key: str, now: int) -> None:
        """Count a request that passed elsewhere, even beyond what would pass here."""
        known = self._arrivals.get(key)
        start = max(self._floor if known is None else known, now)
        # what is owed stays within one burst, or a caller could be shut out for longer than it ever asked
        self._keep(key, known, min(start + self.limit.interval, now + self.limit.span), now)

    def _keep(self, key: str, known: int | None, moved: int, now: int) -> None:
        if known is None:
            if len(self._arrivals) >= self._most:
                self._make_room(now)
            heappush(self._order, (moved, key))
        self._arrivals[key] = moved

    def _make_room(self, now: int) -> None:
        order, arrivals = self._order, self._arrivals
        while True:
            noted, key = order[0]
            true = arrivals[key]
            if true != noted:
                heapreplace(order, (true, key))
                continue
            heappop(order)
            del arrivals[key]
            if true > now:
                self._floor = max(self._floor, true)
            return


def key_of(by: By, identity: Identity | None, client: str) -> str:
    """Return whose request it is: the first letter says of what kind, so that no two kinds meet.

    ``session`` falls back to the identity (a bearer token has no session), and that to the address.
    """
    if identity is not None and by != "address":
        if by == "session" and identity.session_id is not None:
            return _short(f"s{identity.session_id}")
        return _short(f"i{len(identity.issuer)}:{identity.issuer}{identity.subject}")
    return f"a{network_of(client)}"


def network_of(client: str) -> str:
    """Return what counts as one address: itself, or its /64 in IPv6, where one customer has at least that."""
    if ":" not in client:
        return _short(client)
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return _short(client)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        network = int(address) >> _PREFIX_BITS << _PREFIX_BITS
        return f"{IPv6Address(network)}/{_PREFIX_BITS}"
    return str(address)


def _short(text: str) -> str:
    if len(text) <= _LONGEST_KEY:
        return text
    return text[0] + "#" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
