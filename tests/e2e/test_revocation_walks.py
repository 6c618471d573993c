"""Random walks over gateways: logins, tokens, revocations, and a store that loses its data (R66)."""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.edge.revocation import denylist_sync as module
from gateway.edge.revocation.denylist_log import decode_epoch
from tests.support.ports import free_port
from tests.support.store import ValkeyServer, eventually
from tests.support.world import World

pytestmark = pytest.mark.asyncio
SCRIPT = {"Accept": "*/*", "Sec-Fetch-Mode": "cors"}
SKEW = 30.0


@dataclass
class Known:
    """A session or a bearer token: what a client sends, and since when it is good."""

    user: str
    fields: dict[str, str]
    path: str
    number: int
    losses: int
    session: str = ""
    issued: float = 0.0


@dataclass
class Revocation:
    """What was revoked, how many steps into the walk, and when."""

    kind: str
    value: str
    number: int
    losses: int
    at: float

    def meets(self, known: Known) -> bool:
        """Tell whether it is about somebody at all."""
        if self.kind == "session":
            return self.value == known.session
        if self.kind == "sid":
            # every session of this provider has the same; its tokens have none
            return bool(known.session)
        return self.kind == "all" or self.value == known.user

    def ends(self, known: Known) -> bool:
        """Tell whether it surely ends what was issued then."""
        if known.session:
            return self.meets(known) and self.number > known.number
        return self.meets(known) and known.issued <= self.at + SKEW


