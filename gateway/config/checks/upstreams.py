"""Checks of the upstreams: every problem at once, each at the path of its setting."""

import re
from collections.abc import Iterator

from gateway.config.checks.problems import Path, Problem
from gateway.config.settings.root import Settings
from gateway.config.settings.routes import RouteSettings
from gateway.config.settings.upstreams import HealthSettings, UpstreamSettings
from gateway.syntax import urls
from gateway.syntax.tokens import NAME

# what a socket's address holds (unix(7)), its end included
_MOST_SOCKET_PATH = 107
_TARGET = re.compile(r"/[\x21\x22\x24-\x7e]*")
_UNIX = "unix:"


def check_upstreams(settings: Settings) -> Iterator[Problem]:
    """Yield every problem of the upstreams."""
    for name, upstream in settings.upstreams.items():
        at: Path = ("upstreams", name)
        if NAME.fullmatch(name) is None:
            yield Problem(at, "an upstream's name has letters, digits, - and _, at most 64")
        yield from _check_servers(upstream, at)
        yield from _check_tls(upstream, (*at, "tls"))
        if upstream.health is not None:
            yield from _check_health(upstream.health, (*at, "health"))


def _check_servers(upstream: UpstreamSettings, at: Path) -> Iterator[Problem]:
    seen: dict[tuple[str, str], int] = {}
    for index, url in enumerate(upstream.servers):
        where: Path = (*at, "servers", index)
        message, server = _read_server(url)
        if message is not None:
            yield Problem(where, message)
            continue
        if server in seen:
            yield Problem(where, f"the same server as servers[{seen[server]}]")
        seen.setdefault(server, index)
    if upstream.weights is not None and len(upstream.weights) != len(upstream.servers):
        yield Problem((*at, "weights"), "one number for each of servers")


def _read_server(url: str) -> tuple[str | None, tuple[str, str]]:
    """Return what is wrong with a server, and what tells it from others."""
    if url.startswith(_UNIX):
        path = url[len(_UNIX) :]
        good = path.startswith("/") and not path.startswith("//") and path.isprintable()
        if not good or len(path.encode()) > _MOST_SOCKET_PATH:
            return (
                f"write unix: and the absolute path of a socket, at most {_MOST_SOCKET_PATH} bytes",
                ("", ""),
            )
        return None, ("unix", path)
    message = urls.judge_url(url, insecure=True, path=False, query=False)
    parts = urls.split_url(url)
    if message is not None or parts is None:
        return message or "not a URL", ("", "")
    return None, (parts.scheme, urls.authority_of(parts))


def _check_tls(upstream: UpstreamSettings, at: Path) -> Iterator[Problem]:
    tls = upstream.tls
    if tls.model_fields_set and not any(url.startswith("https:") for url in upstream.servers):
        yield Problem(at, "none of servers is https://, so that nothing here has an effect")
    if tls.server_name is not None and not urls.is_host(tls.server_name):
        yield Problem((*at, "server_name"), "write a host name, in ASCII and without a port")
    if tls.client_key is not None and tls.client_certificate is None:
        yield Problem((*at, "client_key"), "a key without its client_certificate")
    if tls.ca_file is not None and not tls.verify:
        yield Problem((*at, "verify"), "false, and yet there is a ca_file: remove one of them")


def _check_health(health: HealthSettings, at: Path) -> Iterator[Problem]:
    if _TARGET.fullmatch(health.path) is None:
        yield Problem((*at, "path"), "write a path that begins with /, percent-encoded, without a fragment")
    if health.host is not None:
        parts = urls.split_url(f"http://{health.host}")
        if parts is None or parts.path or parts.query or "@" in health.host or "#" in health.host:
            yield Problem((*at, "host"), "write a host, in ASCII, and if need be a port")


def warn_upstreams(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed and yet hardly meant."""
    for name, upstream in settings.upstreams.items():
        if not upstream.tls.verify:
            yield Problem(
                ("upstreams", name, "tls", "verify"),
                "NOT VERIFIED: whoever is on the network can pose as this upstream, read what people send"
                " and their identity, and answer in its name; name the authority in ca_file instead",
            )
    for index, route in enumerate(settings.routes):
        for other, guarded in enumerate(settings.routes):
            if other != index and _opens(route, guarded):
                setting = "strip_prefix" if route.strip_prefix else "replace_prefix"
                yield Problem(
                    ("routes", index, setting),
                    f"leads to paths of this upstream that routes[{other}] guards by other rules",
                )
                break


def _opens(route: RouteSettings, guarded: RouteSettings) -> bool:
    """Tell whether one route leads to where another one lets in fewer."""
    if not (route.strip_prefix or route.replace_prefix is not None):
        return False
    if route.upstream != guarded.upstream or guarded.access != "required":
        return False
    is_same = route.require == guarded.require and route.default_require == guarded.default_require
    if route.access == "required" and is_same:
        return False
    here, there = _seen(route), _seen(guarded)
    return here.startswith(there) or there.startswith(here)


def _seen(route: RouteSettings) -> str:
    """Return the prefix that an upstream sees, with a slash at its end."""
    if route.strip_prefix:
        return "/"
    return (route.path if route.replace_prefix is None else route.replace_prefix).rstrip("/") + "/"
