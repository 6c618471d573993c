"""Refreshing sessions: the protocol of ``edge.refresh.lease`` moved by the provider's token endpoint."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from gateway.core.access import generations
from gateway.core.decision.needs import Confirm, KeepHint, Refresh, Revoke
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import end_of
from gateway.core.runtime import RuntimeConfig
from gateway.core.sessions import renewal
from gateway.core.sessions.model import Grant, RefreshOutcome, Renewed, Session, SessionOver
from gateway.edge.refresh.lease import Leases
from gateway.edge.refresh.outcomes import Ended, Lost, Refusal, Spent, Stored, Success
from gateway.edge.refresh.recent import RecentOutcomes
from gateway.edge.refresh.renewals import Renewals, TokenSource
from gateway.edge.tasks import SingleFlight


class Records(Protocol):
    """Where sessions are kept that are not in cookies."""

    async def install(self, renewed: Renewed) -> None:
        """Keep the record that a rotation's result leads to, if nobody has yet. Raises Fault."""

    async def retire(self, records: Iterable[str]) -> None:
        """Let records of handles that were replaced go once the grace has passed. Raises Fault."""


class Refresher:
    """Renews sessions, remembers how recent refreshes ended, and confirms rotations.

    ``records`` is where sessions are kept in ``session.mode: redis``; ``on_renewed`` takes each session that
    this worker has renewed.
    """

    def __init__(
        self,
        runtime: RuntimeConfig,
        tokens: TokenSource,
        leases: Leases,
        denylist: Denylist,
        revoke: Callable[[Revoke], Awaitable[None]],
        clock: Callable[[], float],
        on_event: Callable[..., None],
        records: Records | None = None,
        keep_hint: Callable[[KeepHint], None] = lambda _: None,
        on_renewed: Callable[[Session], None] = lambda _: None,
    ) -> None:
        self._runtime = runtime
        self._tokens = tokens
        self._leases = leases
        self._denylist = denylist
        self._revoke = revoke
        self._clock = clock
        self._on_event = on_event
        self._records = records
        self._renewals = Renewals(tokens, clock, on_event, keep_hint)
        self._on_renewed = on_renewed
        self._outcomes = RecentOutcomes(clock)
        self._running: SingleFlight[None] = SingleFlight("a refresh behind a request's back")
        self._peeks: SingleFlight[RefreshOutcome | None] = SingleFlight("a look for a result")
        self._rotations: SingleFlight[tuple[RefreshOutcome, bool]] = SingleFlight("a refresh")

    def configure(self, runtime: RuntimeConfig) -> None:
        """Go on with this configuration; a refresh under way ends with the one that it began with."""
        self._runtime = runtime

    def recent_outcome(self, rotation_id: str) -> RefreshOutcome | None:
        """Return how a refresh ended lately, by rotation id. Older ones are the store's to know."""
        return self._outcomes.get(rotation_id)

    def confirmed(self, rotation_id: str) -> bool:
        """Tell whether this worker has confirmed a rotation already."""
        return self._leases.was_confirmed(rotation_id)

    def start(self, need: Refresh | Confirm) -> None:
        """Begin a refresh or a confirmation behind the request's back, once however many ask."""
        key = need.rotation_id if isinstance(need, Refresh) else "confirm " + need.rotations[0]
        if isinstance(need, Refresh) and self._tokens.rests(need.session.provider, need.grant.refresh_token):
            # the access token still holds, and a later request tries again
            return
        self._running.start(key, lambda: self._behind(need))

    async def _behind(self, need: Refresh | Confirm) -> None:
        try:
            if isinstance(need, Refresh):
                await self.refresh(need)
            else:
                await self.confirm(need)
        except Fault as fault:
            # the access token still holds; the next request tries again
            self._on_event("refresh_postponed", reason=fault.reason, source=fault.source)

    async def drain(self) -> None:
        """Wait for every refresh and confirmation under way."""
        await self._running.drain()

    async def close(self) -> None:
        """Give up whatever is under way; drain first."""
        for under_way in (self._running, self._rotations, self._peeks):
            await under_way.close()

    async def confirm(self, need: Confirm) -> None:
        """The browser presented the cookie that these rotations led to: phase two. Raises Fault."""
        await self._leases.confirm(need)
        if need.site:
            # the records of other sites' handles
            return
        if self._records is not None and self._runtime.settings.session.mode == "redis":
            await self._records.retire(need.rotations)

    async def refresh(self, need: Refresh) -> RefreshOutcome:
        """Return new tokens for a session, following the chain of results that others left.

        Raises:
            Fault: the provider or the store cannot tell now; the session is kept.
        """
        runtime = self._runtime
        session, grant, rotation_id = need.session, need.grant, need.rotation_id
        if need.site and await self._leases.was_left(rotation_id, need.site):
            reused = await self._reused(runtime, session)
            self._remember(rotation_id, reused)
            return reused
        while True:
            if (over := self._denylist.why_over(session, self._clock())) is not None:
                # or the next refresh would bring the revoked user back
                return SessionOver(over)
            outcome, is_own = await self._once(runtime, session, grant, rotation_id)
            if not is_own:
                outcome = await self._newest(runtime, outcome)
            self._remember(rotation_id, outcome)
            if isinstance(outcome, SessionOver) or outcome.grant is None:
                break
            # a call that was made just now is as far as anybody can get, however soon its token expires
            if is_own or outcome.session.access_expires_at > self._clock():
                break
            if outcome.grant.generation <= grant.generation:
                raise Fault(
                    "store", Reason.STORE_UNAVAILABLE, "a chain of refresh results that leads nowhere"
                )
            session, grant = outcome.session, outcome.grant
            rotation_id = renewal.rotation_id(runtime.providers[session.provider], grant)
        if rotation_id != need.rotation_id:
            self._remember(need.rotation_id, outcome)
        return outcome

    async def _newest(self, runtime: RuntimeConfig, outcome: RefreshOutcome) -> RefreshOutcome:
        """Follow the results that others have left beyond one of theirs, as far as they go."""
        while isinstance(outcome, Renewed) and outcome.grant is not None:
            rotation_id = renewal.rotation_id(runtime.providers[outcome.session.provider], outcome.grant)
            found = self.recent_outcome(rotation_id) or await self._peek(rotation_id, outcome.grant)
            if found is None or not generations.is_newer(found, outcome):
                break
            outcome = found
        return outcome

    async def _peek(self, rotation_id: str, grant: Grant) -> RefreshOutcome | None:
        """Return the result that a rotation has left in the store, asked once however many wait for it."""
        try:
            return await self._peeks.join(rotation_id, lambda: self._read_result(rotation_id, grant))
        except Fault:
            # what is known will do
            return None

    async def _read_result(self, rotation_id: str, grant: Grant) -> RefreshOutcome | None:
        sealed = await self._leases.result(rotation_id)
        outcome = None if sealed is None or not self._is_of(grant, sealed) else self._open(grant, sealed)
        if outcome is not None:
            await self._install(grant, outcome)
        return outcome

    def _open(self, grant: Grant, sealed: bytes) -> RefreshOutcome | None:
        # what another worker has sealed by now may be under a newer key than this refresh began with
        payload = self._runtime.ring.open_under(
            renewal.seal_secret(grant), renewal.RESULT_PURPOSE, sealed.decode("latin-1")
        )
        return None if payload is None else renewal.decode_outcome(payload)

    def _is_of(self, grant: Grant, sealed: bytes) -> bool:
        """Tell whether a result is of the session that a grant belongs to."""
        outcome = self._open(grant, sealed)
        return not isinstance(outcome, Renewed) or outcome.session.session_id == grant.session_id

    async def _install(self, grant: Grant, outcome: RefreshOutcome) -> None:
        # before anybody is given the new handle: it must lead somewhere at every worker
        if grant.handle and self._records is not None and isinstance(outcome, Renewed):
            await self._records.install(outcome)

    def _remember(self, rotation_id: str, outcome: RefreshOutcome) -> None:
        self._outcomes.remember(rotation_id, outcome, self._runtime.settings.session.rotation_grace)

    async def _once(
        self, runtime: RuntimeConfig, session: Session, grant: Grant, rotation_id: str
    ) -> tuple[RefreshOutcome, bool]:
        """Return how one rotation ended, and whether this worker has just made its call; told once."""
        return await self._rotations.join(
            rotation_id, lambda: self._rotate(runtime, session, grant, rotation_id)
        )

    async def _rotate(
        self, runtime: RuntimeConfig, session: Session, grant: Grant, rotation_id: str
    ) -> tuple[RefreshOutcome, bool]:
        is_own, provider = False, runtime.providers[session.provider]
        loop, timeout = asyncio.get_running_loop(), provider.settings.timeout
        end = loop.time() + timeout

        async def call() -> Success | Refusal:
            nonlocal is_own
            tokens = await self._renewals.call(provider, grant.refresh_token, end - loop.time())
            is_own = True
            return await self._renewals.renew(
                runtime, self._runtime.ring, session, grant, rotation_id, tokens
            )

        found = await self._leases.obtain(
            rotation_id, call, timeout, lambda sealed: self._is_of(grant, sealed)
        )
        who = {"issuer": session.issuer, "subject": session.subject, "session": session.session_id}
        if isinstance(found, Stored):
            outcome = self._open(grant, found.sealed)
            if outcome is None:
                raise Fault("store", Reason.STORE_UNAVAILABLE, "a refresh result does not open")
            await self._install(grant, outcome)
            if is_own and isinstance(outcome, SessionOver):
                await self._end_quietly(runtime, session)
            elif is_own and isinstance(outcome, Renewed):
                self._on_renewed(outcome.session)
            return outcome, is_own
        if isinstance(found, Spent):
            return await self._reused(runtime, session), is_own
        assert isinstance(found, Lost | Ended)
        reason = Reason.REFRESH_LOST if isinstance(found, Lost) else Reason.SESSION_ENDED
        if is_own:
            # whoever only reads the verdict was not there: who made the call has told of it
            error = found.error if isinstance(found, Ended) else None
            self._on_event("refresh_failed", reason=reason, error=error, **who)
            await self._end_quietly(runtime, session)
        return SessionOver(reason), is_own

    async def _reused(self, runtime: RuntimeConfig, session: Session) -> SessionOver:
        """End a session of which a token was shown that its browser has left behind (R37)."""
        await self._end_family(runtime, session)
        self._on_event(
            "reuse_detected", issuer=session.issuer, subject=session.subject, session=session.session_id
        )
        return SessionOver(Reason.SESSION_REUSED)

    async def _end_family(self, runtime: RuntimeConfig, session: Session, *, by_itself: bool = False) -> None:
        idle = runtime.settings.copies_last
        await self._revoke(Revoke((end_of(session, self._clock(), idle, by_itself=by_itself),)))

    async def _end_quietly(self, runtime: RuntimeConfig, session: Session) -> None:
        """Let every worker know that the provider ended a session: what rests on it ends there, too (R74)."""
        # it is over whatever the store says; what it does not take now is written later
        with contextlib.suppress(Fault):
            await self._end_family(runtime, session, by_itself=True)
