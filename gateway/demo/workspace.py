"""The demo's directory, its secrets and its ports: what must be there before anything starts."""

import base64
import errno
import json
import os
import re
import secrets
import socket
import stat
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

PORTS = {"--port": 8080, "--admin-port": 9090, "--provider-port": 8081, "--upstream-port": 8082}
"""The default of each option; the same numbers stand in demo.yaml."""


class DemoError(Exception):
    """The demo cannot start; the text says what to do."""


def choose_ports(wanted: Mapping[str, int]) -> dict[str, int]:
    """Return a free loopback port for each option; 0 takes any.

    Raises:
        DemoError: one is taken, or not ours to take.
    """
    chosen: dict[str, int] = {}
    with ExitStack() as held:
        for option, port in wanted.items():
            probe = held.enter_context(socket.socket())
            # connections of an earlier run that linger must not count, listeners must: hence listen
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                probe.listen(1)
            except OverflowError:
                raise DemoError(f"{option} {port}: a port is a number from 0 to 65535") from None
            except OSError as error:
                raise DemoError(_why(option, port, error)) from None
            chosen[option] = probe.getsockname()[1]
    return chosen


def _why(option: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken: end what uses it, or choose another with {option}"
    return f"port {port}: {error.strerror}; choose another with {option}"


def prepare(directory: Path, ports: Mapping[str, int]) -> Path:
    """Make the demo's directory with its secrets, unless they are there, and write its configuration.

    Returns:
        The configuration file, within the directory.

    Raises:
        DemoError: the directory cannot be used.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        _secret(directory / "admin-token", secrets.token_urlsafe(32))
        _secret(directory / "secret-key", base64.b64encode(secrets.token_bytes(32)).decode())
        config = directory / "gateway.yaml"
        config.write_text(render(directory.absolute(), ports), encoding="utf-8")
    except OSError as error:
        raise DemoError(
            f"{error.filename or directory}: {error.strerror}; choose another with --state-dir"
        ) from None
    return config


def _secret(path: Path, fresh: str) -> None:
    """Keep the secret that is there, or write a fresh one; either way it is ours alone."""
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise DemoError(f"{path} is no file of yours; remove it") from None
        if status.st_size == 0:
            # a start that was killed between creating and writing
            path.write_text(fresh, encoding="ascii")
        path.chmod(0o600)
        return
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(fresh)


def template() -> str:
    """Return the demo's configuration as it is shipped; ``config/demo.yaml`` has the same text."""
    return files("gateway.demo").joinpath("demo.yaml").read_text(encoding="utf-8")


def render(directory: Path, ports: Mapping[str, int]) -> str:
    """Return the configuration for these ports, to be kept in ``directory``."""
    moved = {str(default): str(ports[option]) for option, default in PORTS.items()}
    text = re.sub(rf"(?<=:)({'|'.join(moved)})\b", lambda match: moved[match[0]], template())
    # JSON's strings are YAML's too; ${ would be read as a reference
    quoted = json.dumps(str(directory)).replace("${", "$${")
    return text.replace("${file:../.demo/", "${file:").replace("state_dir: .demo\n", f"state_dir: {quoted}\n")
