"""What one decision knows: the facts gathered so far, and the request seen through the configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast

from gateway.core.decision.needs import Need
from gateway.core.headers.cookies import Site
from gateway.core.headers.request import Request
from gateway.core.headers.rules import Forwarded
from gateway.core.identity import Identity
from gateway.core.memo import Memo
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.routes import Route
from gateway.core.runtime import RuntimeConfig
from gateway.core.sessions.model import OpenedSession, RefreshOutcome
from gateway.core.sketch import Sketch
from gateway.core.tokens.keys import KeySet
from gateway.syntax.targets import Target

Fact = TypeVar("Fact")


@dataclass(slots=True)
class Memory:
    """What was learned under exact bytes. Forgetting it changes no answer.

    ``tokens`` hold a verified bearer token's identity with the key set that verified it, and when (epoch
    seconds): another key set, or a clock that was set back, and it is verified again. ``sessions`` hold
    opened cookies by their sealed texts, and records by their names.
    """

    tokens: Memo[str, tuple[KeySet, Identity, float]] = field(default_factory=Memo)
    sessions: Memo[str, OpenedSession] = field(default_factory=Memo)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the process knows now. ``facts`` are the answers to this request's needs.

    ``recent_outcome`` looks up how a recent refresh ended, by rotation id; ``confirmed`` tells whether a
    rotation has been confirmed already; ``superseded`` whether one was made lately, wherever that was, or a
    session replaced.
    """

    compiled: RuntimeConfig
    keys: Mapping[str, KeySet]
    denylist: Denylist
    memory: Memory
    recent_outcome: Callable[[str], RefreshOutcome | None]
    confirmed: Callable[[str], bool]
    facts: Mapping[Need, object] = field(default_factory=dict)
    superseded: Callable[[str], bool] = lambda _: False

    def fact(self, need: Need, kind: "type[Fact] | tuple[type, ...]") -> "Fact | None":
        """Return the answer to a need, or None where it has not been asked; the pipeline never stores None.

        Raises:
            TypeError: the answer is of another kind than the need promises.
        """
        answer = self.facts.get(need)
        if answer is not None and not isinstance(answer, kind):
            raise TypeError(f"{type(need).__name__} was answered with {type(answer).__name__}")
        return cast("Fact | None", answer)


@dataclass(slots=True)
class Context:
    """One request under decision. ``site`` is None where the host is no ``public_url``."""

    request: Request
    target: Target
    observed: Forwarded
    site: Site | None
    knowledge: Knowledge
    now: float
    request_id: str
    sketch: Sketch
    cookies: dict[str, str]
    route: Route | None = None

    @property
    def scripted(self) -> bool:
        """Whether a script says that it calls."""
        return self.sketch.scripted

    @property
    def wants_html(self) -> bool:
        """Whether a person's browser navigates here."""
        return self.sketch.wants_html

    @property
    def navigation(self) -> bool:
        """Whether a redirect to log in would lead a person somewhere."""
        return self.sketch.wants_html and self.request.method in (b"GET", b"HEAD")
