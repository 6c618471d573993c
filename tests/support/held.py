"""The demo provider with a hand on its token endpoint: refreshes are held before or after they are done."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from aiohttp import web

from gateway.demo.faults import break_off
from gateway.demo.grants import OAuthError
from gateway.demo.messages import error_json
from gateway.demo.provider import DemoProvider


class Call:
    """One refresh on its way; ``port`` is the caller's."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._gate = asyncio.Event()
        self._fate = "answer"

    def answer(self) -> None:
        """Let it go on as if nothing had been."""
        self._gate.set()

    def lose(self) -> None:
        """Break the connection off; what was done stays done, what was not is not."""
        self._fate = "lose"
        self._gate.set()

    def refuse(self) -> None:
        """Answer invalid_grant, whatever the grant is worth."""
        self._fate = "refuse"
        self._gate.set()

    async def decided(self) -> str:
        """Wait until somebody has decided what becomes of it."""
        await self._gate.wait()
        return self._fate


class HeldProvider(DemoProvider):
    """Records every refresh in ``calls``; ``hold`` says where those that arrive from now on stop."""

    hold: Literal["", "before", "after"] = ""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.calls: list[Call] = []
        super().__init__(*arguments, **options)

    def _endpoints(self) -> dict[str, tuple[str, Callable[[web.Request], Any]]]:
        routes = super()._endpoints()
        methods, token = routes["/token"]
        routes["/token"] = (methods, partial(self._refresh, token))
        return routes

    async def _refresh(self, token: Callable[[web.Request], Any], request: web.Request) -> web.StreamResponse:
        if b"grant_type=refresh_token" not in await request.read():
            return await token(request)
        call, hold = Call(request.transport.get_extra_info("peername")[1]), self.hold
        self.calls.append(call)
        fate = await call.decided() if hold == "before" else "answer"
        if fate == "answer":
            response = await token(request)
            fate = await call.decided() if hold == "after" else "answer"
        if fate == "lose":
            return await break_off(request)
        return error_json(OAuthError("invalid_grant")) if fate == "refuse" else response
