"""What happens when this process may open no more files."""

import asyncio
import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from gateway.http.sockets import is_own_lack
from gateway.http.upstream import health
from tests.support.cluster import OK, Cluster, post
from tests.support.http import GET, UpstreamSide, figures

QUICK = {"failures": 2, "delay": 0.05}


@contextlib.contextmanager
def without_files() -> Iterator[None]:
    """Let this process open no file meanwhile, but for those that it has."""
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0)]
    # none above those that are open now; what is free below is taken
    resource.setrlimit(
        resource.RLIMIT_NOFILE,
        (1 + max(int(each.name) for each in Path("/proc/self/fd").iterdir()), usual[1]),
    )
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
        for each in taken:
            os.close(each)


async def test_r60_files_that_are_lacking_here_are_no_server_s_failure():
    """R60: where no file can be opened, 503 and a time to come back; the server has failed no request."""
    async with Cluster(1, breaker=QUICK) as cluster:
        client = await cluster.client()
        with without_files():
            for _ in range(4):
                answer = await client.ask(post())
                assert (answer.status, answer.body) == (503, b"overloaded")
        assert {fault.source for fault in cluster.handler.faults} == {"gateway"}
        assert "open files" in cluster.handler.faults[-1].detail
        assert cluster.gauge("breaker", 0) == 0
        assert (await client.ask(post())).status == 200
        assert cluster.gauge("busy", 0) == 0


async def test_what_cannot_be_opened_is_shared():
    """Where no file can be opened, requests wait for a connection that others use."""
    hold = asyncio.Event()

    async def behave(side: UpstreamSide) -> None:
        while True:
            await side.request()
            await hold.wait()
            await side.send(OK)

    async with Cluster(1, behave, breaker=QUICK) as cluster:
        clients = [await cluster.client() for _ in range(3)]
        first = asyncio.create_task(clients[0].ask(GET))
        await cluster.eventually(lambda: cluster.seen() == [1])
        with without_files():
            others = [asyncio.create_task(each.ask(GET)) for each in clients[1:]]
            await cluster.eventually(lambda: figures(cluster.server)["upstream_app_waiting"] == 2)
            hold.set()
            assert [(await each).status for each in (first, *others)] == [200, 200, 200]
        assert figures(cluster.server)["upstream_app_open"] == 1


async def test_a_health_check_without_a_file_says_nothing(monkeypatch):
    """A check that could not be made here leaves a server what it was."""
    lacks: list[bool] = []

    def noted(error: Exception) -> bool:
        lacks.append(is_own_lack(error))
        return lacks[-1]

    monkeypatch.setattr(health, "is_own_lack", noted)
    often = {"path": "/health", "interval": 0.3, "timeout": 0.5, "unhealthy_after": 1, "healthy_after": 1}
    async with Cluster(1, health=often) as cluster:
        member = cluster.members[0]
        await cluster.eventually(lambda: len(member.asked("/health")) > 1)
        # the upstream's files are this process's too: one that a check under way gives back would be taken by
        # the next, which then connects and is never accepted, a failure like any other
        asked = -1
        while member.open or asked != len(member.asked("/health")):
            asked = len(member.asked("/health"))
            await asyncio.sleep(0.05)
        with without_files():
            await cluster.eventually(lambda: sum(lacks) > 2)
            assert cluster.gauge("healthy", 0) == 1
        assert all(lacks)
        client = await cluster.client()
        assert (await client.ask(GET)).status == 200
