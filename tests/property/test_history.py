"""Random histories of sessions on two gateways against a model: who is revoked, and who is not.

Two gateways share a store and a provider, all of them real; the clock is pushed. Whatever happens (logins,
expiries, lost answers, dead workers, revocations, logouts), two things hold: nobody whose session has ended
is served once that was acknowledged, and nobody else is logged out.
"""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.app.gateway import Gateway
from tests.support.fleet import tokens_of
from tests.support.held import HeldProvider
from tests.support.ports import free_port
from tests.support.world import NAVIGATE, Browser, Page, World

LIFETIME = 600.0
GRACE = 0.1
# the store's clock and ours, and what a worker remembers of a result beyond the store
SLACK = 2 * GRACE
PEOPLE = ("alice", "bob")
BROWSERS = 3
MOST_OLD = 6
CHOICE, WHERE = st.integers(0, 10), st.integers(0, 1)


@dataclass
class Model:
    """What is known of one session. Confirmation times are monotonic, by generation of the cookie shown."""

    session_id: str
    user: str
    dead: str = ""
    confirmed: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass
class Cookies:
    """Cookies as some tab holds them; what the gateway sealed in them is read, not guessed."""

    model: Model
    jar: dict[str, str]
    generation: int
    expires_at: float


class HeldWorld(World):
    """A world whose provider can be held in the middle of a refresh."""

    provider_class = HeldProvider


