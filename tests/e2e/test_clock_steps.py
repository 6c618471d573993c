"""A gateway whose machine's clock is set by hours: nothing is forgotten, nobody is thrown out (R67)."""

import pytest

from gateway.app.gateway import Gateway
from gateway.edge.clock import SteadyClock, since_boot
from gateway.edge.revocation import denylist_sync as module
from gateway.edge.telemetry.logs import Logs
from tests.support.ports import free_port
from tests.support.world import World

pytestmark = pytest.mark.asyncio


class Machine:
    """The machine of a gateway: its wall can be set, and its time can be made to pass."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.set_by = 0.0
        self.passed = 0.0
        self.clock = SteadyClock(lambda: world.clock() + self.passed + self.set_by, self._elapsed)

    def _elapsed(self) -> float:
        return since_boot() + self.passed


@pytest.fixture
async def machine(world: World, monkeypatch):
    """A second gateway of this world, on a machine of its own."""
    monkeypatch.setattr(module, "BEAT_INTERVAL", 0.05)
    machine = Machine(world)
    machine.port = free_port()
    data = world.config() | {"listen": f"127.0.0.1:{machine.port}"}
    settings = type(world.settings).model_validate(data)
    machine.gateway = Gateway(settings, clock=machine.clock, logs=Logs(settings.log, write=world._log))
    await machine.gateway.start()
    yield machine
    await machine.gateway.close()


async def status(world: World, machine: Machine, browser, token: str = "") -> int:
    """Ask the second gateway."""
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
    headers = {"Host": f"localhost:{world.public_port}", "Cookie": cookie}
    if token:
        headers = {"Host": headers["Host"], "Authorization": f"Bearer {token}"}
    path = "/api/x" if token else "/x"
    page = await world.browser().fetch(f"http://127.0.0.1:{machine.port}{path}", headers=headers)
    return page.status


async def beats(world: World, machine: Machine, count: int = 3) -> None:
    """Let the replica compare itself with the store some times."""
    for _ in range(count):
        at = machine.gateway.revocations._good_at
        await world.eventually(lambda at=at: machine.gateway.revocations._good_at > at)


@pytest.mark.parametrize("step", [7200.0, -7200.0, 40 * 86_400.0])
async def test_r67_a_step_forgets_no_revocation_and_ends_nothing(world: World, machine: Machine, step: float):
    """R67 [1.5]: two hours, or weeks, for 2.5 s: alice stays out, bob stays in, his token stays good."""
    alice, bob = world.browser(), world.browser()
    await alice.login("/", "alice")
    await bob.login("/", "bob")
    token = world.provider.mint("bob", scope="api")
    answer = await world.admin("POST", "/revoke", json={"sub": "alice"})
    assert answer.status == 200
    await world.eventually(lambda: len(machine.gateway.denylist) == 1)
    resyncs = machine.gateway.revocations.stats()["resyncs"]
    machine.set_by = step
    for _ in range(5):
        machine.passed += 0.5
        await beats(world, machine)
        assert await status(world, machine, alice) == 401
        assert await status(world, machine, bob) == 200
        assert await status(world, machine, bob, token) == 200
        assert len(machine.gateway.denylist) == 1
    machine.set_by = 0.0
    await beats(world, machine)
    assert await status(world, machine, alice) == 401
    assert await status(world, machine, bob) == 200
    assert machine.gateway.revocations.stats()["resyncs"] >= resyncs + 2
    assert [line["ahead"] for line in world.lines if "wall clock" in line.get("message", "")] == [step, 0.0]


async def test_r67_a_step_that_lasts_counts(world: World, machine: Machine):
    """R67 [1.5]: then the wall is right: tokens have expired, entries go."""
    bob = world.browser()
    await bob.login("/", "bob")
    token = world.provider.mint("bob", scope="api")
    assert (await world.admin("POST", "/revoke", json={"sub": "alice"})).status == 200
    await world.eventually(lambda: len(machine.gateway.denylist) == 1)
    machine.set_by = 400 * 86_400.0
    await beats(world, machine)
    assert await status(world, machine, bob, token) == 200
    machine.passed += 11.0
    await beats(world, machine)
    assert await status(world, machine, bob, token) == 401
    assert await status(world, machine, bob) == 401
    assert len(machine.gateway.denylist) == 0
