"""What is counted of a provider."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProviderStats:
    """Figures of one provider.

    ``up`` tells whether the last fetch of metadata and of keys succeeded, None before any. ``jwks_age`` is in
    seconds, None before the first good fetch; ``keys`` are how many serve, ``keys_left_out`` how many do not.
    ``calls`` counts by (call, outcome); calls are ``metadata``, ``jwks``, ``token``, ``exchange``,
    ``userinfo``, ``introspection`` and ``revocation``; outcomes are ``ok``, ``unreachable`` (never sent),
    ``unanswered``, ``refused`` (the answer is a no) and ``failed`` (the answer is no use). ``last_trouble``
    is why a fetch failed last, and when (epoch seconds).
    """

    jwks_age: float | None
    calls: Mapping[tuple[str, str], int]
    up: bool | None = None
    keys: int | None = None
    keys_left_out: int = 0
    last_trouble: tuple[str, float] | None = None
