"""``POST /explain``: what would happen to a request, as this very process sees it, and without any effect.

Nothing is fetched, refreshed, counted, used up or remembered: the decision runs on a configuration of its
own that remembers nothing, with what this process knows, looked at and left as it is.
"""

import asyncio
import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from gateway.config.settings.root import Settings
from gateway.core.access.credentials import BearerToken, KnownCaller
from gateway.core.access.possession import PURPOSE
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import (
    Admit,
    Introspect,
    KeyRecord,
    KeyUsed,
    Need,
    Random,
    TokenUserInfo,
    UseOnce,
)
from gateway.core.explain.account import account, refusal, request_of
from gateway.core.explain.facts import Found, Look
from gateway.core.fault import Fault
from gateway.core.headers.request import Header, Request
from gateway.core.identity import Identity
from gateway.core.memo import Sight
from gateway.core.reasons import Reason
from gateway.core.rules.rate_limit import Allowance, RateLimit
from gateway.core.runtime import RuntimeConfig, compile_settings
from gateway.core.tokens.api_key import StoredKey
from gateway.core.tokens.introspection import Introspection
from gateway.edge.admin.sessions import Answer
from gateway.http.messages.request_head import read_request_head
from gateway.syntax.encoding import Json
from gateway.syntax.tokens import is_token

MOST_QUESTION: Final = 262_144
"""Bytes of a question: a head, as JSON."""
A_CLIENT: Final = "192.0.2.1"
"""An address for documentation (RFC 5737): asked as a client, whom no proxy vouches for."""
_MOST_FIELDS: Final = 500
_MEMBERS: Final = frozenset({"method", "target", "host", "headers", "client"})


class _Refusal(Exception):  # noqa: N818 - a verdict about a question, no error of ours
    """The question is none; the text holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What this process knows besides its knowledge; each looks without fetching or changing anything.

    ``said`` by what a provider would be asked, ``key`` by an id, ``allowance`` by a limit and a caller.
    """

    said: Callable[[Introspect | TokenUserInfo], Introspection | None]
    key: Callable[[str], tuple[StoredKey, float] | None]
    allowance: Callable[[RateLimit, str], Allowance]


class ExplainAdmin:
    """Answers what an operator asks about a request.

    Args:
        knowledge: returns what requests are decided on now.
        known: what this process knows besides.
        clock: seconds since the epoch.
    """

    def __init__(self, knowledge: Callable[[], Knowledge], known: Known, clock: Callable[[], float]) -> None:
        self._knowledge = knowledge
        self._known = known
        self._clock = clock

    async def answer(self, fields: Mapping[str, Json]) -> Answer:
        """Answer a question; docs/explain.md names the members."""
        try:
            request = _read(fields)
        except _Refusal as refused:
            return Answer(400, detail=str(refused))
        live = self._knowledge()
        # requests go on meanwhile
        runtime = await asyncio.to_thread(compile_settings, live.runtime.settings, remembers=False)
        # during a reload it opens what the next one seals as well
        runtime = replace(runtime, ring=live.runtime.ring)
        sessions = Sight(live.memory.sessions)
        knowledge = replace(live, runtime=runtime, memory=Memory(sessions=sessions), facts={})
        now, look = self._clock(), self._look_of(runtime)
        return Answer(200, explain_request(request, knowledge, now, look, live.runtime))

    def _look_of(self, runtime: RuntimeConfig) -> Look:
        def look(need: Need) -> Found | None:
            if isinstance(need, Introspect | TokenUserInfo):
                said = self._known.said(need)
                source = f"provider {need.provider}, remembered"
                return None if said is None else Found(said, source, said.asked_at)
            if isinstance(need, KeyRecord):
                return self._see_key(need, runtime)
            if isinstance(need, Admit):
                source = (
                    "this worker's count; the store's was not asked"
                    if need.limit.shared
                    else "this worker's count"
                )
                return Found(self._known.allowance(need.limit, need.key), source)
            return unfetched(need)

        return look

    def _see_key(self, need: KeyRecord, runtime: RuntimeConfig) -> Found | None:
        if (seen := self._known.key(need.key_id)) is not None:
            return Found(seen[0], "the store, as this worker looked it up last", seen[1])
        if need.key_id in runtime.api_keys:
            # the entry in the denylist, which goes first, says whether it was revoked
            return Found(StoredKey(), "the configuration; the store was not asked about it")
        return None


def unfetched(need: Need) -> Found | None:
    """Return the answer to what needs no looking: random bytes, which are none here, and what is not done."""
    if isinstance(need, Random):
        return Found(bytes(need.size), "nowhere: nothing is drawn")
    if isinstance(need, UseOnce) and need.purpose == PURPOSE:
        return Found(True, "nowhere: whether the proof is new was not asked")
    return Found(True, "nowhere: it is not noted") if isinstance(need, KeyUsed) else None


