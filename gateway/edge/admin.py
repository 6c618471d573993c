"""The admin listener: metrics and health for everybody who reaches it, revocation for who holds the token.

It never shares a port with the public listener (R62). A browser that was lured here is kept out: a foreign
Host is refused (DNS rebinding), and so is a change that carries an Origin (CSRF).
"""

import hmac
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from aiohttp import web

from gateway.core.config import AdminSettings
from gateway.core.model import DenyEntry, Fault, Json
from gateway.core.reasons import status_of
from gateway.edge.readiness import Readiness
from gateway.edge.revocation_request import Refused, parse_revocation
from gateway.edge.revocations import Acknowledgement
from gateway.edge.session_desk import Answer

MOST_BODY: Final = 16_384
_RETRY_AFTER: Final = 5
_PATHS: Final = "GET /metrics, GET /livez, GET /readyz, POST /revoke, POST /reload, GET and DELETE /sessions"
# names that public DNS gives to nobody, so that no stranger's page can be rebound to them (RFC 6761, 6762;
# ".internal" is reserved by ICANN; ".svc" is Kubernetes' own and no public domain)
_PRIVATE: Final = (".localhost", ".local", ".internal", ".svc", ".test")

# what aiohttp says of a request that it cannot read repeats bytes of it, a token perhaps (R16), and is no
# line of ours
_SILENT: Final = logging.getLogger("gateway.admin")
_SILENT.disabled = True


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
        issuer_of_provider: the issuers by the providers' names.
        clock: wall time in seconds since the epoch.
        entry_lifetime: seconds that an entry lives at least; it outlives what it names.
        reload: reads the configuration anew; None where that is not offered.
        sessions: answers questions about sessions (``SessionDesk.answer``); raises Fault.
    """

    def __init__(
        self,
        settings: AdminSettings,
        *,
        metrics: Callable[[], Awaitable[tuple[bytes, str]]],
        ready: Callable[[], Awaitable[Readiness]],
        revoke: Callable[[list[DenyEntry]], Awaitable[Acknowledgement]],
        issuer_of_provider: Mapping[str, str],
        clock: Callable[[], float],
        entry_lifetime: float,
        reload: Callable[[], Awaitable[Reloaded]] | None = None,
        sessions: Callable[[str, Mapping[str, str]], Awaitable[Answer]] | None = None,
    ) -> None:
        self._host, self._port = _split(settings.listen)
        self._reload = reload
        self._sessions = sessions
        self._metrics = metrics
        self._ready = ready
        self._revoke = revoke
        self._clock = clock
        self._runner: web.AppRunner | None = None
        self.configure(settings, issuer_of_provider, entry_lifetime)

    def configure(
        self, settings: AdminSettings, issuer_of_provider: Mapping[str, str], entry_lifetime: float
    ) -> None:
        """Go on with another token, other providers, another lifetime; the address stays."""
        token = settings.token.get_secret_value() if settings.token is not None else ""
        self._token = token.encode("utf-8", "surrogatepass")
        self._names = frozenset(name.lower() for name in (self._host, *settings.hosts))
        self._issuers = dict(issuer_of_provider)
        self._entry_lifetime = entry_lifetime

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._runner is not None
        address = self._runner.addresses[0]
        return int(address[1])

    async def start(self, sockets: Sequence[socket.socket] = ()) -> None:
        """Listen.

        Args:
            sockets: bound to the address already; without any it is bound here.

        Raises:
            OSError: the address is taken or not ours.
        """
        app = web.Application(middlewares=[self._guard], client_max_size=MOST_BODY)
        app.on_response_prepare.append(_close_up)
        app.router.add_get("/metrics", self._get_metrics)
        app.router.add_get("/livez", self._get_livez)
        app.router.add_get("/readyz", self._get_readyz)
        app.router.add_post("/revoke", self._post_revoke)
        app.router.add_post("/reload", self._post_reload)
        for path, method in (
            ("/sessions", "GET"),
            ("/sessions/{id}", "GET"),
            ("/sessions", "DELETE"),
            ("/sessions/{id}", "DELETE"),
        ):
            app.router.add_route(method, path, self._any_sessions)
        self._runner = web.AppRunner(
            app, access_log=None, logger=_SILENT, handle_signals=False, shutdown_timeout=1.0
        )
        await self._runner.setup()
        sites: Sequence[web.BaseSite] = [web.SockSite(self._runner, each) for each in sockets]
        for site in sites or [web.TCPSite(self._runner, self._host, self._port)]:
            await site.start()

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not _is_ours(request.headers.getall("Host", []), self._names):
            return _problem(421, "Ask by IP address, as localhost, or by a name in admin.hosts.")
        if request.method not in ("GET", "HEAD") and "Origin" in request.headers:
            return _problem(403, "A web page may not change anything here.")
        try:
            return await self._answer(request, handler)
        except Exception as error:  # noqa: BLE001 - every answer here is a problem document
            return _problem(500, f"Something failed inside the gateway: {type(error).__name__}.")

    async def _answer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refused as refused:
            return _problem(400, str(refused))
        except Fault as fault:
            return _from_fault(fault)
        except web.HTTPRequestEntityTooLarge:
            return _problem(413, f"The body may have {MOST_BODY} bytes.")
        except web.HTTPNotFound:
            return _problem(404, f"There is {_PATHS}.")
        except web.HTTPMethodNotAllowed as error:
            return _problem(405, f"There is {_PATHS}.", {"Allow": ", ".join(sorted(error.allowed_methods))})

    async def _get_metrics(self, _request: web.Request) -> web.Response:
        body, content_type = await self._metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def _get_livez(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _get_readyz(self, _request: web.Request) -> web.Response:
        readiness = await self._ready()
        headers = {} if readiness.is_ready else {"Retry-After": str(_RETRY_AFTER)}
        return web.json_response(
            readiness.to_json(), status=200 if readiness.is_ready else 503, headers=headers
        )

    async def _post_revoke(self, request: web.Request) -> web.Response:
        if (refusal := self._judge_change(request)) is not None:
            return refusal
        entry = parse_revocation(
            await request.read(),
            MOST_BODY,
            issuers=self._issuers,
            now=self._clock(),
            lifetime=self._entry_lifetime,
        )
        acknowledgement = await self._revoke([entry])
        return web.json_response(acknowledgement.to_json())

    async def _any_sessions(self, request: web.Request) -> web.Response:
        # who is logged in is not for everybody who reaches this port, so reading needs the token, too
        if (refusal := self._judge_change(request)) is not None:
            return refusal
        if self._sessions is None:
            return _problem(404, "This process cannot tell about sessions.")
        fields = dict(request.query)
        if len(fields) != len(request.query) or "id" in fields:
            return _problem(400, "Each parameter at most once.")
        action = "end" if request.method == "DELETE" else "list"
        if (session_id := request.match_info.get("id")) is not None:
            fields["id"] = session_id
            action = "end" if request.method == "DELETE" else "show"
        answer = await self._sessions(action, fields)
        if answer.status != 200:
            return _problem(answer.status, answer.detail)
        return web.json_response(answer.document)

    async def _post_reload(self, request: web.Request) -> web.Response:
        if (refusal := self._judge_change(request)) is not None:
            return refusal
        if self._reload is None:
            return _problem(404, "This process cannot read its configuration anew.")
        await request.read()
        reloaded = await self._reload()
        if reloaded.errors:
            more: dict[str, Json] = {"errors": list(reloaded.errors)}
            return _problem(422, "The new configuration is refused; the old one runs on.", more=more)
        return web.json_response(
            {
                "status": "reloaded",
                "changed": list(reloaded.changed),
                "warnings": list(reloaded.warnings),
                "workers": reloaded.workers,
            }
        )

    def _judge_change(self, request: web.Request) -> web.Response | None:
        if not self._token:
            return _problem(403, "Nothing can be changed here: set admin.token.")
        if not self._holds_token(request.headers.getall("Authorization", [])):
            return _problem(
                401, "A change needs the admin token.", {"WWW-Authenticate": 'Bearer realm="gateway admin"'}
            )
        return None

    def _holds_token(self, fields: list[str]) -> bool:
        if len(fields) != 1:
            return False
        scheme, _, token = fields[0].partition(" ")
        presented = token.strip().encode("utf-8", "surrogateescape")
        # both digests are compared whatever the scheme, in a time that tells nothing about either
        same = hmac.compare_digest(presented, self._token)
        return same and scheme.lower() == "bearer"


async def _close_up(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    response.headers.pop("Server", None)


def _problem(
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Json] | None = None,
) -> web.Response:
    document: dict[str, Json] = {"type": "about:blank", "status": status, "detail": detail, **(more or {})}
    return web.json_response(
        document, status=status, headers=headers, content_type="application/problem+json"
    )


def _from_fault(fault: Fault) -> web.Response:
    status = status_of(fault.reason)
    wait = min(max(ceil(fault.retry_after or _RETRY_AFTER), 1), 3600)
    headers = {"Retry-After": str(wait)} if status == 503 else {}
    return _problem(status, f"It is not certain that this took effect: {fault.reason}. Try again.", headers)


def _split(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


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
