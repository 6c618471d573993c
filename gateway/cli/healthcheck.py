"""The command ``healthcheck``: asks the admin listener whether the process lives, or is ready.

A container asks every few seconds, so nothing heavy is loaded: of the configuration the one setting is read
that names the listener, and HTTP is written by hand.
"""

import argparse
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.arguments import add_config, command, seconds_up_to
from gateway.cli.configuration import find_configuration
from gateway.cli.terminal import CommandError, say

if TYPE_CHECKING:
    from gateway.cli.arguments import Parser

DEFAULT_LISTEN = "127.0.0.1:9090"
_WITHIN = 2.0
_MOST = 65_536
# where to ask what listens on every address: an address of the same family, then of the other
WILD = {"0.0.0.0": ("127.0.0.1",), "::": ("::1", "127.0.0.1")}  # noqa: S104 - asked, not bound


def add_arguments(parsers: "argparse._SubParsersAction[Parser]") -> None:
    """Add the command."""
    parser = command(parsers, "healthcheck", "tell by the exit code whether the gateway lives", healthcheck)
    add_config(parser)
    parser.add_argument("--ready", action="store_true", help="whether it serves, too: asks /readyz")
    parser.add_argument(
        "--admin",
        metavar="URL",
        help="the admin listener, without any configuration: http://127.0.0.1:9090",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds_up_to(60),
        default=_WITHIN,
        help="for all of it; default: 2",
    )


def healthcheck(options: argparse.Namespace) -> int:
    """Tell whether the gateway lives, or is ready."""
    path = "/readyz" if options.ready else "/livez"
    if options.admin is not None:
        hosts, port, is_tls = _hosts_of(options.admin)
    else:
        hosts, port, is_tls = _hosts_in(find_configuration(options.config))
    deadline = time.monotonic() + options.timeout
    where = _shown(hosts[0], port)
    try:
        status, body = ask(hosts, port, path, deadline, is_tls=is_tls)
    except TimeoutError:
        raise CommandError(f"gateway: {where} did not answer within {options.timeout:g} s") from None
    except ConnectionRefusedError:
        raise CommandError(f"gateway: nothing listens at {where}: is the gateway running?") from None
    except OSError as error:
        raise CommandError(f"gateway: {where} cannot be asked: {error.strerror or error}") from None
    if status == 200:
        say("ready" if options.ready else "alive")
        return 0
    raise CommandError(f"gateway: {path} answered {status or 'no HTTP'}{_why(body)}")


def _hosts_of(url: str) -> tuple[tuple[str, ...], int, bool]:
    from gateway.syntax.urls import port_of, split_url  # noqa: PLC0415 - only one way needs it

    parts = split_url(url)
    if parts is None or parts.hostname is None or parts.path.strip("/") or parts.query or "@" in parts.netloc:
        raise CommandError("gateway: --admin is no URL such as http://127.0.0.1:9090")
    return WILD.get(parts.hostname, (parts.hostname,)), port_of(parts), parts.scheme == "https"


def _hosts_in(path: Path) -> tuple[tuple[str, ...], int, bool]:
    """Return where the admin listener of a configuration is, whatever else is wrong with the file."""
    import os  # noqa: PLC0415 - only one way needs these

    from gateway.edge.configfile.references import resolve  # noqa: PLC0415 - as above
    from gateway.edge.configfile.yaml import MOST_OCTETS, read  # noqa: PLC0415 - as above
    from gateway.syntax.urls import parse_listen  # noqa: PLC0415 - as above

    try:
        with path.open("rb") as file:
            document = read(file.read(MOST_OCTETS), lambda text: text)
    except OSError as error:
        raise CommandError(f"{path}: cannot be read: {error.strerror}") from None
    if not isinstance(document.data, dict):
        raise CommandError(f"{path}: no configuration: gateway check tells what is wrong with it")
    admin = document.data.get("admin")
    section = admin if isinstance(admin, dict) else {}
    try:
        listen = resolve(str(section.get("listen", DEFAULT_LISTEN)), os.environ, path.parent)
    except ValueError as error:
        raise CommandError(f"{path}: admin.listen: {error}") from None
    address = parse_listen(listen)
    if address is None:
        raise CommandError(f"{path}: admin.listen is no address: gateway check tells what is wrong with it")
    return WILD.get(address[0], (address[0],)), address[1], isinstance(section.get("tls"), dict)


def ask(hosts: tuple[str, ...], port: int, path: str, deadline: float, *, is_tls: bool) -> tuple[int, bytes]:
    """Return status and body of an answer; status 0 where it is no HTTP. Raises OSError."""
    with _connect(hosts, port, deadline) as plain, _secured(plain, hosts[0], is_tls=is_tls) as connection:
        host = _shown(hosts[0], port)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = bytearray()
        while len(answer) < _MOST:
            connection.settimeout(_left(deadline))
            piece = connection.recv(_MOST)
            if not piece:
                break
            answer += piece
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    is_http = len(words) > 1 and words[0].startswith(b"HTTP/1.") and len(words[1]) == 3 and words[1].isdigit()
    return (int(words[1]) if is_http else 0), body


def _connect(hosts: tuple[str, ...], port: int, deadline: float) -> socket.socket:
    for host in hosts[:-1]:
        try:
            return socket.create_connection((host, port), _left(deadline))
        except TimeoutError:
            raise
        except OSError:
            # a machine without IPv6, say
            continue
    return socket.create_connection((hosts[-1], port), _left(deadline))


def _secured(plain: socket.socket, host: str, *, is_tls: bool) -> socket.socket:
    if not is_tls:
        return plain
    import ssl  # noqa: PLC0415 - only where TLS is spoken

    # nothing secret is sent and nothing but yes or no is read: whose certificate it is makes no difference
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=host)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _why(body: bytes) -> str:
    """Return what a refusal says of itself, in brackets; nothing where it says nothing."""
    import json  # noqa: PLC0415 - only an answer that is not yes needs it

    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    checks = document.get("checks") if isinstance(document, dict) else None
    if isinstance(checks, dict):
        wrong = [f"{name}: {text}" for name, text in checks.items() if text != "ok"]
    else:
        wrong = [str(document["detail"])] if isinstance(document, dict) and "detail" in document else []
    told = "; ".join(wrong)[:300]
    return f" ({''.join(sign if sign.isprintable() else '?' for sign in told)})" if told else ""
