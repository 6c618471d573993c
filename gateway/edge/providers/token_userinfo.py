"""UserInfo asked about whoever presents a bearer token: once for each token, and for a while."""

import hashlib
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Final, Literal

from gateway.core.decision.needs import TokenUserInfo
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.core.sessions.payload import dump_json
from gateway.core.tokens.introspection import Introspection
from gateway.edge.providers.faults import unavailable
from gateway.edge.providers.introspection import MOST_CALLS, Answers
from gateway.edge.providers.pauses import Pauses
from gateway.edge.tasks import SingleFlight
from gateway.syntax.encoding import Json

_ALL: Final = ""
Ask = Callable[[str, Literal["introspection"]], Awaitable[tuple[int, dict[str, Json] | None]]]


class TokenUserInfos:
    """What UserInfo tells of tokens that have been verified, kept by their hashes, of one provider.

    Args:
        ask: asks it with a token; raises Fault.
        lasts: seconds that an answer counts, a refusal as well.
        clock: wall time in epoch seconds.
    """

    def __init__(self, ask: Ask, lasts: float, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._lasts = lasts
        self._clock = clock
        self._kept = Answers(10_000, 8 << 20)
        self._calls: SingleFlight[Introspection] = SingleFlight("a question about whose a token is")
        self._pauses = Pauses(clock)

    async def ask(self, need: TokenUserInfo) -> Introspection:
        """Return what is told of who presents a token; no claims where it was refused.

        Raises:
            Fault: nothing of use is told, or it is left alone for a while.
        """
        name = hashlib.sha256(need.token.encode()).digest()
        found = self._kept.get(name, self._clock())
        if found is not None:
            return found
        if name not in self._calls:
            if len(self._calls) >= MOST_CALLS:
                raise unavailable(Fault, "UserInfo is asked about too many tokens at once")
            if (left := self._pauses.left(_ALL)) > 0:
                detail = "UserInfo is left alone for a while after a failure"
                raise Fault("issuer", Reason.ISSUER_UNAVAILABLE, detail, ceil(left))
        return await self._calls.join(name, lambda: self._call(need, name))

    def known(self, token: str) -> Introspection | None:
        """Return what was told of a token a moment ago, or None; nothing is asked or changed."""
        return self._kept.peek(hashlib.sha256(token.encode()).digest(), self._clock())

    async def _call(self, need: TokenUserInfo, name: bytes) -> Introspection:
        asked_at = self._clock()
        try:
            _, claims = await self._ask(need.token, "introspection")
        except Fault:
            self._pauses.failed(_ALL, asked_at, None)
            raise
        self._pauses.succeeded(_ALL)
        answer = Introspection(claims, asked_at, min(asked_at + self._lasts, need.expires))
        self._kept.put(name, answer, len(dump_json(claims)))
        return answer

    async def close(self) -> None:
        """Give up what is under way."""
        await self._calls.close()
