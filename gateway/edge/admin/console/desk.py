"""What operators do about people: looked for, looked at, ended; every ending has an actor and a reason."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.core.rules.entries import DenyEntry
from gateway.edge.admin.console import people
from gateway.edge.admin.console.backing import Backing
from gateway.edge.admin.console.ending import Named, entry_of, outcome, read_pasted, reason_of
from gateway.edge.admin.console.html import cut, h, moment
from gateway.edge.admin.console.layout import Page, message
from gateway.edge.admin.console.requests import parameters, who
from gateway.edge.admin.console.visits import Visit
from gateway.edge.admin.http import Ask
from gateway.edge.admin.revocation_request import Refused, Terms

_MOST_LISTED: Final = "200"
_GONE: Final = "No session that lives has this id."


class Desk:
    """The pages about people, and their actions.

    Args:
        backing: the processes behind the console.
        terms: returns what entries are made by now.
        clock: seconds since the epoch.
    """

    def __init__(self, backing: Backing, terms: Callable[[], Terms], clock: Callable[[], float]) -> None:
        self._backing = backing
        self._terms = terms
        self._clock = clock

    @property
    def _providers(self) -> list[str]:
        return list(self._terms().issuers)

    async def search(self, ask: Ask, visit: Visit) -> Page:
        """Show who is found."""
        told = parameters(ask)
        fields = {name: told[name] for name in ("q", "cursor") if told.get(name)}
        answer = await self._backing.people("search", fields, who(ask, visit))
        term = cut(fields.get("q", ""), 200)
        if answer.status != 200:
            hint = people.BY_ID if answer.status == 409 else ""
            found = people.Found(term, trouble=f"{answer.detail} {hint}")
        else:
            told_of: Mapping[str, Any] = answer.document
            found = people.Found(term, told_of["people"], told_of["cursor"], told_of["is_exact"])
        return people.search(found, self._providers, self._clock(), may_end=visit.operator.may("revoke"))

    async def person(self, ask: Ask, visit: Visit) -> Page:
        """Show one person and their sessions."""
        told = parameters(ask)
        provider, subject = told.get("provider", ""), told.get("sub", "")
        if not subject or provider not in self._providers:
            return message("Nobody is named by this", status=404, way="people")
        fields = {"sub": subject, "provider": provider, "limit": _MOST_LISTED}
        answer = await self._backing.sessions("list", fields, who(ask, visit))
        found: list[Mapping[str, Any]] = []
        if answer.status == 200:
            listed: Any = answer.document["sessions"]
            found = [each for each in listed if isinstance(each, dict)]
        names = {name: each[name] for each in reversed(found) for name in _NAMES if each.get(name)}
        about = names | {"provider": provider, "subject": subject}
        return people.person(
            about,
            found,
            self._clock(),
            may_end=visit.operator.may("revoke"),
            trouble=answer.detail if answer.status != 200 else "",
        )

    async def ask_to_end(self, ask: Ask, visit: Visit) -> Page:
        """Show what is about to be ended, and ask why."""
        if not visit.operator.may("revoke"):
            return message("You may not do this", "This needs the role revoke.", status=403, way="people")
        return await self._asking(ask, visit, parameters(ask))

    async def _asking(self, ask: Ask, visit: Visit, fields: Mapping[str, str], problem: str = "") -> Page:
        try:
            entry = entry_of(fields, self._terms(), self._clock())
        except Refused as refused:
            return message("Nothing to end", str(refused), status=400, way="people")
        provider = "" if entry.kind == "session" else fields.get("provider") or self._providers[0]
        shown, count = await self._about(ask, visit, entry, provider)
        ending = people.Ending(entry.kind, entry.value, provider, shown, count)
        return people.confirm(ending, visit.csrf, problem, cut(fields.get("reason", ""), people.MOST_REASON))

    async def _about(
        self, ask: Ask, visit: Visit, entry: DenyEntry, provider: str
    ) -> "tuple[list[tuple[str, str | None]], int | None]":
        """Return facts about what is to be ended, and how many sessions that are, None where nobody knows."""
        shown: list[tuple[str, str | None]] = [
            (entry.kind, h("span", cut(entry.value), class_="mono")),
            ("Provider", cut(provider, 60) or None),
        ]
        if entry.kind == "jti":
            return shown, None
        if entry.kind == "session":
            answer = await self._backing.sessions("show", {"id": entry.value}, who(ask, visit))
            one: Mapping[str, Any] = answer.document
            if answer.status == 404:
                return shown, 0
            if answer.status != 200:
                return shown, None
            now = self._clock()
            shown += [
                ("Person", people.name_of(one)),
                ("Device", people.device(str(one["user_agent"]))),
                ("Since", moment(one["since"], now)),
                ("Last seen", moment(one["last_seen"], now)),
            ]
            return shown, 1
        fields = {entry.kind: entry.value, "provider": provider, "limit": _MOST_LISTED}
        answer = await self._backing.sessions("list", fields, who(ask, visit))
        if answer.status != 200:
            return shown, None
        listed: Any = answer.document["sessions"]
        if listed:
            shown.insert(0, ("Person", people.name_of(listed[0])))
        # a page that is full may be followed by another
        return shown, None if answer.document["cursor"] else len(listed)

    async def end(self, ask: Ask, visit: Visit, fields: Mapping[str, str]) -> Page | str:
        """End it, where a reason is given; return where that leads."""
        try:
            entry = entry_of(fields, self._terms(), self._clock())
        except Refused as refused:
            return message("Nothing to end", str(refused), status=400, way="people")
        try:
            reason = reason_of(fields)
        except Refused as refused:
            return await self._asking(ask, visit, fields, str(refused))
        back = await self._back(ask, visit, entry, fields)
        acknowledgement = await self._backing.revoke([entry], {**who(ask, visit), "reason": reason})
        visit.news = outcome(acknowledgement)
        return back

    async def _back(self, ask: Ask, visit: Visit, entry: DenyEntry, fields: Mapping[str, str]) -> str:
        """Return the page to go to afterwards: that of the person where it is known whose this is."""
        if entry.kind == "sub":
            return people.link("person", provider=fields.get("provider"), sub=entry.value)
        if entry.kind == "jti":
            return people.link("token")
        if entry.kind == "session":
            answer = await self._backing.sessions("show", {"id": entry.value}, who(ask, visit))
            if answer.status == 200:
                told: Mapping[str, Any] = answer.document
                return people.link("person", provider=told["provider"], sub=told["subject"])
        return people.link("people")

    async def token(self, _ask: Ask, visit: Visit) -> Page:
        """Show the form in which a token is named."""
        may_end = visit.operator.may("revoke")
        return people.tokens(self._providers, visit.csrf, may_end=may_end)

    async def name_token(self, _ask: Ask, visit: Visit, fields: Mapping[str, str]) -> Page:
        """Read which token is meant, and ask why it is to be revoked."""
        try:
            named = read_pasted(fields.get("pasted", ""))
            provider = self._provider_of(named, fields.get("provider", ""))
        except Refused as refused:
            return people.tokens(self._providers, visit.csrf, str(refused), may_end=True)
        shown: list[tuple[str, str | None]] = [
            ("jti", h("span", cut(named.jti), class_="mono")),
            ("Provider", cut(provider, 60)),
        ]
        if named.expires is not None:
            shown.append(("Expires", moment(named.expires, self._clock())))
        return people.confirm(people.Ending("jti", named.jti, provider, shown), visit.csrf)

    def _provider_of(self, named: Named, chosen: str) -> str:
        """Return whose token it is: by its issuer, else as chosen. Raises Refused: nobody's here."""
        if named.issuer is not None:
            found = [name for name, issuer in self._terms().issuers.items() if issuer == named.issuer]
            if not found:
                raise Refused("No provider of the configuration has issued this token.")
            return found[0]
        if chosen not in self._providers:
            raise Refused("Choose the provider that issued it.")
        return chosen


_NAMES: Final = ("name", "email", "username", "issuer")
