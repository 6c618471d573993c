"""The player plays what it was given, and tells of every answer that is not what it must be."""

import contextlib
import os
import socket
import threading
from functools import partial

import pytest

from tests.bench import configurations, player, visitors, visits
from tests.bench.peers import GATEWAY
from tests.bench.people import people
from tests.bench.processes import LOAD_CORE, PROXY_CORE, find_program, started
from tests.bench.rig import rigged
from tests.bench.rows import Context
from tests.bench.visits import Ask, Crowd, Script, bearer
from tests.bench.website import site
from tests.support.ports import free_port


class Answers:
    """A server that answers each request with the same bytes, in the pieces given."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.seen: list[list[bytes]] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.threads.append(threading.Thread(target=self._serve, args=(sock,), daemon=True))
            self.threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        mine: list[bytes] = []
        self.seen.append(mine)
        with sock, contextlib.suppress(ConnectionError):
            while data := sock.recv(65536):
                mine.append(data)
                for piece in self.pieces:
                    sock.sendall(piece)

    def close(self) -> None:
        """End it; twice is once."""
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
        for thread in self.threads:
            thread.join(5)


@pytest.fixture
def serve():
    servers: list[Answers] = []

    def begin(*pieces: bytes) -> Answers:
        servers.append(Answers(*pieces))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


def scripts_of(*sizes: int, length: int = 3) -> list[Script]:
    return [
        [Ask(b"GET /%d/%d HTTP/1.1\r\n\r\n" % (at, number), 200, length) for number in range(size)]
        for at, size in enumerate(sizes)
    ]


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"


def test_the_player_plays_every_script_on_a_connection_of_its_own(serve):
    """Each in its order, the next one once one has ended."""
    server = serve(OK)
    scripts = scripts_of(3, 1, 4, 2)
    report = player.Player(scripts, server.port, 1).run(10)
    assert (report.answered, report.connections, report.trouble) == (10, 4, "")
    server.close()
    assert server.seen == [[ask.data for ask in script] for script in scripts]


@pytest.mark.parametrize("cut", [1, 20, len(OK) - 1])
def test_the_player_takes_answers_in_pieces(serve, cut):
    """However an answer is cut, and also where it is larger than one reading."""
    server = serve(OK[:cut], OK[cut:])
    assert player.Player(scripts_of(5, 5), server.port, 1).run(10).answered == 10
    large = OK[:-3].replace(b": 3", b": 50000") + b"x" * 50_000
    server = serve(large[: 4096 + cut], large[4096 + cut :])
    report = player.Player(scripts_of(5, 5, length=50_000), server.port, 1).run(10)
    assert (report.answered, report.trouble) == (10, "")


def test_the_player_keeps_a_pace(serve):
    """Connections are begun at their times, not before: the last of eleven ten gaps after the first."""
    server = serve(OK)
    report = player.Player(scripts_of(*[1] * 11), server.port, 4, 100.0).run(10)
    assert report.trouble == ""
    assert report.connections == 11
    assert report.seconds >= 0.1


def test_the_player_ends_where_a_lane_finds_no_script(serve):
    """Fewer scripts than lanes: those that there are have begun, and what is under way is waited for."""
    server = serve(OK)
    report = player.Player(scripts_of(1, 1), server.port, 4).run(10)
    assert (report.answered, report.trouble) == (2, "")


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        (OK.replace(b"200", b"401"), "instead of 200"),
        (OK + b"more", "4 bytes too many"),
        (b"", "no answer"),
        (b"nonsense" * 10_000, "does not end"),
    ],
)
def test_the_player_tells_of_answers_that_are_not_as_expected(serve, monkeypatch, answer, trouble):
    """Another status, another length, no answer: the round says so, and counts for nothing."""
    monkeypatch.setattr(player, "_PATIENCE", 0.3)
    server = serve(answer)
    assert trouble in player.Player(scripts_of(2), server.port, 1).run(10).trouble


def test_the_player_reads_a_length_where_none_is_expected(serve):
    """What a proxy itself answers, a refusal, has the length that it says."""
    server = serve(OK.replace(b"200", b"401"))
    scripts = [[Ask(b"GET / HTTP/1.1\r\n\r\n", 401, -1)] * 3]
    report = player.Player(scripts, server.port, 1).run(10)
    assert (report.answered, report.trouble) == (3, "")


def test_the_upstream_answers_as_the_visits_expect(tmp_path):
    """[10.figures] nginx's own validators, sizes and answers: 304 without a body, files whole, JSON."""
    nginx = find_program("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed")
    tmp_path.chmod(0o755)
    crowd = Crowd(people(40), [bearer("x")] * 40, site())
    crowd.site.write(tmp_path / "served" / "site")
    port, core = free_port(), min(os.sched_getaffinity(0))
    file = tmp_path / "nginx.conf"
    file.write_text(configurations.nginx_upstream(tmp_path, tmp_path / "served", port))
    with started("upstream", [nginx, "-c", str(file)], tmp_path, core, port):
        for draw in (visits.direct, visits.single):
            player.save(tmp_path / "x.bin", draw(crowd, 600, 1))
            scripts = player.load(tmp_path / "x.bin", port)
            report = player.Player(scripts, port, 1).run(30)
            assert report.trouble == ""
            assert report.answered == sum(map(len, scripts))


def test_the_gateway_answers_the_visits():
    """[10.figures] In its own configuration, with a proxy in front, in a flood: every answer as expected."""
    missing = [name for name in ("nginx", "wrk", "taskset") if find_program(name) is None]
    if missing or not {PROXY_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        pytest.skip(f"the benchmark needs two cores and {', '.join(missing) or 'more'}")
    with rigged() as rig:
        context = Context(rig, 0, 0.3, {})
        for row in (
            partial(visitors._direct, "test", GATEWAY),
            partial(visitors._pooled, "test", GATEWAY),
            partial(visitors._flood, "test"),
        ):
            sample = row(context)
            assert not sample.void or "saturated" in sample.void
            assert sample.primary > 0
