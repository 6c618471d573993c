"""Counts requests of limited routes on their way, each once, and turns away what is one too many."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from gateway.core.decision.answers import Forward, Refuse
from gateway.core.fault import Fault
from gateway.core.headers.rules import forwarded_of
from gateway.core.reasons import Reason
from gateway.core.rules.rate_limit import Allowance, RateLimit, fields, key_of
from gateway.pipeline.transaction import Transaction


class Limiter(Protocol):
    """Counts requests of limited routes."""

    def check(self, limit: RateLimit, key: str) -> Allowance:
        """Count one request in this process, and tell whether it may pass."""

    async def check_shared(self, limit: RateLimit, key: str) -> Allowance:
        """Count one request for all gateways together. Never raises Fault."""


class Throttle:
    """The limits on a request's way.

    Args:
        limiter: counts.
        spawn: runs what has to wait for the store.
        turn_away: answers a request that is one too many, given the seconds to wait.
        broken: takes an error of our own.
    """

    def __init__(
        self,
        limiter: Limiter,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        turn_away: Callable[[Transaction, Forward | Refuse, int], None],
        broken: Callable[[Transaction, Exception], None],
    ) -> None:
        self._limiter = limiter
        self._spawn = spawn
        self._turn_away = turn_away
        self._broken = broken

    def count(
        self, transaction: Transaction, found: Forward | Refuse, limit: RateLimit, go_on: Callable[[], None]
    ) -> None:
        """Count a request once, and go on with it where it is none too many.

        ``found`` is what was decided, or would be said of a request that is counted before that.
        """
        if transaction.quota:
            go_on()
            return
        request, rules = transaction.exchange.request, transaction.knowledge.compiled.rules
        key = key_of(limit.by, found.identity, forwarded_of(request, rules).client)
        if limit.shared:
            self._spawn(self._count_shared(transaction, found, limit, key, go_on))
        else:
            self._weigh(transaction, found, limit, self._limiter.check(limit, key), go_on)

    def brake(self, transaction: Transaction) -> None:
        """Count a login that is about to be completed, which costs the provider a call. Raises Fault."""
        compiled = transaction.knowledge.compiled
        limit = compiled.login_limit
        if limit is not None:
            client = forwarded_of(transaction.exchange.request, compiled.rules).client
            allowance = self._limiter.check(limit, key_of(limit.by, None, client))
            if allowance.wait is not None:
                raise Fault("client", Reason.RATE_LIMITED, "too many logins", allowance.wait)

    async def _count_shared(
        self,
        transaction: Transaction,
        found: Forward | Refuse,
        limit: RateLimit,
        key: str,
        go_on: Callable[[], None],
    ) -> None:
        try:
            self._weigh(transaction, found, limit, await self._limiter.check_shared(limit, key), go_on)
        except Exception as error:  # noqa: BLE001 - one request's fault must not go unanswered
            self._broken(transaction, error)

    def _weigh(
        self,
        transaction: Transaction,
        found: Forward | Refuse,
        limit: RateLimit,
        allowance: Allowance,
        go_on: Callable[[], None],
    ) -> None:
        transaction.quota = fields(limit, allowance)
        if allowance.wait is None:
            go_on()
        else:
            self._turn_away(transaction, found, allowance.wait)
