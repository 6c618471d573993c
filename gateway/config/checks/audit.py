"""Checks of what logs and the audit log are asked to tell of routes, and of where they go."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.config.checks.problems import Problem
from gateway.config.settings.root import Settings
from gateway.config.settings.routes import RouteSettings


def check_audit(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with what is asked of the audit log, and with where logs go."""
    if not _is_daemon(settings.log.syslog.address):
        yield Problem(("log", "syslog", "address"), "such as unix:/dev/log, udp://host:514, tls://host:6514")
    asked: dict[str, RouteSettings] = {}
    for index, route in enumerate(settings.routes):
        name = route.name or route.path
        other = asked.setdefault(name, route)
        for setting in ("audit", "log"):
            if getattr(other, setting) != getattr(route, setting):
                why = f"another route that logs call {name} has it otherwise: give one of them a name"
                yield Problem(("routes", index, setting), why)


def _is_daemon(address: str) -> bool:
    if address.startswith("unix:/"):
        return True
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
