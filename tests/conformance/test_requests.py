"""What is an acceptable request, and how it reaches the upstream."""

import pytest

from gateway.http.ports import Limits
from tests.support.http import GET, Handler, Plane, figures

H = b"Host: h\r\n"


async def seen(data: bytes, *more: bytes, handler: Handler | None = None):
    """Return the request as the upstream saw it."""
    async with Plane(handler=handler) as plane:
        client = await plane.client()
        answer = await client.ask(data, *more, head_only=data.startswith(b"HEAD"))
        assert answer.status == 200
        return plane.upstream.seen[0]


@pytest.mark.parametrize(
    ("line", "target"),
    [
        (b"GET /a/b?c=d&e[]=f HTTP/1.1", "/a/b?c=d&e[]=f"),
        (b"GET http://h/a HTTP/1.1", "/a"),
        (b"GET HTTP://H/a?b HTTP/1.1", "/a?b"),
        (b"GET http://h HTTP/1.1", "/"),
        (b"GET http://h?b HTTP/1.1", "/?b"),
        (b"OPTIONS * HTTP/1.1", "*"),
        (b"OPTIONS http://h HTTP/1.1", "*"),
        (b"GET //evil/ HTTP/1.1", "//evil/"),
        (b"PROPFIND /dav HTTP/1.1", "/dav"),
        *((b"GET /a?q=1%c2&r=3 HTTP/1.1" % sign, f"/a?q=1{sign:c}2&r=3") for sign in b"|{}^`\\'[]"),
        (b"GET http://h?{a|b} HTTP/1.1", "/?{a|b}"),
        (b"GET /?%7B{|}\\^`%zz HTTP/1.1", "/?%7B{|}\\^`%zz"),
    ],
)
async def test_r55_targets(line: bytes, target: str):
    """R55 [2.1]: the upstream gets origin-form or ``*``, whatever the client chose; queries as they are."""
    sent = await seen(line + b"\r\n" + H + b"\r\n")
    assert sent.target == target
    assert sent.get("host") == "h"


@pytest.mark.parametrize("value", [b"h", b"H.example:8443", b"[::1]:80", b"127.0.0.1", b"a_b"])
async def test_hosts(value: bytes):
    """Names, addresses and ports are valid Hosts; the request's host is lower case."""
    handler = Handler()
    await seen(b"GET / HTTP/1.1\r\nHost: \t" + value + b" \r\n\r\n", handler=handler)
    assert handler.exchanges[0].request.host == value.lower()
    assert handler.exchanges[0].request.peer == "127.0.0.1"


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n"])
async def test_empty_lines_before_a_request_are_forgiven(before: bytes):
    """RFC 9112 section 2.2 [3.6]: one, and a second."""
    assert (await seen(before + GET)).target == "/"
    async with Plane() as plane:
        client = await plane.client()
        for _ in range(3):
            assert (await client.ask(before + GET)).status == 200


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"localhost.", b"localhost"),
        (b"H.Example.:8443", b"h.example:8443"),
        (b"h", b"h"),
        (b"[::1]:80", b"[::1]:80"),
        (b"h..", b"h.."),
        (b".", b"."),
    ],
)
async def test_the_dot_of_the_root(value: bytes, host: bytes):
    """[3.6]: ``localhost.`` is localhost, to whoever decides by it; in absolute-form too."""
    for line in (
        b"GET / HTTP/1.1",
        b"GET http://" + value + b"/ HTTP/1.1",
        b"GET http://" + host + b"/ HTTP/1.1",
    ):
        handler = Handler()
        await seen(line + b"\r\nHost: " + value + b"\r\n\r\n", handler=handler)
        assert handler.exchanges[0].request.host == host


@pytest.mark.parametrize("method", [b"LIST", b"VERSION-CONTROL", b"SUBSCRIBE", b"X_Y"])
async def test_extra_methods(method: bytes):
    """[3.6]: a method that was let through goes on, with and without a body, however often; others do not."""
    async with Plane() as plane:
        plane.server.take_methods(frozenset((method,)))
        client = await plane.client()
        for number in range(40):
            assert (await client.ask(b"%b /%d HTTP/1.1\r\n%b\r\n" % (method, number, H))).status == 200
            lines = b"%bContent-Length: 5\r\n" % H
            assert (await client.ask(b"%b / HTTP/1.1\r\n%b\r\nhello" % (method, lines))).status == 200
        assert {each.method for each in plane.upstream.seen} == {method.decode()}
        # what was let through once is not for ever
        plane.server.take_methods(frozenset())
        assert (await client.ask(b"%b /1 HTTP/1.1\r\n%b\r\n" % (method, H))).status == 501


