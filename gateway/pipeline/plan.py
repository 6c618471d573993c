"""How a request goes on: the head for the upstream, and what the response is given."""

from dataclasses import replace

from gateway.core.decision.answers import Forward
from gateway.core.decision.context import Knowledge
from gateway.core.headers.request import Request
from gateway.core.headers.rules import Forwarded
from gateway.core.lasting import Lasting, lasting
from gateway.core.outcome import RequestFacts
from gateway.core.span import Spanned
from gateway.http.messages.serialise import Start, check_start


class Plan:
    """What is sent for a decision to forward, up to the request id.

    An exact plan is for one head, and is kept for it where that comes again; a general one is for all heads
    that its pattern recognises on its route (see ``pipeline.recall``), a ``Narrow`` one for those of a span.

    Attributes:
        forward: the decision.
        about: the same, as the record tells it; without a path where the plan is general.
        limit: how often a caller may ask there, None where nobody counts.
        lasting: how long the decision holds, for a plan that is kept.

    Raises:
        Unsafe: a blank line would end the head early.
    """

    __slots__ = ("_start", "_template", "about", "forward", "lasting", "limit", "max_body", "upstream")

    lasting: Lasting

    def __init__(self, forward: Forward, about: RequestFacts, start: bytes | None) -> None:
        route = forward.route
        self.forward = forward
        self.about = about
        self.limit = route.rate_limit
        self.upstream = route.upstream
        self.max_body = route.max_body
        self._start = None if start is None else check_start(start)
        self._template = b""

    def lasts(self, knowledge: Knowledge, now: float) -> "Plan | None":
        """Return itself, ready to be kept, or None where the decision does not last."""
        found = lasting(self.forward, knowledge, now)
        if found is None:
            return None
        self.lasting = found
        return self

    @property
    def size(self) -> int:
        """The bytes of what a general plan adds to a head."""
        return len(self._template)

    def start_for(self, request: Request) -> Start:
        """Return the request line and fields of such a request, and the name of X-Request-ID."""
        if self._start is not None:
            return self._start
        pattern, match = request.pattern, request.match
        assert pattern is not None
        assert match is not None
        # the plan was checked with one such request, and no other has a line break within what differs
        filling = match.group(*pattern.sent)
        route = self.forward.route
        if route.replacement is not None:
            target, *passing = filling
            filling = (route.forwarded(match[2]) + target[len(match[2]) :], *passing)
        return self._template % filling  # type: ignore[no-any-return]

    def path_of(self, request: Request) -> str | None:
        """Return the path that the record of a request tells, None where ``about`` does."""
        return None if self._start is not None else request.target.partition(b"?")[0].decode("ascii")

    def generalise(self, request: Request, observed: Forwarded) -> "Plan | None":
        """Return an exact plan made general, for all heads of the request's pattern; None if it cannot be."""
        pattern, match = request.pattern, request.match
        assert pattern is not None
        assert match is not None
        _, *passing = match.group(*pattern.sent)
        lines = self.forward.fields
        before = observed.block + b"".join(passing)
        if not lines.startswith(before):
            return None
        # the lines are in the parts
        forward = replace(self.forward, target=b"", fields=b"")
        plan = Plan(forward, replace(self.about, path="", line=None), None)
        tail = lines[len(before) :]
        plan._template = pattern.template % (
            observed.block.replace(b"%", b"%%"),
            tail.replace(b"%", b"%%"),
        )
        plan.lasting = self.lasting
        # what it makes of the head that it was made of has to be what was decided, byte for byte
        return plan if plan.start_for(request) == self._start else None

    def narrow(self, request: Spanned) -> "Plan | None":
        """Return a general plan made narrower, for the heads of the request's span; None if it cannot be."""
        if self.forward.route.replacement is not None:
            return None
        plan = Narrow(self.forward, self.about, None)
        plan._template = self._template.replace(b"%%", b"%%%%") % (b"%b", *request.span.pieces)  # noqa: SLF001
        plan.lasting = self.lasting
        return plan if plan.start_for(request) == self.start_for(request) else None

    def specialise(self, request: Request) -> "Plan":
        """Return a general plan for one head that comes again."""
        about = replace(self.about, path=self.path_of(request) or self.about.path, line=None)
        plan = Plan(self.forward, about, self.start_for(request))
        plan.lasting = self.lasting
        return plan


class Narrow(Plan):
    """A plan for the heads of one span: only what differs among those is filled in."""

    __slots__ = ()

    def start_for(self, request: Request) -> Start:
        """Return the request line and fields of such a request, and the name of X-Request-ID."""
        assert isinstance(request, Spanned)
        # as in a general plan: no other head of the span has a line break within what differs
        return self._template % request.filling  # type: ignore[return-value]

    def path_of(self, request: Request) -> str:
        """Return the path that the record of a request tells."""
        assert isinstance(request, Spanned)
        return request.path.decode("ascii")


def plan_of(request: Request, forward: Forward, about: RequestFacts) -> Plan:
    """Return the exact plan of a decision. Raises Unsafe: a blank line would end the head early."""
    start = b"%b %b HTTP/1.1\r\n%bX-Request-ID: " % (request.method, forward.target, forward.fields)
    return Plan(forward, about, start)


def lines_of(start: Start, request_id: str) -> tuple[bytes, list[bytes]]:
    """Return the target and the field lines of a request, Host first, with the id that it is to have."""
    first, *lines = (start + request_id.encode()).split(b"\r\n")
    host = next(place for place, line in enumerate(lines) if line[:5].lower() == b"host:")
    lines.insert(0, lines.pop(host))
    return first.split(b" ")[1], lines
