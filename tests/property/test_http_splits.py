"""A head that arrives in two reads is the head that it would have been in one, wherever it was cut."""

import random

import pytest

from gateway.http.downstream.connection import ClientConnection
from gateway.http.ports import Limits
from gateway.http.server import Server
from tests.property.test_http_streams import Memory, Pool
from tests.support.http import Handler

STARTS = [
    b"GET / HTTP/1.1",
    b"GET /a/b?c=d HTTP/1.1",
    b"HEAD /x HTTP/1.0",
    b"POST /p HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"\r\nDELETE /d HTTP/1.1",
    b"GET http://h/y HTTP/1.1",
    b"CONNECT h:1 HTTP/1.1",
    b"GET /a b HTTP/1.1",
    b"get / HTTP/1.1",
    b"GET / HTTP/2.0",
    b"GET /\xff HTTP/1.1",
]
HOSTS = [b"Host: h", b"Host: h", b"Host: h", b"host:h", b"Host: other", b"Host: a b", b"X: no host"]
LINES = [
    b"Accept: */*",
    b"Cookie: a=b; c=d",
    b"X-Empty:",
    b"X-Spaced: \t a  ",
    b"Connection: close",
    b"Connection: keep-alive, x-named",
    b"X-Named: 1",
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Content-Length: +5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"Expect: 100-continue",
    b"Upgrade: websocket",
    b"Authorization: Negotiate eA==",
    b"Accept-\x80: x",
    b"X-Bytes: \xe9\x00",
    b" folded",
    b"No colon",
    b"Spaced : 1",
    b"X-Cr: a\rb",
]


def head_of(draw: random.Random) -> bytes:
    """Return a head, good or bad, with its body."""
    lines = [draw.choice(HOSTS), *draw.sample(LINES, draw.choice([0, 1, 1, 2, 3]))]
    draw.shuffle(lines)
    end = draw.choice([b"\r\n"] * 9 + [b"\n"])
    return end.join([draw.choice(STARTS), *lines, b"", b"hello" if b"Content-Length: 5" in lines else b""])


def sent(*pieces: bytes) -> tuple[bytes, bytes, bool]:
    """Return what the upstream gets, what the client gets, and whether its connection is to end."""
    server = Server(Handler(), {}, Limits(), clock=lambda: 0.0)
    pool = server.pools["app"] = Pool(server)
    connection, transport = ClientConnection(server), Memory()
    connection.connection_made(transport)
    for piece in pieces:
        connection.data_received(piece)
    return pool.written(), transport.written, transport.closing


@pytest.mark.parametrize("seed", range(4))
def test_r57_a_head_in_two_reads(seed: int):
    """R57 [10.hold.1]: each of 200 heads, cut at every place, gives the bytes that it gives whole."""
    draw = random.Random(seed)
    forwarded = refused = 0
    for _ in range(50):
        head = head_of(draw)
        whole = sent(head)
        forwarded += bool(whole[0])
        refused += bool(whole[1])
        for place in range(1, len(head)):
            assert sent(head[:place], head[place:]) == whole, (head, place)
    assert forwarded > 5
    assert refused > 5
