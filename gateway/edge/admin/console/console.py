"""The operator's console: each request judged by itself, and led to its page or its action."""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from gateway.config.settings.admin import AdminSettings, Role
from gateway.core.fault import Fault
from gateway.core.reasons import Reason
from gateway.edge.admin.console import login, overview
from gateway.edge.admin.console.backing import Backing
from gateway.edge.admin.console.desk import Desk
from gateway.edge.admin.console.door import (
    COOKIE,
    Origin,
    has_token,
    is_embedded,
    is_from_elsewhere,
    is_private,
    read_form,
)
from gateway.edge.admin.console.entry import Entry
from gateway.edge.admin.console.history import READ_EVERY, History, read
from gateway.edge.admin.console.html import h
from gateway.edge.admin.console.layout import ROOT, Page, message, moved, render
from gateway.edge.admin.console.requests import parameters
from gateway.edge.admin.console.trail import Trail
from gateway.edge.admin.console.visits import Visit, Visits
from gateway.edge.admin.http import Ask, Reply, problem
from gateway.edge.admin.operators import Entrance
from gateway.edge.admin.revocation_request import Terms
from gateway.edge.tasks import stop

_MOST_LINES: Final = 60
Showing: TypeAlias = Callable[[Ask, Visit], Awaitable[Page]]
Doing: TypeAlias = Callable[[Ask, Visit, Mapping[str, str]], "Awaitable[Page | str]"]


