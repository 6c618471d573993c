"""Who is logged in to the console: held in this process alone, and judged anew with each request.

A cookie holds nothing but a random reference. So whatever ends a session (a log-out, a token that is taken
away or expires, an operator who is revoked, a configuration that admits others) ends it at once, and a copy
of the cookie is of no use then. A restart logs every operator out.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Final

from gateway.config.settings.console import ConsoleSettings
from gateway.edge.admin.operators import Held, Operator, Tokens
from gateway.syntax.encoding import Json

MOST_VISITS: Final = 256
_HANDLE: Final = 43


@dataclass(slots=True)
class Visit:
    """One operator's session. Times are seconds since the epoch.

    Attributes:
        operator: who, and what they may do.
        held: the token that they logged in with, None where that was at a provider.
        person: whom the provider named, None where it was a token.
        csrf: what each form must bring.
        news: what the next page tells of the last action, once.
    """

    operator: Operator
    held: Held | None
    person: Mapping[str, Json] | None
    began_at: float
    seen_at: float
    csrf: str = field(default_factory=lambda: token_urlsafe(32), repr=False)
    news: "tuple[str, str] | None" = None

    def take_news(self) -> "tuple[str, str] | None":
        """Return tone and text of what there is to tell, and forget it."""
        news, self.news = self.news, None
        return news


class Visits:
    """The sessions of all operators.

    Args:
        tokens: the named tokens of now.
        clock: seconds since the epoch.
    """

    def __init__(self, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._clock = clock
        self._held: dict[bytes, Visit] = {}
        self._settings = ConsoleSettings()

    def __len__(self) -> int:
        return len(self._held)

    def configure(self, settings: ConsoleSettings | None) -> None:
        """Go on with these settings; where they admit others, whoever logged in at a provider is out."""
        new = settings or ConsoleSettings()
        admitted = self._settings.provider, self._settings.require, self._settings.role
        if settings is None:
            self._held.clear()
        elif admitted != (new.provider, new.require, new.role):
            self._held = {name: each for name, each in self._held.items() if each.held is not None}
        self._settings = new

    def begin(
        self, operator: Operator, held: Held | None = None, person: Mapping[str, Json] | None = None
    ) -> str:
        """Begin a session and return what its cookie holds."""
        now = self._clock()
        for name, each in list(self._held.items()):
            if self._is_over(each, now):
                del self._held[name]
        while len(self._held) >= MOST_VISITS:
            del self._held[min(self._held, key=lambda name: self._held[name].seen_at)]
        handle = token_urlsafe(32)
        self._held[_name(handle)] = Visit(operator, held, person, now, now)
        return handle

    def find(self, handle: str, *, is_use: bool = True) -> Visit | None:
        """Return the session of a cookie, None where there is none, or it is over.

        Args:
            handle: what the cookie holds.
            is_use: whether somebody has done something; a page that refreshes itself is no use.
        """
        if len(handle) != _HANDLE or not handle.isascii():
            return None
        name, now = _name(handle), self._clock()
        visit = self._held.get(name)
        if visit is None:
            return None
        if self._is_over(visit, now):
            del self._held[name]
            return None
        if visit.held is not None:
            operator = self._tokens.current(visit.held, now)
            assert operator is not None
            # the role may have been changed meanwhile
            visit.operator = operator
        if is_use:
            visit.seen_at = now
        return visit

    def end(self, handle: str) -> None:
        """End the session of a cookie."""
        self._held.pop(_name(handle), None)

    def all(self) -> Iterator[Visit]:
        """Yield the sessions that go on."""
        now = self._clock()
        yield from [each for each in self._held.values() if not self._is_over(each, now)]

    def _is_over(self, visit: Visit, now: float) -> bool:
        settings = self._settings
        if now >= visit.began_at + settings.absolute_lifetime or now < visit.began_at - 1:
            return True
        if now >= visit.seen_at + settings.idle_lifetime:
            return True
        return visit.held is not None and self._tokens.current(visit.held, now) is None


def _name(handle: str) -> bytes:
    return hashlib.sha256(b"console session\x00" + handle.encode("utf-8", "surrogatepass")).digest()
