"""Exchanged tokens, kept as long as they hold: in this process, and sealed in the store for all the others.

In the store each is sealed under the key ring and the very token that it was exchanged for, and named by a
hash over both: nobody but who presents that token again can open it.
"""

import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.core.decision.needs import ExchangeToken
from gateway.core.fault import Fault
from gateway.core.memo import Memo
from gateway.core.provider import Exchanged, TokenRefusal
from gateway.core.reasons import Reason
from gateway.core.runtime import RuntimeConfig
from gateway.edge.sessions.sealed import SealedValues
from gateway.edge.store.store import Store
from gateway.edge.tasks import SingleFlight

REFUSED_FOR: Final = 10.0
"""Seconds for which a refusal is remembered."""
_SWEEP: Final = 60.0
_REST: Final = 5.0
_PURPOSE: Final = "exchanged token"


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: Exchanged | TokenRefusal
    since: float
    until: float


class Exchanges:
    """Exchanges each token once for each target, however many ask, and again when that is due.

    Args:
        call: asks the provider. Raises Fault.
        store: shared by all workers.
        runtime: returns the configuration.
        clock: wall time in epoch seconds.
        on_event: takes ``token_exchanged`` and ``token_exchange_refused``.
    """

    def __init__(
        self,
        call: Callable[[ExchangeToken], Awaitable[Exchanged | TokenRefusal]],
        store: Store,
        runtime: Callable[[], RuntimeConfig],
        clock: Callable[[], float],
        on_event: Callable[..., None],
    ) -> None:
        self._call = call
        self._store = store
        self._sealed = SealedValues(store, lambda: runtime().ring, _PURPOSE)
        self._runtime = runtime
        self._clock = clock
        self._on_event = on_event
        self._kept: Memo[str, _Kept] = Memo(most_entries=8192)
        self._rests: Memo[str, float] = Memo(most_entries=4096)
        self._swept = clock()
        self._running: SingleFlight[Exchanged | TokenRefusal] = SingleFlight("an exchange of a token")

    def known(self, need: ExchangeToken) -> Exchanged | TokenRefusal | None:
        """Return what came of this exchange lately, None where nothing is known that still holds."""
        kept = self._kept.get(self._name(need))
        return kept.answer if kept is not None and kept.since <= self._clock() < kept.until else None

    async def obtain(self, need: ExchangeToken) -> Exchanged | TokenRefusal:
        """Return a token for the target, or the provider's refusal. Raises Fault."""
        name = self._name(need)
        return await self._running.join(name, lambda: self._fetch(name, need))

    def start(self, need: ExchangeToken) -> None:
        """Exchange anew behind a request's back."""
        name = self._name(need)
        if self._clock() >= (self._rests.get(name) or 0.0):
            self._running.start(name, lambda: self._behind(name, need))

    async def drain(self) -> None:
        """Wait for the exchanges under way."""
        await self._running.drain()

    async def close(self) -> None:
        """Give up the exchanges under way."""
        await self._running.close()

    async def _behind(self, name: str, need: ExchangeToken) -> Exchanged | TokenRefusal:
        try:
            return await self._fetch(name, need)
        except Fault as fault:
            # the token still holds; a later request tries again
            self._rests.put(name, self._clock() + (fault.retry_after or _REST))
            raise

    async def _fetch(self, name: str, need: ExchangeToken) -> Exchanged | TokenRefusal:
        now = self._clock()
        shared = await self._shared(name, need)
        if shared is not None and now < shared.due_at:
            self._keep(name, shared, now, shared.expires_at)
            return shared
        try:
            answer = await self._call(need)
        except Fault:
            # what another worker has holds a little longer
            now = self._clock()
            if shared is None or now >= shared.expires_at:
                raise
            self._keep(name, shared, now, shared.expires_at)
            return shared
        now = self._clock()
        refusal = answer if isinstance(answer, TokenRefusal) else None
        self._on_event(
            "token_exchange_refused" if refusal else "token_exchanged",
            reason=Reason.EXCHANGE_REFUSED if refusal else None,
            error=refusal.error if refusal else None,
            issuer=need.identity.issuer,
            subject=need.identity.subject,
            session=need.identity.session_id,
            audience=need.target.audience or need.target.resource,
        )
        if isinstance(answer, TokenRefusal):
            self._keep(name, answer, now, now + REFUSED_FOR)
        else:
            self._keep(name, answer, now, answer.expires_at)
            await self._share(name, need, answer, now)
        return answer

    def _name(self, need: ExchangeToken) -> str:
        provider, target = self._runtime().providers.get(need.provider), need.target
        fields = [
            need.identity.issuer,
            # another client gets other tokens; a reload may have taken the provider away
            "" if provider is None else provider.client_id,
            target.audience,
            target.resource,
            list(target.scopes),
            need.access_token,
        ]
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()

    def _keep(self, name: str, answer: Exchanged | TokenRefusal, now: float, until: float) -> None:
        if not 0 <= now - self._swept < _SWEEP:
            self._swept = now
            self._kept.sweep(lambda kept: not kept.since <= now < kept.until)
            self._rests.sweep(lambda until: now >= until)
        self._kept.put(name, _Kept(answer, now, until))

    async def _shared(self, name: str, need: ExchangeToken) -> Exchanged | None:
        """Return what another worker has exchanged; without the store each asks for itself."""
        with contextlib.suppress(Fault):
            sealed = await self._store.execute("GET", self._store.key("exchanged", name))
            payload = self._sealed.open(sealed, need.access_token)
            return None if payload is None else _decoded(payload)
        return None

    async def _share(self, name: str, need: ExchangeToken, answer: Exchanged, now: float) -> None:
        lifetime = answer.expires_at - now
        if lifetime <= 0:
            return
        payload = json.dumps([answer.token, round(answer.due_at, 3), round(answer.expires_at, 3)]).encode()
        with contextlib.suppress(Fault):
            await self._sealed.keep(self._store.key("exchanged", name), payload, lifetime, need.access_token)


def _decoded(payload: bytes) -> Exchanged | None:
    try:
        token, due_at, expires_at = json.loads(payload)
    except (ValueError, TypeError, RecursionError):
        return None
    is_good = isinstance(token, str) and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in (due_at, expires_at)
    )
    return Exchanged(token, float(due_at), float(expires_at)) if is_good else None