def explain_request(
    request: Request, knowledge: Knowledge, now: float, look: Look, live: RuntimeConfig | None = None
) -> dict[str, Json]:
    """Return the account of a request, also where the listener answers it by itself.

    The memories of ``knowledge``, and of its configuration, are of this asking alone; ``live`` remembers
    credentials, None where nothing does.
    """
    settings = knowledge.runtime.settings
    try:
        asked = _read_head(knowledge.runtime, request)
    except Fault as fault:
        return refusal(request, fault.reason, fault.detail)
    if live is not None:
        _see_credentials(asked, knowledge.runtime, live)
    request = asked
    if _asks_for_health(settings, request):
        told = "200 while this process would serve, else 503 (health_path)"
        return request_of(request) | {"decision": "none", "told": told}
    return account(request, knowledge, now, look)


def _see_credentials(request: Request, own: RuntimeConfig, live: RuntimeConfig) -> None:
    """Give a request's credentials what this process remembers of them, as copies."""
    request.sort(own.rules.request_lines)
    for line in request.authorization:
        known = live.rules.request_lines.known.get(line.raw)
        if known is not None and isinstance(known.found, BearerToken):
            line.found = _copy_of(known.found)


def _copy_of(found: BearerToken) -> BearerToken:
    bearer = type(found)()
    if found.verified is not None:
        keys, identity, since = found.verified
        bearer.verified = keys, _clean(identity), since
    if found.known is not None:
        bearer.known = {
            name: KnownCaller(_clean(each.identity), each.since, each.until, each.ends)
            for name, each in found.known.items()
        }
    return bearer


def _clean(identity: Identity) -> Identity:
    """Return an identity of which nothing else was found yet."""
    one = copy.copy(identity)
    one.identity_block = one.told = one.cleared = one.text = None
    one.passed = frozenset()
    return one


def _read_head(runtime: RuntimeConfig, request: Request) -> Request:
    """Return a head as the listener reads it. Raises Fault: it refuses such a head before any decision."""
    limits = runtime.settings.limits
    first = b"%b %b HTTP/1.1" % (request.method, request.target)
    data = b"\r\n".join((first, *map(b": ".join, request.headers), b"", b""))
    if len(data) > limits.head:
        raise Fault("client", Reason.HEAD_TOO_LARGE)
    return read_request_head(
        data,
        runtime.rules.request_lines,
        request.peer,
        methods=frozenset(each.encode() for each in runtime.settings.extra_methods),
        most_fields=limits.fields,
    )[0]


def _asks_for_health(settings: Settings, request: Request) -> bool:
    path = settings.health_path
    is_there = path is not None and request.target.partition(b"?")[0] == path.encode()
    return is_there and request.method in (b"GET", b"HEAD")


def _read(fields: Mapping[str, Json]) -> Request:
    """Return the request that is asked about. Raises _Refusal."""
    if not {"method", "target", "host"} <= fields.keys() <= _MEMBERS:
        raise _Refusal("The members are: method, target, host, and headers, client if need be.")
    method, target, host = (_bytes(fields[name], name) for name in ("method", "target", "host"))
    if not is_token(method) or not host or not target or set(target) & set(b" \t"):
        raise _Refusal("There is no such request: method is a token, target and host have no white space.")
    told = fields.get("headers", [])
    if not isinstance(told, list) or len(told) > _MOST_FIELDS:
        raise _Refusal(f"headers is a list of at most {_MOST_FIELDS} [name, value].")
    headers: list[Header] = [_header(each) for each in told]
    return Request(method, target, host.lower(), ((b"Host", host), *headers), _client(fields.get("client")))


def _header(told: Json) -> Header:
    if not isinstance(told, list) or len(told) != 2:
        raise _Refusal("A header is [name, value].")
    name, value = _bytes(told[0], "name"), _bytes(told[1], "value")
    if not is_token(name):
        raise _Refusal("The name of a header is a token.")
    return name, value.strip(b" \t")


def _bytes(value: Json, name: str) -> bytes:
    if not isinstance(value, str) or any(sign in value for sign in "\r\n\0"):
        raise _Refusal(f"{name} is a text without line breaks.")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise _Refusal(f"{name} is no Unicode text.") from None


def _client(value: Json) -> str:
    if value is None:
        return A_CLIENT
    try:
        return str(ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise _Refusal("client is an IP address.") from None


__all__ = ["A_CLIENT", "MOST_QUESTION", "ExplainAdmin", "Known", "explain_request", "unfetched"]
