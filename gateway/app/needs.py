"""Who answers which need: to add one, a dataclass in ``core.decision.needs`` and a line here."""

import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.core.access.generations import replacement
from gateway.core.decision.needs import (
    Confirm,
    EndLater,
    EndSession,
    ExchangeToken,
    Introspect,
    JoinSite,
    KeepHint,
    KeepTicket,
    KeptPage,
    KeyRecord,
    Keys,
    KeyUsed,
    KnownSid,
    ListSession,
    Metadata,
    Need,
    OwnSessions,
    Random,
    RedeemCode,
    Refresh,
    Replaced,
    Revoke,
    RevokeToken,
    SaveSession,
    SessionRecord,
    TakeTicket,
    TokenUserInfo,
    Touch,
    UseOnce,
    UserInfo,
)
from gateway.core.fault import Fault
from gateway.edge.api_keys.records import ApiKeys
from gateway.edge.providers.exchanges import Exchanges
from gateway.edge.providers.providers import Providers
from gateway.edge.providers.token_revocations import TokenRevocations
from gateway.edge.refresh.lease import Leases
from gateway.edge.refresh.refresher import Refresher
from gateway.edge.sessions.kept_pages import KeptPages
from gateway.edge.sessions.logout_hints import LogoutHints
from gateway.edge.sessions.noted import NotedSessions
from gateway.edge.sessions.records import Sessions
from gateway.edge.sessions.tickets import Tickets
from gateway.edge.store.store import Store


@dataclass(frozen=True, slots=True)
class Resolvers:
    """The parts that answer. ``end`` revokes what a decision names."""

    store: Store
    providers: Providers
    leases: Leases
    refresher: Refresher
    sessions: Sessions
    noted: NotedSessions
    kept_pages: KeptPages
    tickets: Tickets
    logout_hints: LogoutHints
    token_revocations: TokenRevocations
    api_keys: ApiKeys
    exchanges: Exchanges
    end: Callable[[Revoke], Awaitable[None]]

    def by_kind(self) -> "Mapping[type, Callable[[Any], Awaitable[object]]]":
        """Return who answers, by the class of the need; each may raise Fault."""
        return {
            Random: _random,
            Metadata: self.providers.metadata,
            Keys: self.providers.keys_for,
            Introspect: self.providers.introspect,
            TokenUserInfo: self.providers.token_userinfo,
            RedeemCode: self.providers.exchange,
            UserInfo: self._userinfo,
            EndSession: self._end_session,
            UseOnce: self.store.use_once,
            Revoke: self.end,
            Refresh: self.refresher.refresh,
            ExchangeToken: self.exchanges.obtain,
            SessionRecord: self.sessions.fetch,
            Replaced: self._replaced,
            SaveSession: self.sessions.save,
            OwnSessions: self.noted.fetch,
            KnownSid: self.sessions.knows_sid,
            KeepTicket: self.tickets.keep,
            TakeTicket: self.tickets.take,
            JoinSite: self._join,
            KeptPage: self.kept_pages.fetch,
            KeyRecord: self.api_keys.fetch,
            KeyUsed: self.api_keys.used,
        }

    def begin(self, need: Need) -> None:
        """Begin what is done behind a request's back."""
        if isinstance(need, RevokeToken):
            self.token_revocations.start(need)
        elif isinstance(need, ExchangeToken):
            self.exchanges.start(need)
        elif isinstance(need, KeepHint):
            self.logout_hints.start(need)
        elif isinstance(need, EndLater):
            self.sessions.end_later(need)
        elif isinstance(need, ListSession):
            self.noted.start(need)
        elif isinstance(need, Touch):
            self.sessions.start(need)
        else:
            assert isinstance(need, Refresh | Confirm)
            self.refresher.start(need)

    async def _userinfo(self, need: UserInfo) -> object:
        # an empty document names nobody, and so is refused: None would read as "not asked"
        return await self.providers.userinfo(need) or {}

    async def _end_session(self, need: EndSession) -> str | Fault:
        hint = await self.logout_hints.take(need.session_id) or need.id_token_hint
        return await self.providers.end_session(replace(need, id_token_hint=hint))

    async def _join(self, need: JoinSite) -> None:
        # what this browser has shown here before of an older login's generations is no reuse of this one's
        if need.rotation_id:
            await self.leases.forget_left(need.rotation_id, need.site)
        await self.sessions.join(need)

    async def _replaced(self, need: Replaced) -> None:
        # a login does not fail for want of the others' ears
        with contextlib.suppress(Fault):
            await self.leases.announcements.replaced(replacement(need.session_id))


async def _random(need: Random) -> bytes:
    return os.urandom(need.size)
