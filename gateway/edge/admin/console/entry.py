"""Logging in to the console and out of it: by a token that is typed in, or at a provider."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.config.settings.console import ConsoleSettings
from gateway.core.fault import Fault
from gateway.edge.admin.console import login
from gateway.edge.admin.console.backing import Question
from gateway.edge.admin.console.door import COOKIE, PENDING, Attempts, Origin
from gateway.edge.admin.console.layout import ROOT, moved, render
from gateway.edge.admin.console.provider_login import ProviderLogin, Refusal, name_of
from gateway.edge.admin.console.requests import parameters, who
from gateway.edge.admin.console.visits import Visit, Visits
from gateway.edge.admin.http import Ask, Reply
from gateway.edge.admin.operators import Held, Operator, Tokens


class Entry:
    """Lets operators in.

    Args:
        visits: their sessions.
        tokens: the admin tokens of now.
        logins: ``OperatorLogins.answer`` of a process that serves; raises Fault.
        audit: takes an audit event.
        clock: seconds since the epoch.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        visits: Visits,
        tokens: Tokens,
        logins: Question,
        audit: Callable[..., None],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._visits = visits
        self._tokens = tokens
        self._provider = ProviderLogin(logins, clock)
        self._audit = audit
        self._clock = clock
        self._attempts = Attempts(monotonic)
        self._begun = Attempts(monotonic)
        self._answers = Attempts(monotonic)
        self._strays = Attempts(monotonic)
        self._settings = ConsoleSettings()

    def configure(self, settings: ConsoleSettings | None) -> None:
        """Go on with these settings."""
        self._settings = settings or ConsoleSettings()

    def page(
        self,
        to: str,
        problem: str = "",
        *,
        is_over: bool = False,
        status: int = 200,
        cookies: tuple[str, ...] = (),
    ) -> Reply:
        """Return the page on which an operator logs in; its arguments are those of ``login.page``."""
        ways = login.Ways(self._settings.provider, has_tokens=bool(self._tokens))
        return render(login.page(ways, to, problem, is_over=is_over, status=status), cookies=cookies)

    def _too_many(self, wait: int, to: str) -> Reply:
        return self.page(to, f"Too many attempts. Try again in {wait} s.", status=429)

    def by_token(self, ask: Ask, origin: Origin, fields: Mapping[str, str]) -> Reply:
        """Log in by a token that was typed in."""
        to = fields.get("to", "")
        if (wait := self._attempts.wait(ask.client)) is not None:
            return self._too_many(wait, to)
        held = self._tokens.find(fields.get("token", "").strip().encode("utf-8", "replace"))
        is_over = held is not None and held.is_over(self._clock())
        if held is None or is_over:
            why = "expired_token" if is_over else "unknown_token"
            self._failed(ask, why, None if held is None else held.operator.name)
            text = "This token has expired." if is_over else "This is no admin token."
            return self.page(to, text, status=401)
        return moved(login.safe(to), self._begin(ask, origin, held.operator, held))

    async def begin(self, ask: Ask, origin: Origin) -> Reply:
        """Send a browser to the provider. Raises Fault: it cannot be asked."""
        if self._settings.provider is None:
            return self.page("", "Operators log in by tokens here.", status=404)
        if (wait := self._begun.wait(ask.client)) is not None:
            return self._too_many(wait, "")
        try:
            url, cookie = await self._provider.begin(ask, origin, self._settings)
        except Refusal as refusal:
            return self.page("", str(refusal), status=400)
        return moved(url, *filter(None, (cookie,)))

    async def finish(self, ask: Ask, origin: Origin) -> Reply:
        """Take what the provider has answered."""
        if self._settings.provider is None:
            return self.page("", "Operators log in by tokens here.", status=404)
        try:
            opened = self._provider.open(ask, origin)
        except Refusal as refusal:
            # anybody can have any browser ask for this: no attempt of anybody's, and bounded in the log
            if self._strays.wait(ask.client) is None:
                self._failed(ask, refusal.why)
            return self.page("", str(refusal), status=403)
        if (wait := self._answers.wait(ask.client)) is not None:
            return self._too_many(wait, "")
        spent = origin.set(PENDING, "", lifetime=0, site="Lax")
        try:
            person, to = await self._provider.finish(opened, self._settings)
        except Refusal as refusal:
            self._failed(ask, refusal.why)
            return self.page("", str(refusal), status=403, cookies=(spent,))
        except Fault as fault:
            self._failed(ask, fault.reason)
            text = f"The provider cannot be asked now: {fault.reason}. Try again in a moment."
            return self.page("", text, status=503, cookies=(spent,))
        operator = Operator(name_of(person), self._settings.role, "login")
        cookie = self._begin(ask, origin, operator, None, person)
        # what another site has led to brings no Strict cookie, what a page of ours leads to does
        return render(login.come_again(to), cookies=(cookie, spent))

    def _begin(
        self,
        ask: Ask,
        origin: Origin,
        operator: Operator,
        held: Held | None,
        person: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin a session in place of the one that this browser has; return the value of Set-Cookie."""
        self._visits.end(origin.read(ask, COOKIE))
        for each in (self._attempts, self._begun, self._answers):
            each.succeeded(ask.client)
        handle = self._visits.begin(operator, held, person)
        about = person or {}
        self._audit(
            "console_login",
            outcome="completed",
            actor=operator.name,
            actor_by=operator.how,
            role=operator.role,
            provider=about.get("provider"),
            issuer=about.get("issuer"),
            subject=about.get("subject"),
            client=ask.client,
        )
        return origin.set(COOKIE, handle)

    def _failed(self, ask: Ask, why: str, actor: str | None = None) -> None:
        self._audit("console_login", outcome="failed", why=why, actor=actor, client=ask.client)

    async def find(self, ask: Ask, origin: Origin) -> tuple[Visit | None, str]:
        """Return the session of a request, None where there is none or it is over; and what its cookie holds.

        Raises:
            Fault: whether somebody who logged in at a provider is an operator still, nobody can tell.
        """
        handle = origin.read(ask, COOKIE)
        visit = self._visits.find(handle, is_use="auto" not in parameters(ask))
        if visit is None or visit.person is None:
            return visit, handle
        if await self._provider.holds(visit.person):
            return visit, handle
        self._visits.end(handle)
        return None, handle

    def leave(self, ask: Ask, origin: Origin, visit: Visit) -> Reply:
        """Log out."""
        self._visits.end(origin.read(ask, COOKIE))
        self._audit("console_logout", **who(ask, visit))
        return moved(ROOT + "login?out=1", origin.set(COOKIE, "", lifetime=0))
