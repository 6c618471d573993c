"""CVE-2026-71324: a CONNECT poisoned the pool of kept connections."""

import pytest

from gateway.core.decision.answers import Refuse
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from tests.support.decisions import ask, compiled
from tests.support.heads import read_request_head
from tests.support.http import GET, Plane

pytestmark = pytest.mark.asyncio
CONNECTS = [
    b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    b"CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n",
    b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\nContent-Length: 5\r\n\r\n",
    b"CONNECT http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
    b"CONNECT * HTTP/1.1\r\nHost: h\r\n\r\n",
]


@pytest.mark.parametrize("connect", CONNECTS)
async def test_r55_it_never_reaches_a_kept_connection(connect: bytes):
    """R55: refused and closed; the upstream sees the requests before and after it, and nothing else."""
    async with Plane() as plane:
        client = await plane.client()
        assert (await client.ask(GET)).body == b"GET / 0"
        answer = await client.ask(connect + b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
        assert answer.status in (400, 405)
        assert await client.ended()
        other = await plane.client()
        assert (await other.ask(GET)).body == b"GET / 0"
        assert [sent.target for sent in plane.upstream.seen] == ["/", "/"]


@pytest.mark.parametrize("connect", CONNECTS)
async def test_it_is_not_remembered_either(connect: bytes):
    """However often it comes, no memory of heads ever lets it pass."""
    for _ in range(4):
        with pytest.raises(Fault):
            read_request_head(connect)


async def test_r62_the_decision_refuses_it_as_well():
    """R62: TRACE and CONNECT are refused before any route is looked for, a public one included."""
    for method in (b"CONNECT", b"TRACE"):
        answer = ask(compiled(), "/public/x", method=method)
        assert isinstance(answer, Refuse)
        assert answer.reason is Reason.METHOD_UNSUPPORTED
