"""A long run that must not fail, grow or leak: ``python -m tests.bench.soak`` (``make soak SECONDS=180``).

Two workers, a reload every two seconds, people who log in, refresh, open WebSockets, log out and are revoked,
and clients that ask without a pause. Ends with exit code 0, or 1 where any request failed, memory grew, or
descriptors stayed open.

What a worker remembers goes with its configuration, so that a reload begins with nothing, and whatever grows
is a leak: nothing is filled before, since memory that was freed again would hide one. The first third of the
run warms up allocators and pools, and the mean resident memory of the last third must not lie above the
second's by more than ``GROWTH`` for each minute between the two.
"""

import argparse
import asyncio
import contextlib
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from gateway.demo.upstream import DemoUpstream
from gateway.edge.store.clients import MOST_CONNECTIONS
from tests.bench.processes import resident
from tests.support.fleet import Client, Fleet, load, tokens_of
from tests.support.world import NAVIGATE, Browser

SECONDS = 180.0
WORKERS, PEOPLE, CLIENTS = 2, 16, 4
RELOAD_EVERY, REPORT_EVERY, MEASURE_EVERY = 2.0, 10.0, 1.0
MIB = 1 << 20
# bytes a minute; a tenth is taken by revoked sessions and confirmed refreshes, remembered until they expire
GROWTH = 1.0 * MIB
# less than this between two thirds is what allocators do, however short the run
NOISE = 1.0 * MIB
# connections to the provider and of the admin listener that are about to close
LEFT_OPEN = 4
# the pool of connections to the store keeps as many as the busiest moment took; beside them, two of their own
# for the denylist and the claims, and the control channel
TO_THE_STORE = MOST_CONNECTIONS + 4
_TOKEN_LIFE = 3.0


