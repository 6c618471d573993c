"""Settings of rate limits."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.settings.base import Duration, Model, Number


class RateLimitSettings(Model):
    """How often one caller may ask; beyond it, 429."""

    requests: Annotated[Number, Field(ge=1, le=1_000_000)]
    """So many requests ..."""
    per: Duration
    """... in so much time, on average."""
    burst: Annotated[Number, Field(ge=1, le=1_000_000)] | None = None
    """The most requests at once; absent: as many as ``requests``."""
    by: Literal["identity", "address", "session"] = "identity"
    """Whose requests count together; somebody without an identity counts by address."""
    shared: bool = False
    """Whether all workers and gateways count together, through the store, or each worker for itself."""
