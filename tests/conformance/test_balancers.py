"""What balancers ask of the public listener, and what they are told whatever the Host."""

import pytest

from gateway.http.downstream.balancer import BalancerAnswer
from gateway.http.ports import Limits
from tests.support.http import GET, Plane

PATH = b"/up"


class Serving:
    """Whether a process serves."""

    def __init__(self):
        self.now = True

    def __call__(self):
        """Tell it."""
        return self.now


def asked(plane, serves=None):
    plane.server.answer_balancers(BalancerAnswer(PATH, serves or Serving()))


ASKING = {
    "a-known-host": b"GET /up HTTP/1.1\r\nHost: h\r\n\r\n",
    "any-host": b"GET /up HTTP/1.1\r\nHost: 10.0.0.1:8080\r\n\r\n",
    "query": b"GET /up?x=y HTTP/1.1\r\nHost: h\r\n\r\n",
    "absolute-form": b"GET http://h/up HTTP/1.1\r\nHost: h\r\n\r\n",
    "http-1.0": b"GET /up HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
    "http-1.0-without-host": b"GET /up HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "http-1.0-without-host-with-query": b"GET /up?z HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
}


@pytest.mark.parametrize("data", ASKING.values(), ids=ASKING)
async def test_a_balancer_is_told(data: bytes):
    """[3.8]: 200 while the process serves, 503 while it does not, under any Host; nobody else is asked."""
    serves = Serving()
    async with Plane() as plane:
        asked(plane, serves)
        client = await plane.client()
        for now, status, body in (
            (True, 200, b"ready\n"),
            (False, 503, b"unready\n"),
            (True, 200, b"ready\n"),
        ):
            serves.now = now
            answer = await client.ask(data)
            assert (answer.status, answer.body, answer.get("cache-control")) == (status, body, "no-store")
            head = await client.ask(data.replace(b"GET", b"HEAD"), head_only=True)
            assert (head.status, head.get("content-length")) == (status, str(len(body)))
        assert plane.handler.exchanges == plane.upstream.seen == []
        assert (await client.ask(GET)).status == 200


async def test_an_old_balancer_is_told_and_left():
    """[3.8]: HTTP/1.0 without Host and without keep-alive: the answer, then the end."""
    async with Plane() as plane:
        asked(plane)
        client = await plane.client()
        await client.send(b"GET /up HTTP/1.0\r\n\r\n")
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\nready\n")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET /u HTTP/1.0\r\n\r\n",
        b"GET /up/ HTTP/1.0\r\n\r\n",
        b"GET /upper HTTP/1.0\r\n\r\n",
        b"GET /UP HTTP/1.0\r\n\r\n",
        b"GET /%75p HTTP/1.0\r\n\r\n",
        b"GET //up HTTP/1.0\r\n\r\n",
        b"GET http://h/up HTTP/1.0\r\n\r\n",
        b"POST /up HTTP/1.0\r\n\r\n",
        b"GET /up HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
        b"GET /up HTTP/1.0\r\nHost:\r\n\r\n",
        b"GET /up HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n",
        b"GET /up HTTP/1.1\r\n\r\n",
        b"GET /up HTTP/1.1\r\nHost: h, i\r\n\r\n",
    ],
)
async def test_r57_for_all_else_a_host_is_needed(data: bytes):
    """R57 [3.8]: only that question does without, only in HTTP/1.0, and an unreadable Host is none."""
    async with Plane() as plane:
        asked(plane)
        client = await plane.client()
        answer = await client.ask(data)
        assert (answer.status, answer.body) == (400, b"host_invalid")
        assert await client.ended()
        assert plane.handler.exchanges == []


@pytest.mark.parametrize(
    "data",
    [
        b"POST /up HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /up HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
        b"GET /up/ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /upper HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /?/up HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
async def test_what_is_no_such_question(data: bytes):
    """[3.8]: anything else at that path, and every other path, is a request like any."""
    async with Plane() as plane:
        asked(plane)
        client = await plane.client()
        assert (await client.ask(data)).status == 200
        assert len(plane.handler.exchanges) == len(plane.upstream.seen) == 1


async def test_nothing_remembered_answers_it():
    """[3.8]: after any number of requests that look alike, on one connection, pipelined or not."""
    template = b"GET /%b HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n"
    async with Plane() as plane:
        asked(plane)
        client = await plane.client()
        for count in range(20):
            assert (await client.ask(template % b"p%d" % count)).status == 200
            assert (await client.ask(template % b"up")).body == b"ready\n"
            assert (await client.ask(template % b"up?%d" % count)).body == b"ready\n"
        await client.send(template % b"p" + template % b"up" + template % b"q")
        assert [(await client.answer()).body for _ in range(3)] == [b"GET /p 0", b"ready\n", b"GET /q 0"]
        assert len(plane.handler.exchanges) == 22
        plane.server.answer_balancers(None)
        assert (await client.ask(template % b"up")).body == b"GET /up 0"


async def test_while_the_gateway_drains():
    """[3.8]: who drains tells balancers so, and ends their connection."""
    async with Plane() as plane:
        asked(plane)
        client = await plane.client()
        assert (await client.ask(ASKING["any-host"])).status == 200
        plane.server.draining = True
        answer = await client.ask(ASKING["any-host"])
        assert (answer.status, answer.get("connection")) == (503, "close")
        assert await client.ended()


async def test_r60_limits_hold_for_balancers():
    """R60 [3.8]: a head is bounded as all are."""
    async with Plane(limits=Limits(head=1024, fields=5)) as plane:
        asked(plane)
        client = await plane.client()
        assert (await client.ask(b"GET /up HTTP/1.0\r\n" + b"X: y\r\n" * 6 + b"\r\n")).status == 431
