"""Whether each server of each upstream is reached, is who it should be, and is healthy by its own checks."""

import asyncio
from collections.abc import Sequence
from functools import partial
from ssl import SSLContext
from typing import Final
from urllib.parse import urlsplit

from gateway.cli.online.findings import Check, Finding
from gateway.cli.online.names import Names
from gateway.cli.online.reaching import Place, reach
from gateway.config.settings.root import Settings
from gateway.config.settings.upstreams import UpstreamSettings
from gateway.http.upstream.origin import UNIX, expand_statuses
from gateway.http.upstream.tls import client_context
from gateway.syntax.urls import authority_of, port_of

_REACHED: Final = "is it reached"
_HEALTHY: Final = "is it healthy"
_MOST_LINE: Final = 8192


def checks(settings: Settings, names: Names, within: float) -> list[Check]:
    """Return a check for each server of each upstream."""
    return [
        Check(
            f"upstreams.{name}",
            f"{_REACHED} ({server})",
            partial(_ask, f"upstreams.{name}", each, server, names, min(0.8 * within, each.connect_timeout)),
            within,
        )
        for name, each in settings.upstreams.items()
        for server in each.servers
    ]


async def _ask(
    subject: str, settings: UpstreamSettings, server: str, names: Names, within: float
) -> Sequence[Finding]:
    question = f"{_REACHED} ({server})"
    try:
        place = _place_of(settings, server)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not usable"
        return [Finding(subject, question, "no", f"the files of its tls section: {why}")]
    found = await reach(place, names, within)
    findings = [Finding(subject, question, found.answer, found.detail, found.advice)]
    if found.answer == "yes" and settings.health is not None:
        findings.append(await _healthy(subject, settings, server, place))
    return findings


def _place_of(settings: UpstreamSettings, server: str) -> Place:
    if server.startswith(UNIX):
        return Place("", 0, path=server.removeprefix(UNIX))
    parts = urlsplit(server)
    context: SSLContext | None = client_context(settings.tls) if parts.scheme == "https" else None
    return Place(
        parts.hostname or "",
        port_of(parts),
        context,
        settings.tls.server_name,
        authorities="its tls.ca_file",
    )


async def _healthy(subject: str, settings: UpstreamSettings, server: str, place: Place) -> Finding:
    health = settings.health
    assert health is not None
    question = f"{_HEALTHY} ({server}{health.path if not place.path else ''})"
    host = health.host or ("localhost" if place.path else authority_of(urlsplit(server)))
    try:
        async with asyncio.timeout(health.timeout):
            status = await _status(place, host, health.path)
    except TimeoutError:
        detail = f"no answer within {health.timeout:g} s"
        return Finding(subject, question, "no", detail, "look at its log, or give it a longer health.timeout")
    except (OSError, ValueError, asyncio.IncompleteReadError):
        return Finding(subject, question, "no", "it gives no HTTP answer", "is it the right port?")
    if status in expand_statuses(health.status):
        return Finding(subject, question, "yes", f"it answers {status}")
    wanted = ", ".join(health.status)
    detail = f"it answers {status}, and a healthy one {wanted}"
    return Finding(subject, question, "no", detail, "look at its log, or at health.path and health.status")


async def _status(place: Place, host: str, path: str) -> int:
    """Return the status of a GET. Raises OSError, ValueError, IncompleteReadError."""
    if place.path:
        reader, writer = await asyncio.open_unix_connection(place.path, limit=_MOST_LINE)
    else:
        name = (place.server_name or place.host) if place.context is not None else None
        reader, writer = await asyncio.open_connection(
            place.host, place.port, ssl=place.context, server_hostname=name, limit=_MOST_LINE
        )
    try:
        head = (
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: token-gateway\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode("ascii"))
        version, status, *_ = (await reader.readline()).split(None, 2)
        if not version.startswith(b"HTTP/1."):
            raise ValueError("no HTTP")
        return int(status)
    finally:
        writer.transport.abort()
