"""What is remembered of decisions to forward: a request that a pattern recognised need not be decided anew.

Requests of one pattern, on one route, from one peer, presenting the same credentials, and told of in the same
way where the peer is a trusted proxy, get the same answer for as long as that answer lasts
(``core.lasting``): a decision to forward reads nothing else of them.
"""

import re
from time import perf_counter
from typing import Final, TypeAlias

from gateway.core.decision.context import Knowledge
from gateway.core.headers.request import Request
from gateway.core.headers.rules import forwarded_of
from gateway.core.pattern import Pattern, PatternKey, compile_pattern, key_of
from gateway.core.rules.routes import Route
from gateway.core.span import Spanned
from gateway.http.memo import HeadMemo
from gateway.pipeline.plan import Plan

_MOST_PATTERNS: Final = 256
_MOST_COUNTED: Final = 256
_OFTEN: Final = 32
"""So often must heads have come before a pattern is made of them."""

_PAUSE: Final = 20.0
"""Times as long as one pattern took to compile, none is: nobody can buy more than a twentieth of the core."""

_MOST_SAID: Final = 4096
_RECORDS: Final = 1536
_MOST_HOSTS: Final = 4096
_MOST_TOLD: Final = 256

PlanKey: TypeAlias = tuple[Pattern, Route, str, bool, bytes | tuple[bytes, ...], tuple[bytes, ...]]


def _measure(key: PlanKey, plan: Plan) -> int:
    presented = key[4]
    size = len(presented) if isinstance(presented, bytes) else sum(map(len, presented))
    return _RECORDS + plan.size + size + sum(map(len, key[5]))


class Recall:
    """Patterns, and the plans of requests that they recognise, under one state of knowledge.

    Bounded in entries and bytes; plans are kept only for what is presented a second time.

    Args:
        knowledge: what every plan here was decided on; under another nothing here is of use.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._names = knowledge.compiled.rules.request_names
        self._routes = knowledge.compiled.routes
        self._prefix = knowledge.compiled.prefix
        self._patterns: dict[PatternKey, Pattern] = {}
        self._older: dict[PatternKey, Pattern] = {}
        # apart from the patterns: heads that each come once are cheap to make, and must not displace those
        self._counts: dict[PatternKey, int] = {}
        self._older_counts: dict[PatternKey, int] = {}
        self._compile_after = 0.0
        self._asked: PlanKey | None = None
        self._asked_for: Request | None = None
        # the name under which it came
        self._host = b""
        self._proxies = knowledge.compiled.rules.proxies
        self._hosts: dict[tuple[Pattern, bool, tuple[bytes, ...]], bytes] = {}
        self._plans: HeadMemo[PlanKey, Plan] = HeadMemo(
            _measure, most_entries=16_384, most_bytes=28 << 20, most_size=32_768
        )

    def pattern_of(self, request: Request) -> Pattern | None:
        """Return the pattern of a head that its connection did not recognise; None where it has none yet."""
        if request.pattern is not None and request.pattern.names is self._names:
            return None
        key = key_of(request, self._names)
        if key is None:
            return None
        known = self._patterns.get(key)
        if known is None and (known := self._older.pop(key, None)) is not None:
            self._keep(key, known)
        if known is not None:
            return known
        count, began = self._count(key), perf_counter()
        if count < _OFTEN or began < self._compile_after:
            return None
        pattern = compile_pattern(request, self._names)
        ended = perf_counter()
        self._compile_after = ended + _PAUSE * (ended - began)
        if pattern is not None:
            self._keep(key, pattern)
        else:
            # such heads have none: count from the beginning, so that it is not tried each time
            self._counts[key] = -_OFTEN
        return pattern

    def _count(self, key: PatternKey) -> int:
        """Return how often heads of this key have come."""
        count = self._counts.get(key)
        if count is None:
            if len(self._counts) >= _MOST_COUNTED:
                self._older_counts, self._counts = self._counts, {}
            count = self._older_counts.pop(key, 0)
        self._counts[key] = count = count + 1
        return count

    def _keep(self, key: PatternKey, pattern: Pattern) -> None:
        if len(self._patterns) >= _MOST_PATTERNS:
            for each in self._older.values():
                each.retire()
            self._older, self._patterns = self._patterns, {}
        self._patterns[key] = pattern

    def find(self, request: Request, now: float) -> Plan | None:
        """Return the plan of such a request, if one is known that holds at ``now`` (epoch seconds)."""
        self._asked_for = request
        plan = self._find_spanned(request, now) if isinstance(request, Spanned) else self._find(request, now)
        if plan is not None and request.kept:
            plan = request.plan = plan.specialise(request)
        return plan

    def _find_spanned(self, request: Spanned, now: float) -> Plan | None:
        span = request.span
        plan: Plan | None = span.plan
        if plan is not None and plan.lasting.holds(self.knowledge, now):
            return plan
        plan, pattern = self._find(request, now), span.pattern
        span.plan = None
        if plan is not None and self._routes.settled(self._host, span.directory, pattern.method):
            span.plan = plan.narrow(request)
        if span.plan is None and (plan is not None or self._asked is None):
            # what is asked there is each a case of its own
            span.retire()
        return span.plan or plan

    def _find(self, request: Request, now: float) -> Plan | None:
        pattern, match = request.pattern, request.match
        if pattern is None or match is None:
            self._asked = None
            return None
        key = self._asked = self._key(pattern, match, request)
        if key is None:
            return None
        plan = self._plans.young.get(key) or self._plans.get(key)
        return plan if plan is not None and plan.lasting.holds(self.knowledge, now) else None

    def learn(self, request: Request, plan: Plan) -> None:
        """Keep the plan of a request, for those that cannot be told from it.

        Only of the one that was looked for last: whoever has waited since is no longer that.
        """
        key = self._asked
        if key is None or request is not self._asked_for or not self._plans.comes_again(key):
            return
        general = plan.generalise(request, forwarded_of(request, self.knowledge.compiled.rules))
        if general is not None and general.size <= _MOST_SAID:
            self._plans.put(key, general)

    def _key(self, pattern: Pattern, match: "re.Match[bytes]", request: Request) -> PlanKey | None:
        if pattern.names is not self._names:
            return None
        path = match[2]
        # what could be read in two ways, and what is our own, is for ``decide``
        if b"//" in path or b"/." in path or path.startswith(self._prefix):
            return None
        told = self._told(pattern, match, request) if pattern.forwarding else ()
        self._host = self._host_of(pattern, told, request) if told else pattern.host
        route = self._routes.match(self._host, path, pattern.method)
        if route is None:
            return None
        return (pattern, route, request.peer, request.tls, match.group(*pattern.telling), told)

    def _told(self, pattern: Pattern, match: "re.Match[bytes]", request: Request) -> tuple[bytes, ...]:
        """Return what forwarding fields say, where they are believed."""
        if self._proxies.is_trusted(request.peer):
            return tuple(match[group] for group in pattern.forwarding)
        return ()

    def _host_of(self, pattern: Pattern, told: tuple[bytes, ...], request: Request) -> bytes:
        """Return under which name a request came that a trusted proxy tells of."""
        key = (pattern, request.tls, told)
        host = self._hosts.get(key)
        if host is None:
            host = forwarded_of(request, self.knowledge.compiled.rules).host
            if len(self._hosts) >= _MOST_HOSTS:
                self._hosts.clear()
            if sum(map(len, told)) <= _MOST_TOLD:
                self._hosts[key] = host
        return host
