"""A head that arrives in two reads is the head that it would have been in one, wherever it was cut."""

import random

import pytest

from gateway.http.downstream.connection import ClientConnection
from gateway.http.ports import Limits
from gateway.http.server import Server
from tests.property.test_http_streams import answers
from tests.support.http import Handler
from tests.support.in_memory import Pool, Transport

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
    pool = Pool(server)
    connection, transport = ClientConnection(server), Transport()
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


AFTER_HEADS = [
    b"\r\n\r\n",
    b"hello\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"GET /second HTTP/1.1\r\nHost: h\r\n\r\n",
    b"helloGET /second HTTP/1.1\r\nHost: h\r\n\r\n",
    b"X-Host: h\r\n\r\n",
    b"Host: other\r\n\r\n",
]


@pytest.mark.parametrize("after", AFTER_HEADS)
def test_r57_what_follows_a_head_in_the_same_read_is_no_part_of_it(after: bytes):
    """R57 [10.hold.1]: a read that ends as a head does, and holds more than one, is taken apart."""
    draw = random.Random(1)
    for _ in range(200):
        data = head_of(draw).removesuffix(b"hello") + after
        assert sent(data) == sent(data[:1], data[1:]), data


STATUS_LINES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 404",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 204 No Content",
    b"\r\nHTTP/1.1 200 OK",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK",
    b"HTTP/1.1 999 Odd",
    b"HTTP/1.1 20 x",
    b"HTTP/2 200 OK",
    b"ICY 200 OK",
]
RESPONSE_LINES = [
    b"Content-Length: 5",
    b"Content-Length: 5",
    b"content-length:5, 5",
    b"Transfer-Encoding: chunked",
    b"Set-Cookie: a=b; Path=/",
    b"Cache-Control: public",
    b"Connection: close, X-Named",
    b"Connection: keep-alive",
    b"Keep-Alive: timeout=5",
    b"X-Named: 1",
    b"Date : d",
    b"X-Empty:",
    b"X-Spaced: \t a  ",
    b"X-Folded: a\r\n b",
    b"X-Bytes: \xe9\x00",
    b"Content-Type: text/event-stream",
    b"WWW-Authenticate: NTLM",
    b"Upgrade: tcp",
    b"No colon",
    b"X-Cr: a\rb",
]


def response_of(draw: random.Random) -> bytes:
    """Return a response head, good or bad, with its body."""
    lines = [b"Date: d", *draw.sample(RESPONSE_LINES, draw.choice([0, 1, 1, 2, 3]))]
    end = draw.choice([b"\r\n"] * 5 + [b"\n"])
    is_chunked = b"Transfer-Encoding: chunked" in lines
    return end.join([draw.choice(STATUS_LINES), *lines, b"", b"0\r\n\r\n" if is_chunked else b"hello"])


def answered(*pieces: bytes) -> tuple[list, bool, list, bool]:
    """Return what the client gets, whether its connection ends, how, and whether the upstream's does."""
    server = Server(Handler(), {}, Limits(), clock=lambda: 0.0)
    pool = Pool(server)
    connection, transport = ClientConnection(server), Transport()
    connection.connection_made(transport)
    connection.data_received(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    (upstream,) = pool.connections
    for piece in pieces:
        # whoever has closed a connection is told of nothing more
        if not upstream._transport.closing:
            upstream.data_received(piece)
    ended = [(each.status, each.fault and each.fault.reason) for each in server.handler.finished]
    return answers(transport.written), transport.closing, ended, upstream._transport.closing


@pytest.mark.parametrize("seed", range(4))
def test_r57_a_response_head_in_two_reads(seed: int):
    """R57 [10.hold.1]: what an upstream sends in two reads is taken as what it sends in one."""
    draw = random.Random(seed)
    passed = refused = 0
    for _ in range(50):
        response = response_of(draw)
        whole = answered(response)
        is_refused = any(fault is not None for _, fault in whole[2])
        refused += is_refused
        passed += not is_refused
        for place in range(1, len(response)):
            assert answered(response[:place], response[place:]) == whole, (response, place)
    assert passed > 5
    assert refused > 5