class Console:
    """Answers everything under ``/console/``.

    Args:
        settings: of the admin listener.
        terms: what entries of the denylist are made by.
        backing: the processes behind it.
        entrance: knows the admin tokens, and tells of refusals.
        audit: takes an audit event.
        clock: seconds since the epoch.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        settings: AdminSettings,
        terms: Terms,
        backing: Backing,
        entrance: Entrance,
        audit: Callable[..., None],
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backing = backing
        self._entrance = entrance
        self._clock = clock
        self._monotonic = monotonic
        self.history = History()
        self.visits = Visits(entrance.tokens, clock)
        self._entry = Entry(self.visits, entrance.tokens, backing.logins, audit, clock, monotonic)
        self._reading: asyncio.Task[None] | None = None
        self._terms = terms
        desk = Desk(backing, lambda: self._terms, clock)
        self._pages: Mapping[str, Showing] = {
            "": self._overview,
            "people": desk.search,
            "person": desk.person,
            "end": desk.ask_to_end,
            "token": desk.token,
            "trail": Trail(backing, lambda: self._terms, clock).show,
        }
        self._actions: Mapping[str, tuple[Role, Doing]] = {
            "end": ("revoke", desk.end),
            "token": ("revoke", desk.name_token),
        }
        self.configure(settings, terms)

    def configure(self, settings: AdminSettings, terms: Terms) -> None:
        """Go on with these settings; who may be an operator no more is out."""
        self._settings = settings
        self._terms = terms
        self.visits.configure(settings.console)
        self._entry.configure(settings.console)
        if self._reading is not None and settings.console is None:
            self._reading.cancel()
            self._reading = None
        elif self._reading is None and settings.console is not None:
            self.start()

    def start(self) -> None:
        """Begin to take readings, where there is a console."""
        if self._settings.console is not None and self._reading is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            self._reading = loop.create_task(self._keep_reading())

    async def close(self) -> None:
        """Take no more."""
        await stop(self._reading)

    async def _keep_reading(self) -> None:
        while True:
            self.take_reading()
            await asyncio.sleep(READ_EVERY)

    def take_reading(self) -> None:
        """Keep the figures of now."""
        self.history.note(read(self._backing.figures(), self._monotonic()))

    async def answer(self, ask: Ask) -> Reply:
        """Answer a request whose path begins with ``/console``."""
        if self._settings.console is None:
            return problem(404, "There is no console: set admin.console.")
        is_tls = self._settings.tls is not None
        origin = Origin(ask, self._settings.console.url, is_tls=is_tls)
        if not is_tls and not is_private(ask.client):
            self._entrance.tell(ask, ROOT, "cleartext", status=403)
            return render(_in_the_clear())
        try:
            return await self._route(ask, origin)
        except Fault as fault:
            return render(_faulty(fault))
        except Exception as error:  # noqa: BLE001 - a page, whatever it is
            name = type(error).__name__
            text = "Something failed inside the gateway. Its log tells more."
            return render(message("This did not work", text, f"({name})", status=500))

    async def _route(self, ask: Ask, origin: Origin) -> Reply:
        name = "/".join(ask.path[1:])
        if is_embedded(ask):
            # nothing here is part of a page, and whoever has it asked for uses up nobody's attempts
            self._entrance.tell(ask, ROOT, "origin", status=403)
            return render(message("This is a page of its own", status=403))
        if ask.path == ["console"]:
            return moved(ROOT)
        if ask.method in ("GET", "HEAD"):
            return await self._show(ask, origin, name)
        if ask.method != "POST":
            return render(message("There is no such page", status=405))
        if not origin.sent(ask):
            self._entrance.tell(ask, ROOT, "origin", status=403)
            return render(message("This did not come from the console", _FOREIGN, status=403))
        fields = await read_form(ask)
        if fields is None:
            return render(message("This form cannot be read", status=400))
        if name == "login":
            return self._entry.by_token(ask, origin, fields)
        return await self._do(ask, origin, name, fields)

    async def _show(self, ask: Ask, origin: Origin, name: str) -> Reply:
        if name == "login/provider":
            return await self._entry.begin(ask, origin)
        if name == "callback":
            return await self._entry.finish(ask, origin)
        if name == "login":
            return await self._show_login(ask, origin)
        visit, handle = await self._entry.find(ask, origin)
        showing = self._pages.get(name)
        if showing is None:
            return render(message("There is no such page", status=404), *_of(visit))
        if visit is None:
            if not handle and is_from_elsewhere(ask):
                return render(login.come_again(ask.target))
            cookies = (origin.set(COOKIE, "", lifetime=0),) if handle else ()
            to = "" if "auto" in parameters(ask) or not name else ask.target
            return self._entry.page(to, is_over=bool(handle), status=401, cookies=cookies)
        page = await showing(ask, visit)
        return render(page, visit.operator, visit.csrf, visit.take_news())

    async def _show_login(self, ask: Ask, origin: Origin) -> Reply:
        # whoever cannot be told of may still come in by a token
        with contextlib.suppress(Fault):
            visit, _ = await self._entry.find(ask, origin)
            if visit is not None:
                return moved(ROOT)
        return self._entry.page(parameters(ask).get("to", ""))

    async def _do(self, ask: Ask, origin: Origin, name: str, fields: Mapping[str, str]) -> Reply:
        visit, _ = await self._entry.find(ask, origin)
        if visit is None:
            return self._entry.page("", is_over=True, status=401)
        if not has_token(visit, fields):
            self._entrance.tell(ask, ROOT + name[:40], "origin", visit.operator, 403)
            return render(message("This did not come from the console", _FOREIGN, status=403), *_of(visit))
        if name == "logout":
            return self._entry.leave(ask, origin, visit)
        if name not in self._actions:
            return render(message("There is no such page", status=404), *_of(visit))
        role, doing = self._actions[name]
        if not visit.operator.may(role):
            self._entrance.tell(ask, ROOT + name, "role", visit.operator, 403)
            text = f"This needs the role {role}; you have the role {visit.operator.role}."
            return render(message("You may not do this", text, status=403), *_of(visit))
        done = await doing(ask, visit, fields)
        return moved(done) if isinstance(done, str) else render(done, *_of(visit))

    async def _overview(self, ask: Ask, _visit: Visit) -> Page:
        workers = await self._backing.workers()
        lines = [line for each in workers for line in each.about.get("lines", ())]
        sight = overview.Sight(
            self._clock(),
            self._backing.figures(),
            self.history,
            workers,
            newest_first([*lines, *self._backing.recent()]),
        )
        return overview.overview(sight, is_live=parameters(ask).get("live") != "off")


_FOREIGN: Final = (
    "A change here has to come from a page of the console itself, with the form that your session was"
    " given. Go back, load the page anew, and try again."
)


def newest_first(lines: list[str]) -> list[Mapping[str, Any]]:
    """Return log lines as mappings, the newest first; what is none is left out."""
    found: list[Mapping[str, Any]] = []
    for line in lines:
        try:
            read_line = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(read_line, dict):
            found.append(read_line)
    return sorted(found, key=lambda each: str(each.get("time")), reverse=True)[:_MOST_LINES]


def _of(visit: Visit | None) -> "tuple[Any, ...]":
    return () if visit is None else (visit.operator, visit.csrf)


def _in_the_clear() -> Page:
    return message(
        "Not without TLS",
        "You reach this listener over a network, and it speaks plain HTTP: whoever listens there would"
        " have your session. The console answers nobody so.",
        h(
            "p",
            "Come from the machine itself, such as by ",
            h("code", "ssh -L 9090:127.0.0.1:9090 host"),
            " or ",
            h("code", "kubectl port-forward"),
            ", and open it at localhost.",
        ),
        status=403,
    )


def _faulty(fault: Fault) -> Page:
    if fault.reason is Reason.BODY_TOO_LARGE:
        return message("This form is too large", status=413)
    if fault.source == "client":
        return message("This cannot be answered", f"Reason: {fault.reason}", status=400)
    return message(
        "This is not certain",
        f"The gateway could not tell, or could not do it: {fault.reason}. Try again in a moment; what was"
        " to be ended may have ended already.",
        "Whoever logged in at a provider is let in only where a worker can tell that they still may be here."
        " An admin token needs none.",
        h("p", h("a", "Log in with an admin token", href=f"{ROOT}login", class_="button")),
        status=503,
    )
