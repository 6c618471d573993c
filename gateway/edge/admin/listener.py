"""The admin listener: metrics and health for everybody who reaches it, the rest for operators.

It never shares a port with the public listener (R62). A browser that was lured here is kept out: a foreign
Host is refused (DNS rebinding), and so is a change that carries an Origin (CSRF).
"""

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.config.settings.admin import AdminSettings
from gateway.config.settings.listener import TlsSettings
from gateway.core.rules.entries import DenyEntry
from gateway.edge.admin.answering import (
    MOST_BODY,
    NOT_OURS,
    RETRY_AFTER,
    caught,
    fields_of,
    refuse,
    told,
)
from gateway.edge.admin.explain import MOST_QUESTION
from gateway.edge.admin.hosts import is_ours
from gateway.edge.admin.http import AdminServer, Ask, Reply, problem, reply
from gateway.edge.admin.operators import Entrance, Operator
from gateway.edge.admin.readiness import Readiness
from gateway.edge.admin.revocation_request import (
    Mandate,
    Terms,
    mandate_of,
    parse_notes,
    parse_revocation,
)
from gateway.edge.admin.routes import Guarded, Open, Route, Routes, RouteTable, allowed
from gateway.edge.admin.sessions import Answer
from gateway.edge.revocation.denylist_writer import Acknowledgement
from gateway.http.downstream.certificates import Certificates
from gateway.http.ports import Limits
from gateway.syntax.encoding import Json, parse_object
from gateway.syntax.urls import is_loopback, parse_listen

