"""One provider's introspection endpoint: asked about tokens that are not known, as seldom as can be."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from typing import Final

from gateway.core.decision.needs import Introspect
from gateway.core.fault import Ambiguous, NeverSent, Paused
from gateway.core.identity import Claims
from gateway.core.provider import Provider
from gateway.core.reasons import Reason
from gateway.core.tokens.introspection import MOST_ANSWER, Introspection, check_signed, lasts_until
from gateway.edge.limits.strangers import Strangers
from gateway.edge.providers.client import CountedClient, Response, posted
from gateway.edge.providers.faults import to_fault, unavailable
from gateway.edge.providers.pauses import Pauses
from gateway.edge.providers.published import Published
from gateway.edge.providers.verification import verified
from gateway.edge.tasks import SingleFlight
from gateway.oauth import introspection
from gateway.oauth.errors import MessageError

MOST_CALLS: Final = 256
"""Tokens that are asked about at a time, most of them waiting for a connection."""
_ALL: Final = ""


class Answers:
    """What was said of tokens, by their hashes: those asked for last, bounded in number and in bytes."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[bytes, tuple[Introspection, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, name: bytes, now: float) -> Introspection | None:
        """Return an answer that counts at ``now`` (epoch seconds), or None."""
        kept = self._kept.get(name)
        if kept is None:
            return None
        if not kept[0].asked_at <= now < kept[0].until:
            self.forget(name)
            return None
        self._kept.move_to_end(name)
        return kept[0]

    def peek(self, name: bytes, now: float) -> Introspection | None:
        """Return an answer that counts at ``now``, or None, and leave everything as it is."""
        kept = self._kept.get(name)
        return kept[0] if kept is not None and kept[0].asked_at <= now < kept[0].until else None

    def put(self, name: bytes, answer: Introspection, size: int) -> None:
        """Keep an answer of so many bytes."""
        self.forget(name)
        self._kept[name] = answer, size
        self._bytes += size
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            _, (_, gone) = self._kept.popitem(last=False)
            self._bytes -= gone

    def forget(self, name: bytes) -> None:
        """Keep nothing of a token any more."""
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._bytes -= kept[1]


class IntrospectionEndpoint:
    """The calls to one introspection endpoint.

    What it says is kept by the token's hash, for this provider alone. Tokens that are not active are kept
    apart, so that strangers' displace nobody's.

    Args:
        provider: whose it is.
        client: makes the calls, and counts them.
        published: the provider's metadata and keys.
        clock: wall time in epoch seconds.
    """

    def __init__(
        self,
        provider: Provider,
        client: CountedClient,
        published: Published,
        clock: Callable[[], float],
    ) -> None:
        self._provider = provider
        self._client = client
        self._published = published
        self._clock = clock
        self._active = Answers(10_000, 8 << 20)
        self._refused = Answers(4_096, 1 << 20)
        self._calls: SingleFlight[Introspection] = SingleFlight("a question about a token")
        self._pauses = Pauses(clock)

    async def ask(self, need: Introspect, strangers: Strangers) -> Introspection:
        """Return what the provider says of a token, or said a moment ago.

        Raises:
            Fault: it says nothing of use; it is left alone for a while; or who presents the token has brought
                too many that were not active.
        """
        name = hashlib.sha256(need.token.encode()).digest()
        known = self._known(name)
        if known is not None:
            return known
        if name in self._calls:
            return await self._join(need.token, name)
        if need.is_known:
            return await self._begin(need.token, name)
        async with strangers.looking(need.by) as look:
            known = self._known(name)
            answer = known or await self._begin(need.token, name)
            # what was said meanwhile has been counted
            look.found = known is not None or answer.claims is not None
        return answer

    def _known(self, name: bytes) -> Introspection | None:
        now = self._clock()
        return self._active.get(name, now) or self._refused.get(name, now)

    async def _join(self, token: str, name: bytes) -> Introspection:
        return await self._calls.join(name, lambda: self._call(token, name))

    async def _begin(self, token: str, name: bytes) -> Introspection:
        """Ask, unless too many are asked about or the endpoint is left alone. Raises Fault."""
        if name not in self._calls and len(self._calls) >= MOST_CALLS:
            raise unavailable(NeverSent, "too many opaque tokens are asked about at once")
        if (left := self._pauses.left(_ALL)) > 0:
            detail = "the introspection endpoint is left alone for a while after a failure"
            raise Paused("issuer", Reason.ISSUER_UNAVAILABLE, detail, ceil(left))
        return await self._join(token, name)

    def known(self, token: str) -> Introspection | None:
        """Return what the provider said of a token a moment ago, or None; nothing is asked or changed."""
        name, now = hashlib.sha256(token.encode()).digest(), self._clock()
        return self._active.peek(name, now) or self._refused.peek(name, now)

    async def _call(self, token: str, name: bytes) -> Introspection:
        asked_at = self._clock()
        try:
            claims, size = await self._claims(token, asked_at)
        except MessageError as error:
            self._client.count("introspection", "failed")
            raise to_fault(error) from error
        self._client.count("introspection", "refused" if claims is None else "ok")
        answer = Introspection(claims, asked_at, lasts_until(claims, self._provider, asked_at))
        (self._refused if claims is None else self._active).put(name, answer, size)
        return answer

    async def _claims(self, token: str, asked_at: float) -> tuple[Claims | None, int]:
        """Return what the endpoint says, and how many bytes that took. Raises Fault, MessageError."""
        settings = self._provider.settings
        request = introspection.build_request(await self._published.metadata.get(), settings, token)
        try:
            response = await self._client.send("introspection", posted(request, MOST_ANSWER, "introspection"))
        except (NeverSent, Ambiguous):
            # nobody is there: whatever it is asked about now, it would not answer
            self._pauses.failed(_ALL, asked_at, None)
            raise
        if response.status in introspection.OF_NO_TOKEN:
            self._pauses.failed(_ALL, asked_at, _seconds(response.retry_after))
        else:
            self._pauses.succeeded(_ALL)
        if introspection.is_signed(response.status, response.content_type):
            return introspection.read_members(dict(await self._verify(response))), len(response.body)
        claims = introspection.process_response(response.status, response.body, MOST_ANSWER)
        if settings.introspection == "jwt":
            raise MessageError(
                "introspection_unsigned", "the introspection endpoint's answer is not signed (RFC 9701)"
            )
        return claims, len(response.body)

    async def _verify(self, response: Response) -> Claims:
        """Return the members of a signed answer. Raises Fault, MessageError."""
        found = await verified(
            self._published.keys.find,
            self._provider.name,
            response.body.decode("latin-1").strip(),
            lambda keys: check_signed(response.body, self._provider, keys, self._clock()),
        )
        if isinstance(found, Reason):
            raise MessageError(
                "introspection_malformed", f"the introspection endpoint's signed answer is refused: {found}"
            )
        return found

    async def close(self) -> None:
        """Give up what is under way."""
        await self._calls.close()


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