@dataclass
class Walk:
    """Gateways on one store, and everybody who was ever let in."""

    world: World
    server: ValkeyServer
    rng: random.Random
    ports: list[int] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    revoked: list[Revocation] = field(default_factory=list)
    told: list[object] = field(default_factory=list)
    number: int = 0
    losses: int = 0

    async def begin(self) -> None:
        """Start two more gateways; let the provider give every login the same sid."""
        self.ports.append(self.world.public_port)
        for _ in range(2):
            port = free_port()
            data = self.world.config() | {"listen": f"127.0.0.1:{port}"}
            await self.world.start_gateway(type(self.world.settings).model_validate(data))
            self.ports.append(port)
        grants = self.world.provider.grants
        draw = grants.begin

        def begins(*arguments: Any) -> str:
            code = draw(*arguments)
            grants._codes[code].family.sid = "one"
            return code

        grants.begin = begins

    async def login(self) -> None:
        """Somebody logs in; who comes while the store is away is told so."""
        user, browser = self.rng.choice(["alice", "bob"]), self.world.browser()
        page = await browser.get("/")
        if "password" not in page.text:
            return
        page = await browser.submit(page, username=user, password=user)
        # soon after a loss, time alone tells who came before a revocation: then another login begins
        if page.text.startswith("hello"):
            cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies().items())
            (*_, login) = [each for each in self.world.audit("login") if "session" in each]
            self.known.append(
                Known(user, {"Cookie": cookie}, "/x", self.number, self.losses, login["session"])
            )

    async def token(self) -> None:
        """Somebody is given a bearer token by the provider."""
        user, now = self.rng.choice(["alice", "bob"]), int(self.world.clock())
        fields = {"Authorization": f"Bearer {self.world.provider.mint(user, scope='api')}"}
        self.known.append(Known(user, fields, "/api/x", self.number, self.losses, issued=now))

    async def revoke(self) -> None:
        """Somebody is revoked, in one of the ways that there are, at some gateway."""
        kind = self.rng.choice(["sub", "all", "session", "logout", "sid"])
        value = self.rng.choice(["alice", "bob"])
        if kind == "session":
            value = self.rng.choice([each.session for each in self.known if each.session] or ["none"])
        revocation = Revocation(kind, value, self.number, self.losses, self.world.clock())
        if kind in ("logout", "sid"):
            about = {"sub": value} | ({"sid": "one"} if kind == "sid" else {})
            uri = f"{self.world.base}/.gateway/backchannel-logout"
            answer = await self.world.provider.backchannel_logout(uri=uri, **about)
        else:
            body = {"all": True} if kind == "all" else {kind: value}
            self.world.gateway = self.rng.choice(self.world.gateways)
            answer = await self.world.admin("POST", "/revoke", json=body)
        assert answer.status == 200, answer.text
        self.told.append(revocation)
        self.revoked.append(revocation)

    async def lose(self) -> None:
        """The store is killed, and sometimes its files are gone."""
        self.server.kill()
        if self.rng.random() < 0.5:
            self.losses += 1
            shutil.rmtree(self.server.directory / "appendonlydir", ignore_errors=True)
        self.server.start()
        await self.converge()

    async def flush(self) -> None:
        """Somebody flushes the store."""
        self.losses += 1
        with self.server.client() as client:
            client.flushall()

    async def wait(self) -> None:
        """Time passes."""
        self.world.clock.advance(self.rng.choice([1, 7, 40]))

    async def warm(self) -> None:
        """Every gateway is asked, and remembers."""
        for each in self.known[-3:]:
            for port in self.ports:
                await self.ask(port, each)

    async def ask(self, port: int, known: Known) -> int:
        """Ask one gateway as one client."""
        headers = SCRIPT | {"Host": f"localhost:{self.world.public_port}"} | known.fields
        browser = self.world.browsers[0]
        browser.jar.clear()
        answer = await browser.request(
            "GET", f"http://127.0.0.1:{port}{known.path}", follow=False, headers=headers
        )
        return answer.status

    async def converge(self) -> None:
        """Wait until every gateway has applied and written all that there is."""

        def same() -> bool:
            key = self.world.gateway.store.key
            with self.server.client() as client:
                epoch, seq = client.mget(key("{denylist}", "epoch"), key("{denylist}", "seq"))
            at = (decode_epoch(epoch or b""), int(seq or 0))
            return all(
                each.denylist.position == at and not each.revocations.stats()["unwritten"]
                for each in self.world.gateways
            )

        await eventually(same, tries=1500)

    async def judge(self) -> None:
        """Nobody who was revoked is in anywhere; whoever came after all of it is in everywhere."""
        for known in self.known:
            is_out = any(each.ends(known) for each in self.revoked)
            # of another epoch, by time: whoever came within a moment may be out (R66)
            is_in = not any(
                each.meets(known) and (each.number >= known.number or each.losses != known.losses)
                for each in self.revoked
            )
            if not known.session:
                is_in = not is_out
            # records are in the store alone
            if self.world.settings.session.mode == "redis" and known.losses != self.losses:
                is_in = False
            for port in self.ports:
                status = await self.ask(port, known)
                if is_out:
                    assert status == 401, (self.ports.index(port), known, self.told)
                if is_in:
                    assert status == 200, (self.ports.index(port), known, self.told)

    async def go(self, steps: int) -> None:
        """Take so many steps, and judge after each revocation."""
        ways: list[tuple[Callable[[], Any], int]] = [
            (self.login, 6), (self.token, 2), (self.revoke, 5), (self.warm, 5),
            (self.flush, 1), (self.lose, 1), (self.wait, 2),
        ]  # fmt: skip
        for self.number in range(steps):
            (step,) = self.rng.choices([way for way, _ in ways], [often for _, often in ways])
            self.told.append(step.__name__)
            await step()
            if step == self.revoke or self.number == steps - 1:
                await self.converge()
                await self.judge()


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("mode", ["cookie", "redis"])
async def test_r66_the_revoked_are_out_and_the_others_in_at_every_gateway(tmp_path, monkeypatch, mode, seed):
    """R66 [1.4]: whatever each remembers, and whatever becomes of the store."""
    monkeypatch.setattr(module, "BEAT_INTERVAL", 0.1)
    server = ValkeyServer("--appendonly", "yes", "--appendfsync", "always").start()
    try:
        async with World(server.url, tmp_path, session={"mode": mode}) as world:
            world.provider.access_lifetime = 86_400.0
            world.browser()
            walk = Walk(world, server, random.Random(seed))
            await walk.begin()
            await walk.go(24)
    finally:
        server.close()
