"""The admin listener: metrics and health for everybody who reaches it, revocation for who holds the token.

It never shares a port with the public listener (R62). A browser that was lured here is kept out: a foreign
Host is refused (DNS rebinding), and so is a change that carries an Origin (CSRF).
"""

import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from gateway.config.settings.listener import AdminSettings
from gateway.core.fault import Fault
from gateway.core.reasons import Reason, status_of
from gateway.core.rules.entries import DenyEntry
from gateway.edge.admin.explain import MOST_QUESTION
from gateway.edge.admin.http import AdminServer, Answering, Ask, Reply, problem, reply
from gateway.edge.admin.readiness import Readiness
from gateway.edge.admin.revocation_request import (
    Mandate,
    Refused,
    Terms,
    mandate_of,
    parse_notes,
    parse_revocation,
)
from gateway.edge.admin.sessions import Answer
from gateway.edge.revocation.denylist_writer import Acknowledgement
from gateway.http.ports import Limits
from gateway.syntax.encoding import Json, parse_object
from gateway.syntax.urls import parse_listen

MOST_BODY: Final = 16_384
_RETRY_AFTER: Final = 5
_NOT_OURS: Final = "Ask by IP address, as localhost, or by a name in admin.hosts."
_PATHS: Final = (
    "GET /metrics, GET /livez, GET /readyz, POST /revoke, POST /reload, GET and DELETE /sessions,"
    " GET, POST and DELETE /keys, POST /explain"
)
# names that public DNS gives to nobody, so that no stranger's page can be rebound to them (RFC 6761, 6762;
# ".internal" is reserved by ICANN; ".svc" is Kubernetes' own and no public domain)
_PRIVATE: Final = (".localhost", ".local", ".internal", ".svc", ".test")


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a reload: refused where there are ``errors``, and nothing has changed then.

    ``changed`` names the top-level settings that differ; ``workers`` counts those that go on with them.
    """

    errors: Sequence[str] = ()
    warnings: Sequence[str] = ()
    changed: Sequence[str] = ()
    workers: int = 0


class Admin:
    """Serves the admin endpoints.

    Args:
        settings: where to listen, and the token of every change.
        metrics: returns the text of a scrape and its content type.
        ready: returns what is wrong, if anything.
        revoke: writes entries and tells which workers hold them; raises Fault.
        terms: what entries are made by.
        clock: wall time in seconds since the epoch.
        reload: reads the configuration anew; None where that is not offered.
        sessions: answers questions about sessions (``SessionAdmin.answer``); raises Fault.
        keys: answers what is asked of API keys (``KeyAdmin.answer``); raises Fault.
        explain: tells what would happen to a request (``ExplainAdmin.answer``); raises Fault.
        limits: bounds of clients, as outside.
    """

    def __init__(
        self,
        settings: AdminSettings,
        *,
        metrics: Callable[[], Awaitable[tuple[bytes, str]]],
        ready: Callable[[], Awaitable[Readiness]],
        revoke: Callable[[list[DenyEntry], Mandate], Awaitable[Acknowledgement]],
        terms: Terms,
        clock: Callable[[], float],
        reload: Callable[[Mandate], Awaitable[Reloaded]] | None = None,
        sessions: Callable[[str, Mapping[str, str], Mandate], Awaitable[Answer]] | None = None,
        keys: Callable[[str, Mapping[str, Json], Mandate], Awaitable[Answer]] | None = None,
        explain: Callable[[Mapping[str, Json]], Awaitable[Answer]] | None = None,
        limits: Limits | None = None,
    ) -> None:
        address = parse_listen(settings.listen)
        assert address is not None
        self._host, self._port = address
        self._reload = reload
        self._sessions = sessions
        self._keys = keys
        self._explain = explain
        self._metrics = metrics
        self._ready = ready
        self._revoke = revoke
        self._clock = clock
        self._server = AdminServer(self._answer, _refuse, limits or Limits(), clock)
        self._routes = self._build_routes()
        self.configure(settings, terms)

    def configure(self, settings: AdminSettings, terms: Terms, limits: Limits | None = None) -> None:
        """Go on with another token, other providers, other lifetimes and bounds; the address stays."""
        if limits is not None:
            self._server.configure(limits)
        token = settings.token.get_secret_value() if settings.token is not None else ""
        self._token = token.encode("utf-8", "surrogatepass")
        self._names = frozenset(name.lower() for name in (self._host, *settings.hosts))
        self._terms = terms

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._server.port

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Listen.

        Args:
            sockets: bound to the address already; without any it is bound here.

        Raises:
            OSError: the address is taken or not ours.
        """
        await self._server.start(self._host, self._port, sockets)

    async def close(self) -> None:
        """Stop listening."""
        await self._server.close()

    def _build_routes(self) -> Mapping[str, Mapping[str, Answering]]:
        """Return what answers, by the first segment of the path and the method."""
        sessions = dict.fromkeys(("GET", "DELETE"), self._any_sessions)
        return {
            "metrics": {"GET": self._get_metrics},
            "livez": {"GET": self._get_livez},
            "readyz": {"GET": self._get_readyz},
            "revoke": {"POST": self._post_revoke},
            "reload": {"POST": self._post_reload},
            "explain": {"POST": self._post_explain},
            "sessions": sessions,
            "keys": {"GET": self._get_keys, "POST": self._post_keys, "DELETE": self._delete_keys},
        }

    async def _answer(self, ask: Ask) -> Reply:
        # none at all: a question of HTTP/1.0, which no browser asks
        hosts = [value.decode("latin-1") for value in ask.fields(b"host")]
        if hosts and not _is_ours(hosts, self._names):
            return problem(421, _NOT_OURS)
        if ask.method not in ("GET", "HEAD") and ask.fields(b"origin"):
            return problem(403, "A web page may not change anything here.")
        try:
            return await self._route(ask)
        except Refused as refused:
            return problem(400, str(refused))
        except Fault as fault:
            return _from_fault(fault)
        except Exception as error:  # noqa: BLE001 - every answer here is a problem document
            return problem(500, f"Something failed inside the gateway: {type(error).__name__}.")

    async def _route(self, ask: Ask) -> Reply:
        name, *more = ask.path
        methods = self._routes.get(name)
        if methods is None or len(more) > (name in ("sessions", "keys")) or more == [""]:
            return problem(404, f"There is {_PATHS}.")
        answer = methods.get("GET" if ask.method == "HEAD" else ask.method)
        if answer is None:
            allowed = {*methods, "HEAD"} if "GET" in methods else set(methods)
            return problem(405, f"There is {_PATHS}.", {"Allow": ", ".join(sorted(allowed))})
        return await answer(ask)

    async def _get_metrics(self, _ask: Ask) -> Reply:
        body, content_type = await self._metrics()
        return Reply(200, body, content_type)

    async def _get_livez(self, _ask: Ask) -> Reply:
        return reply({"status": "alive"})

    async def _get_readyz(self, _ask: Ask) -> Reply:
        readiness = await self._ready()
        headers = {} if readiness.is_ready else {"Retry-After": str(_RETRY_AFTER)}
        return reply(readiness.to_json(), 200 if readiness.is_ready else 503, headers)

    async def _post_revoke(self, ask: Ask) -> Reply:
        if (refusal := self._judge_change(ask)) is not None:
            return refusal
        entry, notes = parse_revocation(
            await ask.read(MOST_BODY),
            MOST_BODY,
            terms=self._terms,
            now=self._clock(),
        )
        acknowledgement = await self._revoke([entry], {**notes, "client": ask.client})
        return reply(acknowledgement.to_json())

    async def _any_sessions(self, ask: Ask) -> Reply:
        # who is logged in is not for everybody who reaches this port, so reading needs the token, too
        if (refusal := self._judge_change(ask)) is not None:
            return refusal
        if self._sessions is None:
            return problem(404, "This process cannot tell about sessions.")
        fields = _fields_of(ask)
        action = "end" if ask.method == "DELETE" else "list"
        if len(ask.path) > 1:
            fields["id"] = ask.path[1]
            action = "end" if ask.method == "DELETE" else "show"
        notes: dict[str, str] = {}
        if action == "end":
            notes = mandate_of({name: fields.pop(name, None) for name in ("reason", "actor")})
        return _told(await self._sessions(action, fields, {**notes, "client": ask.client}))

    async def _get_keys(self, ask: Ask) -> Reply:
        return await self._any_keys(ask, "list" if len(ask.path) == 1 else "", dict(_fields_of(ask)))

    async def _post_keys(self, ask: Ask) -> Reply:
        if (refusal := self._judge_change(ask)) is not None:
            return refusal
        fields = parse_object(await ask.read(MOST_BODY), MOST_BODY)
        if fields is None:
            return problem(400, "The body must be one JSON object.")
        return await self._any_keys(ask, "create" if len(ask.path) == 1 else "", fields)

    async def _delete_keys(self, ask: Ask) -> Reply:
        action = "revoke" if len(ask.path) == 2 else ""
        fields: dict[str, Json] = {**_fields_of(ask), "id": ask.path[-1]}
        return await self._any_keys(ask, action, fields)

    async def _any_keys(self, ask: Ask, action: str, fields: dict[str, Json]) -> Reply:
        if (refusal := self._judge_change(ask)) is not None:
            return refusal
        if self._keys is None or not action:
            return problem(404, f"There is {_PATHS}.")
        notes = mandate_of({name: fields.pop(name, None) for name in ("reason", "actor")})
        return _told(await self._keys(action, fields, {**notes, "client": ask.client}))

    async def _post_explain(self, ask: Ask) -> Reply:
        # what is told of sessions and of the configuration is for whoever holds the token
        if (refusal := self._judge_change(ask)) is not None:
            return refusal
        if self._explain is None:
            return problem(404, "This process cannot tell what would happen to a request.")
        fields = parse_object(await ask.read(MOST_QUESTION), MOST_QUESTION)
        if fields is None:
            return problem(400, "The body must be one JSON object.")
        return _told(await self._explain(fields))

    async def _post_reload(self, ask: Ask) -> Reply:
        if (refusal := self._judge_change(ask)) is not None:
            return refusal
        if self._reload is None:
            return problem(404, "This process cannot read its configuration anew.")
        notes = parse_notes(await ask.read(MOST_BODY), MOST_BODY)
        reloaded = await self._reload({**notes, "client": ask.client})
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

    def _judge_change(self, ask: Ask) -> Reply | None:
        if not self._token:
            return problem(403, "Nothing can be changed here: set admin.token.")
        if not self._holds_token(ask.fields(b"authorization")):
            return problem(
                401, "A change needs the admin token.", {"WWW-Authenticate": 'Bearer realm="gateway admin"'}
            )
        return None

    def _holds_token(self, fields: list[bytes]) -> bool:
        if len(fields) != 1:
            return False
        scheme, _, token = fields[0].partition(b" ")
        # both digests are compared whatever the scheme, in a time that tells nothing about either
        same = hmac.compare_digest(token.strip(), self._token)
        return same and scheme.lower() == b"bearer"