_READS: Final = ("GET", "HEAD")
_NOWHERE: Final = "-"


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a reload: refused where there are ``errors``, and nothing has changed then.

    ``changed`` names the top-level settings that differ; ``workers`` counts those that go on with them.
    """

    errors: Sequence[str] = ()
    warnings: Sequence[str] = ()
    changed: Sequence[str] = ()
    workers: int = 0


class Pages(Protocol):
    """The console, which answers everything under ``/console``."""

    def configure(self, settings: AdminSettings, terms: Terms) -> None:
        """Go on with other settings."""

    def start(self) -> None:
        """Begin."""

    async def answer(self, ask: Ask) -> Reply:
        """Answer a request; never raises."""

    async def close(self) -> None:
        """End."""


class Admin:
    """Serves the admin endpoints.

    Args:
        settings: where to listen, and who may do what.
        metrics: returns the text of a scrape and its content type, as an Accept field asks for it.
        ready: returns what is wrong, if anything.
        revoke: writes entries and tells which workers hold them; raises Fault.
        terms: what entries are made by.
        audit: takes an audit event.
        clock: wall time in seconds since the epoch.
        reload: reads the configuration anew; None where that is not offered.
        sessions: answers questions about sessions (``SessionAdmin.answer``); raises Fault.
        keys: answers what is asked of API keys (``KeyAdmin.answer``); raises Fault.
        explain: tells what would happen to a request (``ExplainAdmin.answer``); raises Fault.
        trail: answers what is asked of the audit trail (``AuditAdmin.answer``); raises Fault.
        limits: bounds of clients, as outside.

    Raises:
        CertificateError: a file of ``tls`` cannot be used.
    """

    def __init__(
        self,
        settings: AdminSettings,
        *,
        metrics: Callable[[str], Awaitable[tuple[bytes, str]]],
        ready: Callable[[], Awaitable[Readiness]],
        revoke: Callable[[list[DenyEntry], Mandate], Awaitable[Acknowledgement]],
        terms: Terms,
        audit: Callable[..., None],
        clock: Callable[[], float],
        reload: Callable[[Mandate], Awaitable[Reloaded]] | None = None,
        sessions: Callable[[str, Mapping[str, str], Mandate], Awaitable[Answer]] | None = None,
        keys: Callable[[str, Mapping[str, Json], Mandate], Awaitable[Answer]] | None = None,
        explain: Callable[[Mapping[str, Json]], Awaitable[Answer]] | None = None,
        trail: Callable[[str, Mapping[str, str], Mandate], Awaitable[Answer]] | None = None,
        limits: Limits | None = None,
    ) -> None:
        address = parse_listen(settings.listen)
        assert address is not None
        self._host, self._port = address
        self._reload = reload
        self._sessions = sessions
        self._keys = keys
        self._explain = explain
        self._trail = trail
        self._metrics = metrics
        self._ready = ready
        self._revoke = revoke
        self._clock = clock
        certificates = certificates_of(settings)
        self._server = AdminServer(self._answer, refuse, limits or Limits(), clock, certificates)
        self.entrance = Entrance(audit, clock)
        self.console: Pages | None = None
        """Set by whoever starts it; absent: there are no pages."""
        self.open_console: Callable[[AdminSettings, Terms], Pages] | None = None
        """Makes one that a reload brings."""
        self._routes = RouteTable(self._build_routes())
        self.configure(settings, terms, certificates=certificates)

    def configure(
        self,
        settings: AdminSettings,
        terms: Terms,
        limits: Limits | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        """Go on with other tokens, providers, lifetimes, bounds and certificates; the address stays."""
        if limits is not None:
            self._server.configure(limits)
        self._server.certify(certificates)
        self.entrance.tokens.configure(settings)
        if self.console is not None:
            self.console.configure(settings, terms)
        elif settings.console is not None and self.open_console is not None:
            self.console = self.open_console(settings, terms)
        self._has_pages = settings.console is not None
        self._names = frozenset(name.lower() for name in (self._host, *settings.hosts))
        self._terms = terms

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.port

    @property
    def is_private(self) -> bool:
        """Whether nobody on a network can read what is said here."""
        return self.certificates is not None or is_loopback(self._host)

    @property
    def certificates(self) -> Certificates | None:
        """What TLS is spoken with, None where it is not spoken."""
        return self._server.certificates

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Listen.

        Args:
            sockets: bound to the address already; without any it is bound here.

        Raises:
            OSError: the address is taken or not ours.
        """
        await self._server.start(self._host, self._port, sockets)
        if self.console is not None:
            self.console.start()

    async def close(self) -> None:
        """Stop listening."""
        if self.console is not None:
            await self.console.close()
        await self._server.close()

    def _build_routes(self) -> Routes:
        """Return what answers, by path and method."""
        list_sessions, end_sessions = (
            Guarded("read", self._get_sessions),
            Guarded("revoke", self._end_sessions),
        )
        return {
            "/metrics": {"GET": Open(self._get_metrics)},
            "/livez": {"GET": Open(self._get_livez)},
            "/readyz": {"GET": Open(self._get_readyz)},
            "/openapi.json": {"GET": Open(_get_description)},
            "/revoke": {"POST": Guarded("revoke", self._post_revoke)},
            "/reload": {"POST": Guarded("all", self._post_reload)},
            "/explain": {"POST": Guarded("read", self._post_explain)},
            "/sessions": {"GET": list_sessions, "DELETE": end_sessions},
            "/sessions/{id}": {"GET": list_sessions, "DELETE": end_sessions},
            "/audit": {"GET": Guarded("read", self._get_trail), "DELETE": Guarded("all", self._forget)},
            "/audit/chain": {"GET": Guarded("read", self._get_trail)},
            "/audit/heads": {"GET": Guarded("read", self._get_trail)},
            "/keys": {"GET": Guarded("read", self._get_keys), "POST": Guarded("all", self._post_keys)},
            "/keys/{id}": {"DELETE": Guarded("revoke", self._delete_key)},
        }

    async def _answer(self, ask: Ask) -> Reply:
        # none at all: a question of HTTP/1.0, which no browser asks
        hosts = [value.decode("latin-1") for value in ask.fields(b"host")]
        if hosts and not is_ours(hosts, self._names):
            self.entrance.tell(ask, _NOWHERE, "host")
            return problem(421, NOT_OURS)
        if self.console is not None and ask.path[0] == "console":
            # it judges by itself where a change comes from, and from whom
            return await self.console.answer(ask)
        if self._has_pages and list(ask.path) == [""] and ask.method in _READS:
            # whoever types the address into a browser
            return Reply(303, b"", headers={"Location": "/console/"})
        path = self._routes.find(ask.path)
        methods = self._routes.routes[path] if path is not None else {}
        route = methods.get("GET" if ask.method == "HEAD" else ask.method)
        if ask.method not in _READS and ask.fields(b"origin") and not _judges_origin(route):
            self.entrance.tell(ask, path or _NOWHERE, "origin")
            return problem(403, "A web page may not change anything here.")
        if path is None:
            return problem(404, f"There is {self._offered()}.")
        if route is None:
            return problem(405, f"There is {self._offered()}.", {"Allow": allowed(methods)})
        if isinstance(route, Open):
            return await caught(route.answer(ask))
        operator = self.entrance.judge(ask, route.role, path)
        if isinstance(operator, Reply):
            return operator
        answered = await caught(route.answer(ask, operator))
        if answered.status >= 400 and ask.method not in _READS:
            self.entrance.tell(ask, path, "not_done", operator, answered.status)
        return answered

    def _offered(self) -> str:
        return ", ".join(f"{' and '.join(methods)} {path}" for path, methods in self._routes.routes.items())

    async def _get_metrics(self, ask: Ask) -> Reply:
        accept = b",".join(ask.fields(b"accept")).decode("latin-1")
        body, content_type = await self._metrics(accept)
        return Reply(200, body, content_type)

    async def _get_livez(self, _ask: Ask) -> Reply:
        return reply({"status": "alive"})

    async def _get_readyz(self, _ask: Ask) -> Reply:
        readiness = await self._ready()
        headers = {} if readiness.is_ready else {"Retry-After": str(RETRY_AFTER)}
        return reply(readiness.to_json(), 200 if readiness.is_ready else 503, headers)

    async def _post_revoke(self, ask: Ask, operator: Operator) -> Reply:
        entry, notes = parse_revocation(
            await ask.read(MOST_BODY),
            MOST_BODY,
            terms=self._terms,
            now=self._clock(),
        )
        acknowledgement = await self._revoke([entry], _mandate(ask, operator, notes))
        return reply(acknowledgement.to_json())

    async def _get_sessions(self, ask: Ask, operator: Operator) -> Reply:
        # who is logged in is not for everybody who reaches this port, so reading needs a token, too
        return await self._any_sessions(ask, "list" if len(ask.path) == 1 else "show", operator)

    async def _end_sessions(self, ask: Ask, operator: Operator) -> Reply:
        return await self._any_sessions(ask, "end", operator)

    async def _any_sessions(self, ask: Ask, action: str, operator: Operator) -> Reply:
        if self._sessions is None:
            return problem(404, "This process cannot tell about sessions.")
        fields = fields_of(ask)
        if len(ask.path) > 1:
            fields["id"] = ask.path[1]
        notes: dict[str, str] = {}
        if action == "end":
            notes = mandate_of({name: fields.pop(name, None) for name in ("reason", "actor")})
        return told(await self._sessions(action, fields, _mandate(ask, operator, notes)))

    async def _get_keys(self, ask: Ask, operator: Operator) -> Reply:
        return await self._any_keys(ask, "list", dict(fields_of(ask)), operator)

    async def _post_keys(self, ask: Ask, operator: Operator) -> Reply:
        fields = parse_object(await ask.read(MOST_BODY), MOST_BODY)
        if fields is None:
            return problem(400, "The body must be one JSON object.")
        return await self._any_keys(ask, "create", fields, operator)

    async def _delete_key(self, ask: Ask, operator: Operator) -> Reply:
        fields: dict[str, Json] = {**fields_of(ask), "id": ask.path[-1]}
        return await self._any_keys(ask, "revoke", fields, operator)

    async def _any_keys(self, ask: Ask, action: str, fields: dict[str, Json], operator: Operator) -> Reply:
        if self._keys is None:
            return problem(404, "This process cannot tell about API keys.")
        notes = mandate_of({name: fields.pop(name, None) for name in ("reason", "actor")})
        return told(await self._keys(action, fields, _mandate(ask, operator, notes)))

    async def _get_trail(self, ask: Ask, operator: Operator) -> Reply:
        return await self._any_trail(ask, ask.path[1] if len(ask.path) > 1 else "list", operator)

    async def _forget(self, ask: Ask, operator: Operator) -> Reply:
        return await self._any_trail(ask, "forget", operator)

    async def _any_trail(self, ask: Ask, action: str, operator: Operator) -> Reply:
        if self._trail is None:
            return problem(404, "This process cannot tell about the audit trail.")
        fields = fields_of(ask)
        notes: dict[str, str] = {}
        if action == "forget":
            notes = mandate_of({name: fields.pop(name, None) for name in ("reason", "actor")})
        return told(await self._trail(action, fields, _mandate(ask, operator, notes)))

    async def _post_explain(self, ask: Ask, _operator: Operator) -> Reply:
        if self._explain is None:
            return problem(404, "This process cannot tell what would happen to a request.")
        fields = parse_object(await ask.read(MOST_QUESTION), MOST_QUESTION)
        if fields is None:
            return problem(400, "The body must be one JSON object.")
        return told(await self._explain(fields))

    async def _post_reload(self, ask: Ask, operator: Operator) -> Reply:
        if self._reload is None:
            return problem(404, "This process cannot read its configuration anew.")
        notes = parse_notes(await ask.read(MOST_BODY), MOST_BODY)
        reloaded = await self._reload(_mandate(ask, operator, notes))
        if reloaded.errors:
            more: dict[str, Json] = {"errors": list(reloaded.errors)}
            return problem(422, "The new configuration is refused; the old one runs on.", more=more)
        return reply(
            {
                "status": "reloaded",
                "changed": list(reloaded.changed),
                "warnings": list(reloaded.warnings),
                "workers": reloaded.workers,
            }
        )


async def _get_description(_ask: Ask) -> Reply:
    from gateway.edge.admin.openapi import describe  # noqa: PLC0415 - only who asks for it needs it

    return reply(describe())


def certificates_of(settings: AdminSettings) -> Certificates | None:
    """Return what TLS is to be spoken with. Raises CertificateError: a file cannot be used."""
    if settings.tls is None:
        return None
    return Certificates(TlsSettings(certificate=settings.tls.certificate, key=settings.tls.key))


def _judges_origin(route: Route | None) -> bool:
    return isinstance(route, Open) and route.judges_origin


def _mandate(ask: Ask, operator: Operator, notes: Mapping[str, str]) -> Mandate:
    """Return who asks, as recognised, and what they say of it."""
    return {**notes, "actor": operator.name, "actor_by": operator.how, "client": ask.client}
