"""Faults say whose they are; a call that failed, whether the other side may have acted on it."""

from typing import Literal, Self

from gateway.core.reasons import Reason

FaultSource = Literal["client", "upstream", "issuer", "store", "gateway"]


class Fault(Exception):  # noqa: N818 - a fault is the field's word, and says whose it is
    """Something outside failed; it fails closed and never clears a cookie.

    Attributes:
        source: whose fault it is.
        reason: the word of the vocabulary that the caller will see.
        detail: for the log alone; never holds a secret, never reaches a client.
        retry_after: seconds after which a retry makes sense, or None.
        html: whether a person's browser asks, where the request itself could not be read.
        languages: its Accept-Language then.
    """

    def __init__(
        self, source: FaultSource, reason: Reason, detail: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(f"{source}: {reason}: {detail}")
        self.source: FaultSource = source
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.html = False
        self.languages = b""

    def copy(self) -> Self:
        """Return another one that says the same, for another caller: raised, each gathers a traceback."""
        return type(self)(self.source, self.reason, self.detail, self.retry_after)


class NeverSent(Fault):
    """DNS, connect or TLS failed: nothing was sent, so trying again is safe."""


class Paused(NeverSent):
    """Nothing was sent on purpose: the provider is left alone for a while after failures."""


class Ambiguous(Fault):
    """The request was sent and no answer came: the provider may have acted on it."""