class History(RuleBasedStateMachine):
    """The machine; every rule ends with all background work done."""

    store_url = ""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = TemporaryDirectory()
        self.jars: list[Cookies] = []
        self.old: list[Cookies] = []
        self.gateways: list[Gateway] = []

    def do(self, work):
        """Run a coroutine on this history's loop."""
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        """Two gateways in front of one provider."""
        self.do(self._begin())

    async def _begin(self) -> None:
        self.world = HeldWorld(
            self.store_url, Path(self.directory.name), session={"rotation_grace": f"{int(GRACE * 1000)}ms"}
        )
        await self.world.__aenter__()
        self.world.provider.access_lifetime = LIFETIME
        self.gateways = [self._hasten(self.world.gateway), await self._another(free_port())]
        self.client = self.world.browser()
        self.jars = [await self._login(PEOPLE[index % len(PEOPLE)]) for index in range(BROWSERS)]

    async def _another(self, port: int) -> Gateway:
        data = self.world.config() | {"listen": f"127.0.0.1:{port}"}
        return self._hasten(await self.world.start_gateway(type(self.world.settings).model_validate(data)))

    @staticmethod
    def _hasten(gateway: Gateway) -> Gateway:
        # a lease and a longest call that fit into a test
        gateway.leases._lease, gateway.leases._longest = 0.2, 0.5
        return gateway

    def teardown(self) -> None:
        """At the end everybody is asked once more, at each gateway."""
        try:
            if self.gateways:
                for where in range(2):
                    for cookies in (*self.jars, *self.old):
                        self.do(self._present(cookies, where))
        finally:
            if hasattr(self, "world"):
                self.do(self.world.__aexit__())
            self.runner.close()
            self.directory.cleanup()

    # asking ------------------------------------------------------------------------------------------------

    async def _ask(
        self, where: int, path: str, jar: dict[str, str], method: str = "GET", **headers: str
    ) -> Page:
        """Ask one gateway with exactly these cookies, and wait for what it does behind the answer."""
        self.client.jar.clear()
        headers = {
            "Host": f"localhost:{self.world.public_port}",
            "Cookie": "; ".join(f"{name}={value}" for name, value in jar.items()),
            **headers,
        }
        url = f"http://127.0.0.1:{self.gateways[where].port}{path}"
        page = await self.client.fetch(url, method=method, headers=headers)
        await self.gateways[where].refresher.drain()
        return page

    def _now_holding(self, cookies: Cookies, page: Page) -> Cookies:
        """Return what the tab holds after an answer."""
        jar = dict(cookies.jar)
        for line in page.set_cookies:
            pair, _, attributes = line.partition(";")
            name, _, value = pair.partition("=")
            if "Max-Age=0" in attributes:
                jar.pop(name, None)
            else:
                jar[name] = value
        return self._read(cookies.model, jar)

    def _read(self, model: Model, jar: dict[str, str]) -> Cookies:
        session, grant = tokens_of(self.world, jar)
        assert (session.session_id, session.subject) == (model.session_id, model.user)
        return Cookies(model, jar, grant.generation, session.access_expires_at)

    def _expected(self, cookies: Cookies, began: float, ended: float) -> set[str]:
        """Return what may come of presenting these cookies: ``served``, ``ended``, ``reuse``."""
        if cookies.model.dead:
            return {"ended"}
        if self.world.clock() < cookies.expires_at:
            return {"served"}
        # the rotation that these cookies wait for was confirmed by whoever showed a later generation
        later = [span for shown, span in cookies.model.confirmed.items() if shown > cookies.generation]
        if not later or ended < min(first for first, _ in later) + GRACE:
            return {"served"}
        if began > min(last for _, last in later) + GRACE + SLACK:
            return {"reuse"}
        return {"served", "reuse"}

    async def _present(self, cookies: Cookies, where: int) -> Cookies:
        """Show cookies to a gateway, judge the answer, and return what the tab holds then."""
        model = cookies.model
        began = time.monotonic()
        page = await self._ask(where, "/x", cookies.jar)
        ended = time.monotonic()
        expected = self._expected(cookies, began, ended)
        if page.status == 200:
            assert "served" in expected, f"a session that is {model.dead or 'reused'} was served"
            assert page.text.startswith(f"hello {model.user} "), page.text
            self._shown(cookies, began, ended)
            return self._now_holding(cookies, page)
        assert page.status == 401, (page.status, page.text)
        assert expected != {"served"}, f"{model.user} was logged out: {page.text}"
        if not model.dead:
            assert "session_reused" in page.text
            model.dead = "reused"
            await self._settle()
        return cookies

    def _shown(self, cookies: Cookies, began: float, ended: float) -> None:
        cookies.model.confirmed.setdefault(cookies.generation, (began, ended))

    async def _settle(self) -> None:
        """Wait until both replicas hold what the store holds: what an acknowledgement waits for."""
        await self.world.eventually(
            lambda: (
                len({gateway.revocations._history.seq for gateway in self.gateways}) == 1
                and len({len(gateway.denylist) for gateway in self.gateways}) == 1
            )
        )

    # rules -------------------------------------------------------------------------------------------------

    @rule(index=st.integers(0, BROWSERS - 1), user=st.sampled_from(PEOPLE))
    def login(self, index: int, user: str) -> None:
        """Somebody logs in, with a browser that holds no cookies of ours."""
        self._put_away(index)
        self.jars[index] = self.do(self._login(user))

    def _put_away(self, index: int) -> None:
        """Keep what a browser held, for somebody to come back with."""
        self.old = [*self.old[-MOST_OLD:], self.jars[index]]

    async def _login(self, user: str) -> Cookies:
        browser: Browser = self.world.browser()
        # its login time must be later than a revocation of this very moment
        self.world.clock.advance(0.01)
        assert (await browser.login("/x", user)).status == 200
        jar = browser.cookies()
        return self._read(Model(tokens_of(self.world, jar)[0].session_id, user), jar)

    @rule(choice=CHOICE, where=WHERE, expired=st.booleans(), lost=st.booleans())
    def ask(self, choice: int, where: int, expired: bool, lost: bool) -> None:
        """A browser asks, perhaps when its access token has expired; perhaps the answer never reaches it."""
        index = choice % BROWSERS
        if expired:
            self._expire()
        found = self.do(self._present(self.jars[index], where))
        if not lost:
            self.jars[index] = found

    @rule(choice=CHOICE)
    def keep_old_cookies(self, choice: int) -> None:
        """Another tab, or a thief, keeps the cookies of now."""
        self._put_away(choice % BROWSERS)

    @precondition(lambda self: self.old)
    @rule(choice=CHOICE, where=WHERE, expired=st.booleans())
    def show_old_cookies(self, choice: int, where: int, expired: bool) -> None:
        """Old cookies come back."""
        if expired:
            self._expire()
        self.do(self._present(self.old[choice % len(self.old)], where))
        self._renew_the_dead()

    @rule(choice=CHOICE, where=WHERE, shown=st.sampled_from([True, True, False]))
    def come_back_late(self, choice: int, where: int, shown: bool) -> None:
        """A session is renewed, the new cookie shown or not, and after the grace the old one comes back."""
        index = choice % BROWSERS
        old = self.jars[index]
        self._expire()
        self.jars[index] = self.do(self._present(old, where))
        if shown:
            self.jars[index] = self.do(self._present(self.jars[index], 1 - where))
        self.do(asyncio.sleep(GRACE + SLACK + 0.05))
        self.do(self._present(old, 1 - where))
        self._renew_the_dead()

    def _expire(self) -> None:
        """Let every access token there is expire."""
        self.world.clock.advance(LIFETIME + 1)

    @rule(choice=CHOICE, where=WHERE, everybody=st.booleans())
    def revoke(self, choice: int, where: int, everybody: bool) -> None:
        """An operator ends one session, or all of one person; it holds everywhere once acknowledged."""
        self.do(self._revoke(self.jars[choice % BROWSERS].model, where, everybody=everybody))
        self._renew_the_dead()

    def _renew_the_dead(self) -> None:
        """Let everybody log in again whose session has ended."""
        for index, cookies in enumerate(self.jars):
            if cookies.model.dead:
                self.login(index, cookies.model.user)

    async def _revoke(self, model: Model, where: int, *, everybody: bool) -> None:
        self.world.gateway = self.gateways[where]
        what = {"sub": model.user} if everybody else {"session": model.session_id}
        answer = await self.world.admin("POST", "/revoke", json=what)
        assert answer.status == 200, answer.text
        known = (*self.jars, *self.old)
        for cookies in known:
            if cookies.model is model or (everybody and cookies.model.user == model.user):
                cookies.model.dead = cookies.model.dead or "revoked"
        for cookies in known:
            if cookies.model.dead:
                await self._present(cookies, 1 - where)

    @rule(choice=CHOICE, where=WHERE)
    def logout(self, choice: int, where: int) -> None:
        """A person logs out: the cookies that are left anywhere are worth nothing."""
        self.do(self._logout(self.jars[choice % BROWSERS], where))
        self._renew_the_dead()

    async def _logout(self, cookies: Cookies, where: int) -> None:
        sent = {**NAVIGATE, "Origin": self.world.base}
        page = await self._ask(where, "/.gateway/logout", cookies.jar, "POST", **sent)
        assert page.status == 303, page.text
        cookies.model.dead = cookies.model.dead or "logged out"
        await self._settle()

    @rule(where=WHERE)
    def kill_a_worker(self, where: int) -> None:
        """One gateway ends without a farewell; another takes its place."""
        self.do(self._replace(where))

    async def _replace(self, where: int) -> None:
        dead = self.gateways[where]
        port = dead.port
        await dead.close()
        self.gateways[where] = await self._another(port)

    @rule(
        choice=CHOICE,
        where=WHERE,
        moment=st.sampled_from(["before", "after"]),
        leeway=st.booleans(),
    )
    def kill_in_a_refresh(self, choice: int, where: int, moment: str, leeway: bool) -> None:
        """A worker dies with its token call out, before or after the provider has done its work."""
        index = choice % BROWSERS
        self.jars[index] = self.do(self._kill_in_a_refresh(self.jars[index], where, moment, leeway=leeway))
        self._renew_the_dead()

    async def _kill_in_a_refresh(self, cookies: Cookies, where: int, moment: str, *, leeway: bool) -> Cookies:
        provider, model = self.world.provider, cookies.model
        self.world.clock.advance(LIFETIME + 1)
        known, provider.hold = len(provider.calls), moment
        asking = asyncio.ensure_future(self._ask(where, "/x", cookies.jar))
        await self.world.eventually(lambda: asking.done() or len(provider.calls) > known)
        provider.hold = ""
        if len(provider.calls) == known:
            # no call was due: the session is over, or another's result was there
            await asyncio.gather(asking, return_exceptions=True)
            return await self._present(cookies, 1 - where)
        await self._replace(where)
        provider.calls[known].lose()
        await asyncio.gather(asking, return_exceptions=True)
        if leeway:
            provider.quirks.add("refresh-reuse-leeway")
        try:
            return await self._after_the_crash(cookies, 1 - where, lost=moment == "after" and not leeway)
        finally:
            provider.quirks.clear()
            assert model.dead or moment == "before" or leeway

    async def _after_the_crash(self, cookies: Cookies, where: int, *, lost: bool) -> Cookies:
        if not lost:
            return await self._present(cookies, where)
        page = await self._ask(where, "/x", cookies.jar)
        assert page.status == 401
        assert "refresh_lost" in page.text
        cookies.model.dead = "lost"
        return cookies


def test_nobody_revoked_is_served_and_nobody_else_is_logged_out(valkey_url):
    """R32, R33, R37, R43, R44: random histories over two workers with crashes, against a model."""
    History.store_url = valkey_url
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=8,
            stateful_step_count=20,
            derandomize=True,
            deadline=None,
            database=None,
            # a history takes a second: the first that fails is shown as it is
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
