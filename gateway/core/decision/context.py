"""What one decision knows: the facts gathered so far, and the request seen through the configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, overload

from gateway.core.decision.needs import ExchangeToken, Need
from gateway.core.headers.cookies import Site, read
from gateway.core.headers.forwarded import Forwarded
from gateway.core.headers.request import Request
from gateway.core.memo import Memo
from gateway.core.provider import Exchanged, TokenRefusal
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.routes import Route
from gateway.core.runtime import RuntimeConfig
from gateway.core.sessions.model import OpenedSession, RefreshOutcome
from gateway.core.tokens.keys import KeySet
from gateway.syntax.targets import Target

Fact = TypeVar("Fact")


@dataclass(slots=True)
class Memory:
    """What was learned of sessions under exact texts. Forgetting it changes no answer.

    ``cookies`` hold what sealed cookies lead to, by their texts, ``sessions`` records of the store, by their
    names. What was learned of tokens is remembered with their lines (``core.headers.lines``).
    """

    cookies: "Memo[str, Any]" = field(default_factory=Memo)
    sessions: Memo[str, OpenedSession] = field(default_factory=Memo)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the process knows now. ``facts`` are the answers to this request's needs.

    ``recent_outcome`` looks up how a recent refresh ended, by rotation id; ``confirmed`` tells whether a
    rotation has been confirmed already; ``superseded`` whether one was made lately, wherever that was, or a
    session replaced. ``exchanged`` looks up a token that was exchanged lately, or that was refused.
    """

    runtime: RuntimeConfig
    keys: Mapping[str, KeySet]
    denylist: Denylist
    memory: Memory
    recent_outcome: Callable[[str], RefreshOutcome | None]
    confirmed: Callable[[str], bool]
    facts: Mapping[Need, object] = field(default_factory=dict)
    superseded: Callable[[str], bool] = lambda _: False
    exchanged: Callable[[ExchangeToken], Exchanged | TokenRefusal | None] = lambda _: None

    @overload
    def fact(self, need: Need, kind: "type[Fact]") -> "Fact | None": ...

    @overload
    def fact(self, need: Need, kind: tuple[type, ...]) -> Any: ...  # noqa: ANN401 - whoever asks says of which kinds

    def fact(self, need: Need, kind: type | tuple[type, ...]) -> Any:
        """Return the answer to a need, or None where it has not been asked; the pipeline never stores None.

        Raises:
            TypeError: the answer is of another kind than the need promises.
        """
        answer = self.facts.get(need)
        if answer is not None and not isinstance(answer, kind):
            raise TypeError(f"{type(need).__name__} was answered with {type(answer).__name__}")
        return answer


_NOWHERE: Final = Target(b"/", b"")


class Context:
    """One request under decision.

    Attributes:
        forwarded: how it came.
        site: under which of ours, None where the host is no ``public_url``.
        route: where it leads, once that is known.
        nonce: what a client's proofs have to hold from now on (RFC 9449 section 8.2); absent where that is
            no news.
    """

    __slots__ = (
        "_cookies",
        "_target",
        "forwarded",
        "knowledge",
        "nonce",
        "now",
        "request",
        "request_id",
        "route",
        "site",
    )

    nonce: str

    def __init__(self, request: Request, knowledge: Knowledge, now: float, request_id: str) -> None:
        runtime = knowledge.runtime
        rules = runtime.rules
        request.sort(rules.request_lines)
        self.request = request
        self.knowledge = knowledge
        self.now = now
        self.request_id = request_id
        self.forwarded: Forwarded = rules.proxies.forwarded_of(request)
        self.site: Site | None = runtime.sites.get(self.forwarded.host)
        self._target: Target | None = None
        self.route: Route | None = None
        self._cookies: dict[str, str] | None = None

    @property
    def target(self) -> Target:
        """Where it leads, in the reading that is decided on; nowhere before that is known."""
        if self._target is None:
            plain = self.request.plain
            return _NOWHERE if plain is None or self.route is None else Target(plain[0], plain[2])
        return self._target

    @target.setter
    def target(self, target: Target) -> None:
        self._target = target

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of ours that the browser sent here. Not to be changed."""
        found = self._cookies
        if found is None:
            site = self.site
            found = {} if site is None else self.own_cookies(site.cookie_prefix)
            if site is not None and site.domain:
                found = {**found, **self.own_cookies(site.scoped_prefix)}
            self._cookies = found
        return found

    def own_cookies(self, prefix: str) -> dict[str, str]:
        """Return the cookies whose names begin so; one that comes twice is left out (R46)."""
        lines = self.request.cookies
        if len(lines) == 1:
            own: dict[str, str] = lines[0].found.of(prefix)
            return own
        return read([(line.name, line.value) for line in lines], prefix) if lines else {}

    @property
    def scripted(self) -> bool:
        """Whether a script says that it calls."""
        return self.request.is_scripted

    @property
    def wants_html(self) -> bool:
        """Whether a person's browser navigates here."""
        return self.request.wants_html

    @property
    def navigation(self) -> bool:
        """Whether a redirect to log in would lead a person somewhere."""
        return self.request.method in (b"GET", b"HEAD") and self.request.wants_html
