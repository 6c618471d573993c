"""Properties of upstreams: prefixes change nothing that was judged, and nothing unsafe is sent twice."""

import asyncio
import contextlib

from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from gateway.core.rules.routes import compile_routes
from gateway.syntax.targets import canonicalise
from tests.support.cluster import OK, Cluster, get, post
from tests.support.http import UpstreamSide, figures
from tests.support.pure import HOST, settings

SEGMENT = st.sampled_from(["a", "api", "v2", "%20", "%C3%BC", "...", "a.b", "%3F", "%23", "x=y"])
PREFIX = st.lists(SEGMENT, max_size=3).map(lambda parts: "/" + "".join(f"{part}/" for part in parts))
REST = st.lists(
    SEGMENT | st.sampled_from(["", ".", "..", "%2e", "%2F", ";", "%25", "\\", "%00", "admin;x"]), max_size=4
).map("/".join)
QUERY = st.sampled_from(["", "?", "?a=/../b", "?x=%2F"])


@given(PREFIX, PREFIX, st.booleans(), REST, QUERY)
def test_r56_a_replaced_prefix_changes_nothing_else(prefix, other, strips, rest, query):
    """R56: what follows the prefix is the judged bytes, what is sent is canonical, and reads back as one."""
    change = {"strip_prefix": True} if strips else {"replace_prefix": other}
    table = compile_routes(settings({"path": prefix, **change}))
    target = canonicalise((prefix + rest + query).encode())
    if target is None:
        return
    route = table.match(HOST, target.path, b"GET")
    if route is None:
        return
    sent = route.forwarded(target.path)
    below = target.path[len(route.path) :]
    replaced = b"" if strips else other.encode().rstrip(b"/")
    assert target.path == route.path + below
    assert sent == (replaced + below or b"/")
    assert below == b"" or below.startswith(b"/")
    found = canonicalise(sent + target.query)
    assert found is not None
    assert (found.path, found.query) == (sent, target.query)


ACTS = st.sampled_from(["ok", "ok", "ok-close", "error", "silent-end", "reset", "byte", "middle", "refuse"])
HISTORY = st.lists(st.tuples(st.sampled_from(["GET", "DELETE", "POST", "PATCH"]), st.booleans()), max_size=8)


def acting(acts: list[str]):
    """Return a behaviour that takes its acts from a list, one for each request."""

    async def behave(side: UpstreamSide) -> None:
        while True:
            if acts[:1] == ["refuse"]:
                acts.pop(0)
                return
            await side.request()
            act = acts.pop(0) if acts else "ok"
            if act in ("ok", "ok-close", "error"):
                await side.send(OK if act != "error" else OK.replace(b"200 OK", b"500 No"))
                if act == "ok-close":
                    return
            elif act == "byte":
                await side.send(b"H")
                return
            elif act == "middle":
                await side.send(OK[:-1])
                return
            elif act == "reset":
                side.reset()
                return
            else:
                return

    return behave


async def run(histories: list[list[str]], requests: list[tuple[str, bool]]) -> None:
    """Send the requests through servers that behave so; count what arrived."""
    async with Cluster(len(histories), breaker={"failures": 3, "delay": 0.02}) as cluster:
        for server, acts in zip(cluster.members, histories, strict=True):
            server.behaviour = acting(list(acts))
        for turn, (method, has_body) in enumerate(requests):
            client = await cluster.client()
            target = f"/{turn}"
            data = post(target).replace(b"POST", method.encode()) if has_body else get(target, method)
            await client.send(data)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                assert (await client.answer()).status in (200, 500, 502, 503)
            counted = sum(len(server.asked(target)) for server in cluster.members)
            assert counted <= (2 if method in ("GET", "DELETE") else 1), (method, counted)
        await cluster.eventually(lambda: cluster.server.in_flight == 0)
        assert cluster.gauge("busy") == 0 or figures(cluster.server)["upstream_app_open"]
        cluster.server.pools["app"].close_idle()
        await cluster.eventually(lambda: figures(cluster.server)["upstream_app_open"] == 0)
        assert all(cluster.gauge("busy", n) == 0 for n in range(len(histories)))


@profile(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(ACTS, max_size=8), min_size=1, max_size=3), HISTORY)
def test_r63_nothing_unsafe_is_sent_twice(histories, requests):
    """R63: however servers misbehave, an unsafe request reaches them once at most, any other twice."""
    asyncio.run(run(histories, requests))
