"""What upstreams get, from several workers as processes: one assertion, one exchange for all of them."""

import asyncio

import jwt
import pytest

from gateway.demo.grants import EXCHANGE
from tests.support.fleet import Fleet

SECRET = "from the gateway alone"
ROUTES = [
    {"path": "/public/", "upstream": "app", "access": "public"},
    {
        "path": "/orders/",
        "upstream": "app",
        "access": "required",
        "authorization": {"exchange": {"audience": "orders-api"}},
        "request_headers": {"X-Gateway-Secret": SECRET},
    },
    {"path": "/", "upstream": "app", "access": "required", "unauthenticated": "login"},
]


@pytest.mark.asyncio
async def test_workers_tell_the_same():
    """[11.9]: whichever worker serves: one assertion, one exchanged token, and keys that check it."""
    async with Fleet(2, routes=ROUTES, upstreams={"app": {"assertion": {"audience": "billing"}}}) as fleet:
        browser = fleet.browser()
        await browser.login("/")
        assert (await browser.fetch("/orders/first")).status == 200
        asked = 0
        workers: set[int] = set()
        while len(workers) < 2 and asked < 400:
            clients = [browser.clone() for _ in range(8)]
            pages = await asyncio.gather(*(each.fetch(f"/orders/{asked}") for each in clients))
            assert {page.status for page in pages} == {200}
            keys = [await each.fetch("/.gateway/jwks.json") for each in clients]
            asked += len(clients)
            await asyncio.sleep(0.1)
            workers = {
                line["worker"] for line in fleet.events("request") if line["path"].startswith("/orders/")
            }
        assert workers == {0, 1}
        heads = [each.headers for each in fleet.upstream.seen if each.path.startswith("/orders/")]
        assert len({each["Authorization"] for each in heads}) == 1
        assert {each["X-Gateway-Secret"] for each in heads} == {SECRET}
        # a new one is due at a moment of its own
        assertions = {each["X-Gateway-Assertion"] for each in heads}
        assert len(assertions) <= 2
        assert fleet.provider.counts[f"token:{EXCHANGE}"] == 1
        assert len({page.text for page in keys}) == 1
        known = jwt.PyJWKSet.from_json(keys[0].text)
        for each in assertions:
            key = known[jwt.get_unverified_header(each)["kid"]]
            assert jwt.decode(each, key, ["ES256"], audience="billing")["sub"] == "alice"
        log = fleet.log.read_text()
        assert SECRET not in log
        assert not any(each["Authorization"].partition(" ")[2] in log for each in heads)
