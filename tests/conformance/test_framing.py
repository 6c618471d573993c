"""Messages with and without bodies on one connection, however they arrive."""

import random

import pytest

from tests.support.http import Plane

SEEDS = range(6)


def requests(draw: random.Random) -> list[tuple[bytes, str]]:
    """Return requests in which few things differ, and what the upstream says of each."""
    found = []
    for number in range(40):
        lines = b"Host: h\r\nX-Id: %d\r\n" % draw.randrange(3)
        kind = draw.choice(["get", "get", "length", "empty", "chunked"])
        size = draw.choice([1, 5, 700, 70_000])
        if kind == "get":
            found.append((b"GET /%d HTTP/1.1\r\n%b\r\n" % (number, lines), f"GET /{number} 0"))
        elif kind == "chunked":
            head = b"POST /%d HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (number, lines)
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size)
            found.append((head + body, f"POST /{number} {size}"))
        else:
            size = 0 if kind == "empty" else size
            head = b"POST /%d HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (number, lines, size)
            found.append((head + b"x" * size, f"POST /{number} {size}"))
    return found


def cut(data: bytes, draw: random.Random) -> list[bytes]:
    """Return the same in pieces, as a network might deliver it."""
    pieces = []
    while data:
        end = draw.choice([1, 20, 100, 5000, 100_000])
        pieces.append(data[:end])
        data = data[end:]
    return pieces


@pytest.mark.parametrize("seed", SEEDS)
async def test_r57_each_message_ends_where_it_ends(seed: int):
    """R57: pipelined or one by one, whole or in pieces, each is answered for what it is, in order."""
    draw = random.Random(seed)
    async with Plane() as plane:
        client = await plane.client()
        asked = requests(draw)
        while asked:
            count = draw.choice([1, 1, 1, 3])
            batch, asked = asked[:count], asked[count:]
            whole = b"".join(data for data, _ in batch)
            for piece in [whole] if draw.random() < 0.5 else cut(whole, draw):
                await client.send(piece)
            for _, told in batch:
                answer = await client.answer()
                assert (answer.status, answer.body.decode()) == (200, told)
