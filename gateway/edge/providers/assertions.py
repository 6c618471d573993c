"""Assertions of who the gateway is, signed anew for each call to a provider."""

import os
from collections.abc import Callable

import jwt

from gateway.config.settings.providers import ProviderSettings
from gateway.core.tokens.client_keys import compile_client_keys
from gateway.oauth.assertion import JTI_BYTES, claims_of
from gateway.syntax.encoding import encode_base64url


class Assertions:
    """Signs with the first of a provider's ``signing_keys``.

    Args:
        settings: of the provider.
        clock: wall time in epoch seconds.
    """

    def __init__(self, settings: ProviderSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._keys = compile_client_keys(settings)

    def sign(self, audience: str) -> str:
        """Return a new assertion for ``audience``, good once."""
        (first, *_), settings = self._keys, self._settings
        jti = encode_base64url(os.urandom(JTI_BYTES))
        claims = claims_of(settings.client_id, audience, self._clock(), jti, settings.clock_skew)
        return jwt.encode(claims, first.key, first.algorithm, dict(first.header))