@pytest.mark.parametrize(
    ("lines", "body", "length", "coding", "content"),
    [
        (b"Content-Length: 5\r\n", b"hello", "5", None, b"hello"),
        (b"Content-Length: 0\r\n", b"", "0", None, b""),
        (b"", b"", "0", None, b""),
        (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n", None, "chunked", b"hello"),
        (b"Transfer-Encoding: CHUNKED\r\n", b"00005\r\nhello\r\n000\r\n\r\n", None, "chunked", b"hello"),
        (
            b"Transfer-Encoding: chunked\r\n",
            b'2;a=b;c="d;\\""\r\nhe\r\n3;e\r\nllo\r\n0;f\r\n\r\n',
            None,
            "chunked",
            b"hello",
        ),
        (b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", None, "chunked", b""),
        (b"Transfer-Encoding: chunked\r\n", b"0" * 50 + b"\r\n\r\n", None, "chunked", b""),
        (
            b"Transfer-Encoding: chunked\r\n",
            b'00000000000000000000005 ; a\t=\t" ; " ;b\r\nhello\r\n0 ;\tc\r\n\r\n',
            None,
            "chunked",
            b"hello",
        ),
    ],
)
async def test_r57_one_framing_field(lines, body, length, coding, content):
    """R57: whatever the client's framing, the upstream sees one framing field, ours."""
    sent = await seen(b"POST / HTTP/1.1\r\n" + H + lines + b"\r\n" + body)
    assert sent.get("content-length") == length
    assert sent.get("transfer-encoding") == coding
    assert sent.body == content


async def test_a_get_has_no_framing_field():
    """A request without a body says nothing of one."""
    sent = await seen(GET)
    assert sent.raw_head == b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


async def test_r58_trailers_are_dropped():
    """A trailer never becomes a header, identity and framing names least of all."""
    trailers = b"X-Forwarded-User: root\r\nContent-Length: 5\r\nHost: evil\r\n"
    body = b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"
    async with Plane() as plane:
        client = await plane.client()
        for _ in range(2):
            head = b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n"
            assert (await client.ask(head, body)).body == b"POST / 5"
        for sent in plane.upstream.seen:
            assert sent.headers == [("Host", "h"), ("Transfer-Encoding", "chunked")]


async def test_http_1_0():
    """An HTTP/1.0 client gets its answer and the end, or keeps the connection if it asked."""
    async with Plane() as plane:
        client = await plane.client()
        answer = await client.ask(b"GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
        assert (answer.status, answer.get("connection")) == (200, "keep-alive")
        answer = await client.ask(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n")
        assert (answer.status, answer.get("connection")) == (200, "close")
        assert await client.ended()


async def test_r60_body_limit():
    """R60: 413 by its length at once, by its content as soon as it is too much, and the connection closes."""
    for lines, body in (
        (b"Content-Length: 11\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n", b"b\r\nhello world\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n", b"6\r\nhello \r\n" * 2),
    ):
        async with Plane(limits=Limits(body=10)) as plane:
            client = await plane.client()
            answer = await client.ask(b"POST / HTTP/1.1\r\n" + H + lines + b"\r\n", *([body] if body else []))
            assert (answer.status, answer.body) == (413, b"body_too_large")
            assert answer.get("connection") == "close"
            assert await client.ended()
            assert plane.handler.finished[0].fault.reason == "body_too_large"
            # a connection that was opened too late for it may serve others
            await plane.eventually(
                lambda plane=plane: plane.upstream.open == figures(plane.server)["upstream_app_idle"]
            )


async def test_a_route_has_its_own_limit():
    """``max_body`` of a route counts instead of the server's."""
    async with Plane(handler=Handler(max_body=20), limits=Limits(body=10)) as plane:
        client = await plane.client()
        assert (
            await client.ask(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 20\r\n\r\n" + b"x" * 20)
        ).status == 200
        assert (
            await client.ask(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 21\r\n\r\n" + b"x" * 21)
        ).status == 413


async def test_pipelined_requests_are_answered_in_order():
    """A hundred requests in one write, bodies among them: a hundred answers, in order."""
    async with Plane() as plane:
        client = await plane.client()
        data = b""
        for index in range(50):
            data += b"GET /%d HTTP/1.1\r\n%b\r\n" % (index, H)
            data += b"POST /%d HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" % (
                index,
                H,
            )
        await client.send(data)
        for index in range(50):
            assert (await client.answer()).body == b"GET /%d 0" % index
            assert (await client.answer()).body == b"POST /%d 3" % index
        assert plane.upstream.connections == 1


async def test_pipelined_requests_answered_here_are_bounded():
    """Thousands of pipelined requests that the gateway answers itself: in order, others served in between."""

    def decide(exchange) -> bool:
        exchange.respond(403, [(b"X-Target", exchange.request.target)], b"x" * 1000)
        return True

    async with Plane(handler=Handler(decide)) as plane:
        client = await plane.client(limit=1 << 24)
        other = await plane.client()
        client.writer.write(b"".join(b"GET /%d HTTP/1.1\r\n%b\r\n" % (index, H) for index in range(3000)))
        (connection, *_) = list(plane.server._connections)
        assert (await other.ask(GET)).status == 403
        assert connection.transport.get_write_buffer_size() < 200_000
        for index in range(3000):
            assert (await client.answer()).get("x-target") == f"/{index}"
