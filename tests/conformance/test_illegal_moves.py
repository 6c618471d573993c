"""What should never happen ends the connection and is logged, and no answer is made of it."""

import asyncio
import contextlib
from typing import Any

import pytest

from gateway.http.states import ClientState, ExchangeState, IllegalMove
from tests.support.http import GET, Handler, Plane, UpstreamSide

ANSWER = b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 2\r\n\r\nok"


def confuse_exchange(exchange: Any) -> None:
    """Let an exchange believe that it has begun to answer."""
    exchange._state = ExchangeState.ANSWERING


def confuse_connection(exchange: Any) -> None:
    """Let a connection believe that it discards a body."""
    exchange.connection.state = ClientState.DISCARD


def confuse_head(exchange: Any) -> None:
    """Let a connection believe that its request has been answered."""
    exchange.connection.state = ClientState.HEAD


@pytest.mark.parametrize(
    ("confuse", "most"),
    [(confuse_exchange, b""), (confuse_connection, ANSWER), (confuse_head, ANSWER)],
)
async def test_an_illegal_move_answers_nobody_wrongly(confuse: Any, most: bytes):
    """[10.2]: its connection ends, the loop's handler is told, and others are served as ever."""
    told: list[BaseException] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    async def answer(side: UpstreamSide) -> None:
        while True:
            sent = await side.request()
            if sent.target == "/confused":
                confuse(plane.handler.exchanges[-1])
            await side.send(ANSWER)

    async with Plane(answer, handler=Handler()) as plane:
        client, other = await plane.client(), await plane.client()
        assert (await other.ask(GET)).status == 200
        await client.send(b"GET /confused HTTP/1.1\r\nHost: h\r\n\r\n")
        received = b""
        with contextlib.suppress(ConnectionError):
            while data := await client.some():
                received += data
        assert received in (b"", most)
        await plane.eventually(lambda: len(plane.server._connections) == 1)
        await plane.eventually(lambda: not plane.server.in_flight)
        assert told
        assert all(isinstance(each, IllegalMove) for each in told)
        assert (await other.ask(GET)).body == b"ok"