def _fields_of(ask: Ask) -> dict[str, str]:
    """Return the parameters of a question. Raises Refused: too many, or one of them twice."""
    try:
        query = ask.query
    except ValueError:
        raise Refused("That are too many parameters.") from None
    fields = dict(query)
    if len(fields) != len(query) or "id" in fields:
        raise Refused("Each parameter at most once.")
    return fields


def _told(answer: Answer) -> Reply:
    return reply(answer.document) if answer.status == 200 else problem(answer.status, answer.detail)


def _refuse(fault: Fault) -> Reply:
    """Answer what is no acceptable request head."""
    if fault.reason is Reason.HOST_INVALID:
        return problem(421, _NOT_OURS)
    return problem(status_of(fault.reason), f"This cannot be answered: {fault.reason}.")


def _from_fault(fault: Fault) -> Reply:
    if fault.reason is Reason.BODY_TOO_LARGE:
        return problem(413, f"The body may have {MOST_BODY} bytes.")
    if fault.source == "client":
        return _refuse(fault)
    status = status_of(fault.reason)
    wait = min(max(ceil(fault.retry_after or _RETRY_AFTER), 1), 3600)
    headers = {"Retry-After": str(wait)} if status == 503 else {}
    return problem(status, f"It is not certain that this took effect: {fault.reason}. Try again.", headers)


def _is_ours(fields: list[str], names: frozenset[str]) -> bool:
    """Tell whether a request's Host can be no stranger's name: an address, or one that is not public."""
    if len(fields) != 1:
        return False
    field = fields[0].lower()
    host = field.rpartition("]")[0].removeprefix("[") if field.startswith("[") else field.partition(":")[0]
    host = host.removesuffix(".")
    if not host:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host in names or "." not in host or host.endswith(_PRIVATE)
    return True
