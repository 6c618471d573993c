"""Faults of a provider's call, told apart by whether the provider may have acted on it."""

from gateway.core.model import Fault


class NeverSent(Fault):
    """DNS, connect or TLS failed: nothing was sent, so trying again is safe."""


class Paused(NeverSent):
    """Nothing was sent on purpose: the provider is left alone for a while after failures."""


class Ambiguous(Fault):
    """The request was sent and no answer came: the provider may have acted on it."""
