"""Log-ins at a provider: from a button of the console to the provider, and back into a session.

The provider's answer is a navigation from another site, which brings no Strict cookie. So what binds the
login to its browser is in a cookie of its own, Lax and short-lived, and the session's cookie is set by a page
of the console that leads on to the next: that request comes from here, and brings it.
"""

import hmac
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from gateway.config.callbacks import CONSOLE_CALLBACK
from gateway.config.settings.console import ConsoleSettings
from gateway.core.endpoints.authorization_response import AuthorizationResponse, process_response
from gateway.core.sessions.pending import (
    SECRET_BYTES,
    PendingLogin,
    begin_pending,
    decode_pending,
    encode_pending,
)
from gateway.core.sessions.seal import NONCE_BYTES, KeyRing
from gateway.edge.admin.console.backing import Question
from gateway.edge.admin.console.door import PENDING, Origin
from gateway.edge.admin.console.login import safe
from gateway.edge.admin.console.requests import parameters
from gateway.edge.admin.http import Ask

_PURPOSE: Final = "console login"
_SECONDS: Final = 600
_MOST_USED: Final = 4096
_MOST_WORD: Final = 100


class Refusal(Exception):  # noqa: N818 - a verdict about a log-in, no error of ours
    """Why this is no log-in; ``why`` is a word for the log, the text is for the person."""

    def __init__(self, why: str, text: str) -> None:
        super().__init__(text)
        self.why = why


@dataclass(frozen=True, slots=True)
class Opened:
    """A login that was begun here, with the answer that has come for it."""

    begun: PendingLogin
    response: AuthorizationResponse = field(repr=False)


class ProviderLogin:
    """The log-ins under way, which this process alone can end.

    Args:
        ask: ``OperatorLogins.answer`` of a process that serves; raises Fault.
        clock: seconds since the epoch.
    """

    def __init__(self, ask: Question, clock: Callable[[], float]) -> None:
        self._ask = ask
        self._clock = clock
        # nobody needs to end what began before a restart
        self._ring = KeyRing((os.urandom(32),))
        self._used: OrderedDict[str, None] = OrderedDict()

    async def begin(self, ask: Ask, origin: Origin, settings: ConsoleSettings) -> tuple[str, str]:
        """Return where the browser logs in, and the Set-Cookie that binds it. Raises Refusal, Fault."""
        assert settings.url is not None
        told = parameters(ask)
        if origin.host != urlsplit(settings.url).netloc.lower():
            if "here" in told:
                raise Refusal(
                    "login_misconfigured",
                    "This listener is asked by another name than that of admin.console.url, where browsers"
                    " are sent to. What stands in front has to pass Host on.",
                )
            query = urlencode({"here": "1", "to": safe(told.get("to", ""))})
            return f"{_url(settings)}/console/login/provider?{query}", ""
        provider = settings.provider or ""
        begun = begin_pending(
            os.urandom(SECRET_BYTES), provider, safe(told.get("to", "")), self._clock(), CONSOLE_CALLBACK
        )
        fields = {
            "redirect_uri": _url(settings) + CONSOLE_CALLBACK,
            "state": begun.state,
            "nonce": begun.nonce,
            "verifier": begun.verifier,
        }
        answer = await self._ask("begin", fields, {})
        if answer.status != 200:
            raise Refusal("login_misconfigured", answer.detail)
        sealed = self._ring.seal(_PURPOSE, encode_pending(begun), os.urandom(NONCE_BYTES))
        return str(answer.document["url"]), origin.set(PENDING, sealed, lifetime=_SECONDS, site="Lax")

    def open(self, ask: Ask, origin: Origin) -> Opened:
        """Return the answer to a login that this browser has begun. Raises Refusal: it is none."""
        response = process_response(ask.target.partition("?")[2].encode("latin-1"))
        if response is None:
            raise Refusal("login_response_malformed", "What the provider has sent cannot be read.")
        payload = self._ring.open(_PURPOSE, origin.read(ask, PENDING))
        begun = None if payload is None else decode_pending(payload)
        if begun is None or not hmac.compare_digest(begun.state.encode(), response.state.encode()):
            raise Refusal("login_state_unknown", "This log-in did not begin here, or it took too long.")
        if not 0 <= self._clock() - begun.started_at <= _SECONDS:
            raise Refusal("login_state_unknown", "This log-in took too long.")
        return Opened(begun, response)

    async def finish(self, opened: Opened, settings: ConsoleSettings) -> "tuple[Mapping[str, Any], str]":
        """Return who has logged in, and the page that was wanted. Raises Refusal, Fault."""
        begun, response = opened.begun, opened.response
        self._use(begun)
        if response.error is not None:
            word = "".join(letter for letter in response.error[:_MOST_WORD] if letter.isprintable())
            raise Refusal("login_denied", f"The provider did not log you in: {word}.")
        fields = {
            "redirect_uri": _url(settings) + CONSOLE_CALLBACK,
            "code": response.code,
            "iss": response.issuer or "",
            "nonce": begun.nonce,
            "verifier": begun.verifier,
            "began": repr(begun.started_at),
        }
        answer = await self._ask("finish", fields, {})
        if answer.status != 200:
            why = str(answer.document.get("reason") or "login_misconfigured")
            raise Refusal(
                why, f"The provider has logged you in, and yet you are no operator: {answer.detail}."
            )
        person: Any = answer.document["person"]
        return person, safe(begun.return_to)

    def _use(self, begun: PendingLogin) -> None:
        """Note that a login has been answered. Raises Refusal: it was before."""
        if begun.state in self._used:
            raise Refusal("login_state_replayed", "This log-in has ended already.")
        self._used[begun.state] = None
        while len(self._used) > _MOST_USED:
            self._used.popitem(last=False)

    async def holds(self, person: Mapping[str, Any]) -> bool:
        """Tell whether somebody who has logged in is an operator still. Raises Fault: nobody can tell."""
        answer = await self._ask("holds", {name: str(each) for name, each in person.items()}, {})
        return answer.status == 200


def _url(settings: ConsoleSettings) -> str:
    assert settings.url is not None
    parts = urlsplit(settings.url)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def name_of(person: Mapping[str, Any]) -> str:
    """Return what the audit log calls an operator: a verified address, else provider and subject."""
    told = str(person.get("email") or f"{person['provider']}/{person['subject']}")
    return "".join(letter if letter.isprintable() else "?" for letter in told[:200])