class SoakFleet(Fleet):
    """Two workers in front of an upstream that keeps no record and echoes WebSockets."""

    upstream_class = DemoUpstream

    def __init__(self) -> None:
        super().__init__(
            WORKERS,
            session={"refresh_before_expiry": "500ms", "rotation_grace": "2s"},
            # unused connections are no leak, but are to be gone when the descriptors are counted
            upstreams={"app": {"keepalive": "3s"}},
            log={"access": False},
        )
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []

    def failed(self, what: str) -> None:
        """Take down a failure."""
        self.failures.append(what)

    def processes(self) -> list[int]:
        """Return supervisor and workers; the store is not ours."""
        pids = [self.process.pid, *sorted(self.family())]
        return [pid for pid in pids if b"gateway" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def descriptors(self) -> list[int]:
        """Return how many descriptors each process has open, beside Unix sockets."""
        local = unix_sockets()
        return [sum(each not in local for each in opened(pid)) for pid in self.processes()]

    def to_the_store(self) -> int:
        """Return how many Unix sockets the process with the most of them has open."""
        local = unix_sockets()
        return max(sum(each in local for each in opened(pid)) for pid in self.processes())


def unix_sockets() -> set[str]:
    """Return the names under which the kernel shows Unix sockets as descriptors."""
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    return {f"socket:[{line.split()[6]}]" for line in lines}


def opened(pid: int) -> list[str]:
    """Return what the descriptors of a process lead to."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(str(link.readlink()))
    return found


class Person:
    """Somebody with a browser who does things in turn until told to stop; each is told in ``counts``."""

    def __init__(self, fleet: SoakFleet, number: int) -> None:
        self.fleet = fleet
        self.draw = random.Random(number)
        self.user = ("alice", "bob")[number % 2]

    async def run(self, stop: asyncio.Event) -> None:
        """Live one session after the other."""
        while not stop.is_set():
            browser = Browser(self.fleet)
            try:
                await self._session(browser, stop)
            except (aiohttp.ClientError, TimeoutError, AssertionError) as error:
                self.fleet.failed(f"{type(error).__name__}: {str(error)[:200]}")
                await asyncio.sleep(0.5)
            finally:
                await browser.close()

    async def _session(self, browser: Browser, stop: asyncio.Event) -> None:
        fleet = self.fleet
        page = await browser.login("/x", self.user)
        assert page.status == 200, f"a login ended with {page.status}"
        fleet.counts["logins"] += 1
        ending: Callable[[Browser], Awaitable[None]] = self.draw.choice(
            [self._log_out, self._revoked, self._revoked]
        )
        async with browser.session.ws_connect(browser.url("/ws"), origin=fleet.base) as socket:
            for _ in range(self.draw.randrange(40, 120)):
                if stop.is_set():
                    return
                pages = await asyncio.gather(
                    *(browser.fetch("/y") for _ in range(self.draw.choice((1, 1, 3))))
                )
                fleet.counts["requests"] += len(pages)
                for page in pages:
                    assert page.status == 200, f"a session that lives was answered {page.status}: {page.text}"
                await socket.send_str("hello")
                message = await socket.receive(timeout=10)
                assert message.data == "hello", f"a WebSocket of a session that lives ended: {message}"
                fleet.counts["messages"] += 1
                await asyncio.sleep(0.1)
            await ending(browser)
            message = await socket.receive(timeout=10)
            assert message.type is aiohttp.WSMsgType.CLOSE, (
                f"a session has ended, and its WebSocket: {message}"
            )
        page = await browser.clone().fetch("/z")
        assert page.status == 401, f"a session that has ended was answered {page.status}"

    async def _log_out(self, browser: Browser) -> None:
        headers = {**NAVIGATE, "Origin": self.fleet.base}
        page = await browser.request("POST", "/.gateway/logout", follow=False, headers=headers)
        assert page.status == 303, f"a logout was answered {page.status}"
        self.fleet.counts["logouts"] += 1

    async def _revoked(self, browser: Browser) -> None:
        session = tokens_of(self.fleet, browser.cookies())[0].session_id
        status, text = await self.fleet.admin("POST", "/revoke", json={"session": session})
        assert status == 200, f"a revocation was answered {status}: {text}"
        self.fleet.counts["revocations"] += 1


async def reload(fleet: SoakFleet, stop: asyncio.Event) -> None:
    """Change the configuration and reload by SIGHUP, again and again."""
    while not stop.is_set():
        fleet.counts["reloads"] += 1
        fleet.write(limits={"idle_timeout": f"{60 + fleet.counts['reloads'] % 2}s"})
        fleet.signal(signal.SIGHUP)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELOAD_EVERY):
                await stop.wait()


class Memory:
    """How much was resident in each process in the course of a run of so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._measured: list[tuple[float, list[int]]] = []

    @property
    def last(self) -> list[int]:
        """The latest sizes in bytes, of each process."""
        return self._measured[-1][1]

    def measure(self, passed: float, sizes: list[int]) -> None:
        """Take sizes in bytes, so many seconds after the beginning."""
        self._measured.append((passed, sizes))

    def rises(self) -> list[tuple[float, float]]:
        """Return by how many bytes each process rose from the second third to the last; and a minute.

        Of the last third counts what there is; empty before it begins.
        """
        start, end = self.seconds / 3, self.seconds * 2 / 3
        second = [each for each in self._measured if start <= each[0] < end]
        last = [each for each in self._measured if each[0] >= end]
        if not second or not last:
            return []
        minutes = (statistics.mean(at for at, _ in last) - statistics.mean(at for at, _ in second)) / 60
        columns = [zip(*(sizes for _, sizes in part), strict=True) for part in (second, last)]
        rises = [statistics.mean(late) - statistics.mean(early) for early, late in zip(*columns, strict=True)]
        return [(rise, rise / minutes) for rise in rises]


async def watch(fleet: SoakFleet, seconds: float, clients: list[Client]) -> Memory:
    """Report while it runs; return how much was resident meanwhile."""
    began, memory, due = time.monotonic(), Memory(seconds), REPORT_EVERY
    while True:
        await asyncio.sleep(min(MEASURE_EVERY, max(0.1, seconds - (time.monotonic() - began))))
        passed = time.monotonic() - began
        memory.measure(passed, resident(fleet.processes()))
        if passed >= min(due, seconds):
            due += REPORT_EVERY
            report(fleet, clients, passed, memory)
        if passed >= seconds:
            return memory


def report(fleet: SoakFleet, clients: list[Client], passed: float, memory: Memory) -> None:
    """Print a line of progress."""
    counts = {**fleet.counts, "requests": fleet.counts["requests"] + sum(each.answered for each in clients)}
    counts["refreshes"] = fleet.provider.counts["token:refresh_token"]
    sizes = "/".join(f"{each / MIB:.1f}" for each in memory.last)
    if rises := memory.rises():
        sizes += f" ({by_minute(rises)} a minute)"
    say(
        f"{passed:4.0f} s  {', '.join(f'{count} {what}' for what, count in counts.items())};"
        f" {failures_of(fleet, clients)} failures; MiB {sizes};"
        f" descriptors {'/'.join(map(str, fleet.descriptors()))}"
    )


def by_minute(rises: list[tuple[float, float]]) -> str:
    """Return the growth of each process as text, in MiB a minute."""
    return "/".join(f"{rate / MIB:+.2f}" for _, rate in rises)


def failures_of(fleet: SoakFleet, clients: list[Client]) -> int:
    """Return how many things went wrong so far."""
    wrong = sum(1 for each in clients for status in each.statuses if status != 200)
    return len(fleet.failures) + sum(len(each.failed) for each in clients) + wrong


async def run(seconds: float) -> int:
    """Run it; return the exit code."""
    async with SoakFleet() as fleet:
        fleet.provider.access_lifetime = _TOKEN_LIFE
        await asyncio.sleep(1)
        before = fleet.descriptors()
        people = [Person(fleet, number) for number in range(PEOPLE)]
        clients = [Client(fleet, number) for number in range(CLIENTS)]
        stop = asyncio.Event()
        tasks = [
            asyncio.create_task(work) for work in (*(each.run(stop) for each in people), reload(fleet, stop))
        ]
        async with load(clients):
            memory = await watch(fleet, seconds, clients)
        stop.set()
        await asyncio.gather(*tasks)
        for browser in fleet.browsers:
            await browser.close()
        problems = [
            *troubles(fleet, clients),
            *growth(memory),
            *leaks(fleet, before, await settled(fleet, before)),
        ]
    for problem in problems:
        say(problem)
    grew = f"supervisor and workers grew by {by_minute(memory.rises())} MiB a minute"
    say("failed" if problems else f"{seconds:.0f} s without a failure or leak; {grew}")
    return 1 if problems else 0


def troubles(fleet: SoakFleet, clients: list[Client]) -> list[str]:
    """Say what failed."""
    found = [*dict.fromkeys(fleet.failures)][:5]
    if failed := failures_of(fleet, clients):
        found.append(f"{failed} failures")
    errors = Counter(str(line.get("message")) for line in fleet.lines() if line.get("level") == "error")
    found += [f"in the log, {count} times: {message}" for message, count in errors.items()]
    asked, done = fleet.counts["reloads"], len(fleet.events("reloaded"))
    # the last one may be under way
    return found if done >= asked - 1 else [*found, f"{asked} reloads, {done} done"]


def growth(memory: Memory) -> list[str]:
    """Say which processes grew after the warm-up."""
    return [
        f"process {index} grew by {rate / MIB:.2f} MiB a minute, and may by {GROWTH / MIB:.2f}"
        for index, (rise, rate) in enumerate(memory.rises())
        if rise > NOISE and rate > GROWTH
    ]


def leaks(fleet: SoakFleet, before: list[int], after: list[int]) -> list[str]:
    """Say what stayed open."""
    found = []
    if any(now > was + LEFT_OPEN for was, now in zip(before, after, strict=True)):
        found.append(f"descriptors were {before} and are {after}")
    if (most := fleet.to_the_store()) > TO_THE_STORE:
        found.append(f"{most} connections to the store")
    return found


async def settled(fleet: SoakFleet, before: list[int]) -> list[int]:
    """Return the open descriptors once they are as few as before, or after a while."""
    after = fleet.descriptors()
    for _ in range(100):
        if all(now <= was + LEFT_OPEN for was, now in zip(before, after, strict=True)):
            break
        await asyncio.sleep(0.1)
        after = fleet.descriptors()
    return after


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(argv: list[str]) -> int:
    """Run the soak; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"{SECONDS:.0f} by default")
    options = parser.parse_args(argv)
    return asyncio.run(run(max(10.0, options.seconds)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
