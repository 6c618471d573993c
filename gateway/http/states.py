"""The states of a client's connection, of an exchange and of an upstream's connection, each as a table.

An event is a table of its own: from each state in which it may come to the one that it leads to. To look up
any other state raises ``IllegalMove``: what should never happen ends the connection and is logged, and no
answer is made of it. docs/life-of-a-request.md draws its diagrams from these tables.
"""

from collections.abc import Mapping
from typing import Final


class IllegalMove(Exception):  # noqa: N818 - says what it is
    """An event came in a state in which it cannot: an error of ours."""


class Event(dict[int, int]):
    """Where an event leads, by the state in which it comes.

    Args:
        name: of the event.
        moves: from state to state.
    """

    __slots__ = ("name",)

    def __init__(self, name: str, moves: Mapping[int, int]) -> None:
        super().__init__(moves)
        self.name = name

    def __missing__(self, state: int) -> int:
        raise IllegalMove(f"{self.name} in state {state}")


class ClientState:
    """What the bytes that arrive from a client are. From LINGER on nothing more is sent."""

    HEAD: Final = 0
    """A request's head."""
    BODY: Final = 1
    """The body of the request that is being answered."""
    WAIT: Final = 2
    """What follows a request that is being answered: it waits."""
    DISCARD: Final = 3
    """The rest of a body that was answered without it."""
    TUNNEL: Final = 4
    """Another protocol, passed on as it is."""
    LINGER: Final = 5
    """Nothing that anybody wants; the client may still be reading the last answer."""
    CLOSED: Final = 6
    """None any more."""


class ClientMove:
    """What happens on a client's connection."""

    HEAD_READ: Final = Event("head_read", {ClientState.HEAD: ClientState.WAIT})
    """A request without a body has come."""
    BODY_BEGUN: Final = Event("body_begun", {ClientState.HEAD: ClientState.BODY})
    """The head of a request with a body has come."""
    BODY_READ: Final = Event("body_read", {ClientState.BODY: ClientState.WAIT})
    """The body has come whole, or no more of it can be told apart."""
    SWITCHED: Final = Event("switched", {ClientState.WAIT: ClientState.TUNNEL})
    """The exchange has become a tunnel, and the request's body is whole."""
    ANSWERED: Final = Event(
        "answered", {ClientState.WAIT: ClientState.HEAD, ClientState.BODY: ClientState.HEAD}
    )
    """The exchange is over, the request had come whole, and the connection goes on."""
    ANSWERED_EARLY: Final = Event("answered_early", {ClientState.BODY: ClientState.DISCARD})
    """The exchange is over before the request's body is, and the connection goes on."""
    DISCARDED: Final = Event("discarded", {ClientState.DISCARD: ClientState.HEAD})
    """That body has ended."""
    LAST_ANSWERED: Final = Event(
        "last_answered", dict.fromkeys(range(ClientState.HEAD, ClientState.LINGER), ClientState.LINGER)
    )
    """No request follows, though the client may still be sending."""
    CLOSES: Final = Event(
        "closes", dict.fromkeys(range(ClientState.HEAD, ClientState.CLOSED), ClientState.CLOSED)
    )
    """It is closed from here, or broken off."""
    LOST: Final = Event(
        "lost", dict.fromkeys(range(ClientState.HEAD, ClientState.CLOSED + 1), ClientState.CLOSED)
    )
    """The transport has ended."""


class ExchangeState:
    """How far a request has come on its way to its one answer."""

    WAITING: Final = 0
    """Nothing has been decided."""
    FORWARDED: Final = 1
    """An upstream is to answer it."""
    ANSWERING: Final = 2
    """The head of the upstream's response has gone out."""
    TUNNEL: Final = 3
    """It has become a tunnel."""
    FINISHED: Final = 4
    """It is over."""


class ExchangeMove:
    """What happens to an exchange."""

    FORWARDED: Final = Event("forwarded", {ExchangeState.WAITING: ExchangeState.FORWARDED})
    """Whoever handles it has it proxied."""
    BEGUN: Final = Event("begun", {ExchangeState.FORWARDED: ExchangeState.ANSWERING})
    """The head of the upstream's final response is sent."""
    SWITCHED: Final = Event("switched", {ExchangeState.FORWARDED: ExchangeState.TUNNEL})
    """The upstream has switched protocols."""
    ENDED: Final = Event("ended", dict.fromkeys(range(ExchangeState.FINISHED), ExchangeState.FINISHED))
    """It was answered from here or to the end, or broken off, or its client has gone."""


class UpstreamState:
    """What the bytes that arrive from an upstream's server are."""

    IDLE: Final = 0
    """Unasked for: no request was sent."""
    HEAD: Final = 1
    """The head of a response."""
    BODY: Final = 2
    """Its content."""
    TUNNEL: Final = 3
    """Another protocol, passed on as it is."""
    CLOSED: Final = 4
    """None any more."""


class UpstreamMove:
    """What happens on a connection to an upstream's server."""

    STARTED: Final = Event("started", {UpstreamState.IDLE: UpstreamState.HEAD})
    """A request is sent."""
    BODY_BEGUN: Final = Event("body_begun", {UpstreamState.HEAD: UpstreamState.BODY})
    """A head has come, and not the whole content with it."""
    SWITCHED: Final = Event("switched", {UpstreamState.HEAD: UpstreamState.TUNNEL})
    """It was 101, for what had been asked."""
    COMPLETED: Final = Event(
        "completed", {UpstreamState.HEAD: UpstreamState.IDLE, UpstreamState.BODY: UpstreamState.IDLE}
    )
    """The response has come whole."""
    CLOSED: Final = Event("closed", dict.fromkeys(range(UpstreamState.CLOSED + 1), UpstreamState.CLOSED))
    """It is closed from here, or has ended; once or several times."""


MACHINES: Final = {
    "client connection": (ClientState, ClientMove),
    "exchange": (ExchangeState, ExchangeMove),
    "upstream connection": (UpstreamState, UpstreamMove),
}
"""Every state and move, by whose they are; each begins in state 0."""
