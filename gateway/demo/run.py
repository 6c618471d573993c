"""``gateway demo``: provider, upstream, store and gateway in this process, and what to do with them."""

import argparse
import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from urllib.parse import urlsplit

from gateway.app.gateway import Gateway
from gateway.config.callbacks import CONSOLE_CALLBACK
from gateway.config.settings.root import Settings
from gateway.core.fault import Fault
from gateway.demo.narrator import Narrator
from gateway.demo.provider import DemoProvider
from gateway.demo.upstream import DemoUpstream
from gateway.demo.workspace import PORTS, DemoError, choose_ports, prepare
from gateway.edge.configfile.load import load_settings
from gateway.edge.telemetry.logs import Logs

ACCESS_LIFETIME = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``gateway demo``."""
    for option, what in (
        ("--port", "of the gateway"),
        ("--admin-port", "of its admin listener"),
        ("--provider-port", "of the identity provider"),
        ("--upstream-port", "of the upstream"),
    ):
        default = PORTS[option]
        parser.add_argument(
            option, type=int, default=default, metavar="PORT", help=f"{what} (default {default}; 0: any)"
        )
    parser.add_argument(
        "--access-lifetime",
        type=_seconds,
        default=ACCESS_LIFETIME,
        metavar="SECONDS",
        help="of access tokens (default 60)",
    )
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=Path(".demo"),
        metavar="DIR",
        help="of secrets and store (default .demo)",
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.1 <= value <= 86400:
        raise argparse.ArgumentTypeError("0.1 to 86400 seconds")
    return value


def main(arguments: argparse.Namespace) -> int:
    """Run the demo with parsed options; return the exit code."""
    ports = {option: getattr(arguments, option.strip("-").replace("-", "_")) for option in PORTS}
    return run_demo(ports, access_lifetime=arguments.access_lifetime, state_dir=arguments.state_dir)


def run_demo(
    ports: dict[str, int] | None = None,
    *,
    access_lifetime: float = ACCESS_LIFETIME,
    state_dir: Path = Path(".demo"),
    write: Callable[[str], object] | None = None,
) -> int:
    """Run until SIGINT or SIGTERM.

    Args:
        ports: by option name (see ``PORTS``); 0 takes any free port.
        access_lifetime: of access tokens, in seconds.
        state_dir: of secrets, configuration and store.
        write: takes each line of output; standard output when None.

    Returns:
        0 when it was ended, 1 when it could not start (standard error says why).
    """
    say = _say if write is None else write
    try:
        chosen = choose_ports({**PORTS, **(ports or {})})
        config = prepare(state_dir, chosen)
        settings = load_settings(config)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(Demo(settings, config, access_lifetime, say).run())
    except Fault as error:
        return _complain(error.detail or error.reason)
    except (DemoError, RuntimeError, OSError) as error:
        return _complain(str(error))
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - absent on Windows
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(why: str) -> int:
    sys.stderr.write(f"gateway demo: {why}\n")
    return 1


class Demo:
    """Everything together, from start to Ctrl-C."""

    def __init__(
        self, settings: Settings, config: Path, access_lifetime: float, say: Callable[[str], object]
    ) -> None:
        self._settings = settings
        self._config = config
        self._say = say
        self._narrator = Narrator(say)
        client = settings.providers["demo"]
        assert client.client_secret is not None
        self.provider = DemoProvider(
            client_id=client.client_id,
            client_secret=client.client_secret.get_secret_value(),
            redirect_uris=(f"{settings.public_url[0]}{settings.prefix}callback", *_of_console(settings)),
            audience=client.audiences[0],
            port=_port(client.issuer),
        )
        self.provider.access_lifetime = access_lifetime
        self.upstream = DemoUpstream(port=_port(settings.upstreams["app"].servers[0]))
        self.gateway = Gateway(settings, logs=Logs(settings.log, write=self._narrator))

    async def run(self) -> None:
        """Start, tell what to do, wait for a signal, end.

        Raises:
            OSError: a port was taken in the meantime. RuntimeError: the store does not start.
        """
        signals = _Signals()
        try:
            await self.provider.start()
            await self.upstream.start()
            await self.gateway.start()
            self._say(self.summary())
            await signals.first.wait()
            self._narrator.flush()
            self._say("\n  stopping ...")
            await _until(self.gateway.drain(), signals.second)
        finally:
            await self.gateway.close()
            await self.upstream.close()
            await self.provider.close()

    def summary(self) -> str:
        """Return what to open, type and expect."""
        site, admin = (
            self._settings.public_url[0],
            f"http://localhost:{_port('//' + self._settings.admin.listen)}",
        )
        issuer, lifetime = self.provider.issuer, self.provider.access_lifetime
        secret = f"{self.provider.client_id}:{self.provider.client_secret}"
        command = f"{_command()} revoke --config {shlex.quote(str(self._config))} --sub alice"
        return f"""
  Token Gateway demo

    open      {site}/          log in as alice / alice or bob / bob
              {site}/admin/    for the group admins: alice, not bob
              {site}/public/   for everybody
              {site}/.gateway/sessions   where one is logged in
    console   {admin}/console/   for operators: alice again
    metrics   {admin}/metrics
    provider  {issuer}/.well-known/openid-configuration

  As an API client

    curl -i {site}/api/whoami
    TOKEN=$(curl -s '{issuer}/mint?user=alice&scope=api')
    curl -i -H "Authorization: Bearer $TOKEN" {site}/api/whoami

    or a token of the client itself, by its secret:
    curl -s -u {secret} -d grant_type=client_credentials -d scope=api {issuer}/token

  Refuse everything that alice holds, in every worker, at once

    {command}

  Access tokens live {lifetime:g} seconds. Stay logged in, reload now and then, and watch them being renewed.
  Configuration: {self._config}. Ctrl-C ends the demo.
"""


def _of_console(settings: Settings) -> tuple[str, ...]:
    """Return where browsers come back to that log in to the console."""
    console = settings.admin.console
    return () if console is None or console.url is None else (console.url + CONSOLE_CALLBACK,)


class _Signals:
    """The first SIGINT or SIGTERM asks for an end, the second for haste."""

    def __init__(self) -> None:
        self.first, self.second = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._take)

    def _take(self) -> None:
        (self.second if self.first.is_set() else self.first).set()


async def _until(work: Coroutine[None, None, None], haste: asyncio.Event) -> None:
    """Await ``work``, but not beyond ``haste``."""
    tasks = {asyncio.create_task(work), asyncio.create_task(_wait(haste))}
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _command() -> str:
    """Return how this very command can be called again."""
    if (found := shutil.which("gateway")) is not None and Path(found).parent == Path(sys.executable).parent:
        return "gateway"
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = Path(os.path.relpath(python))
    return f"{shlex.quote(str(python))} -m gateway"
