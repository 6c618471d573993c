"""oauth2-proxy as a peer: built from its module by the Go that is here, and its options."""

import functools
import os
import subprocess
from pathlib import Path

from tests.bench.configurations import FRONT, Place
from tests.bench.material import AUDIENCE, CLIENT_ID, CLIENT_SECRET
from tests.bench.processes import NotStarted

VERSION = "v7.15.6"
MODULE = "github.com/oauth2-proxy/oauth2-proxy/v7"
_PATIENCE = 900.0
_COOKIE_SECRET = "0123456789abcdef0123456789abcdef"


def folder(environment: "os._Environ[str] | dict[str, str]") -> Path:
    """Return where the program is kept once it is built."""
    cache = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "token-gateway-bench" / f"oauth2-proxy-{VERSION}"


@functools.cache
def build(go: str) -> Path:
    """Return the program, built if it is not there yet, which takes a minute or a few.

    Raises:
        NotStarted: it cannot be built; the text says why.
    """
    home = folder(os.environ)
    program = home / "oauth2-proxy"
    if program.exists():
        return program
    home.mkdir(parents=True, exist_ok=True)
    command = [go, "install", f"{MODULE}@{VERSION}"]
    environment = {**os.environ, "GOBIN": str(home)}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotStarted(f"it cannot be built: {error}") from error
    if done.returncode or not program.exists():
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise NotStarted(f"it cannot be built: {lines[-1][-200:]}")
    return program


def arguments(place: Place) -> list[str]:
    """Return its options: bearer tokens of the provider are accepted, for the benchmark's audience."""
    options = {
        "http-address": f"127.0.0.1:{place.port}",
        "provider": "oidc",
        "oidc-issuer-url": place.material.issuer,
        "client-id": CLIENT_ID,
        "client-secret": CLIENT_SECRET,
        "oidc-extra-audience": AUDIENCE,
        "skip-jwt-bearer-tokens": "true",
        "email-domain": "*",
        "cookie-secret": _COOKIE_SECRET,
        "cookie-secure": "false",
        "upstream": f"http://127.0.0.1:{place.material.upstream_port}/",
        "pass-basic-auth": "false",
        "pass-user-headers": "true",
        "logging-filename": str(place.folder / "access.log"),
    }
    if place.is_proxied:
        options |= {"reverse-proxy": "true", "trusted-proxy-ip": FRONT}
    return [f"--{name}={value}" for name, value in options.items()]
