"""The start of a login: what the decision may not draw or build itself."""

import os
from collections.abc import Awaitable, Callable, Mapping

from gateway.core.answers import Login
from gateway.core.compiled import Provider
from gateway.core.login import state_cookie_name
from gateway.core.model import CookieChange, Fault, ProviderMetadata, Seal
from gateway.core.needs import Metadata
from gateway.core.reasons import Reason
from gateway.core.session import PendingLogin, encode_pending
from gateway.core.strict import encode_base64url
from gateway.oauth.authorization import build_request


class Logins:
    """Draws state, nonce and verifier (256 bits each) and builds the authorization request (R1-R3)."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        metadata: Callable[[Metadata], Awaitable[ProviderMetadata]],
    ) -> None:
        self._providers = providers
        self._metadata = metadata

    def configure(self, providers: Mapping[str, Provider]) -> None:
        """Go on with these providers."""
        self._providers = providers

    async def start(self, login: Login) -> tuple[str, CookieChange]:
        """Return the authorization URL and the cookie that binds this login to this browser.

        Raises:
            Fault: the provider's metadata cannot be had.
        """
        provider = self._providers.get(login.provider)
        if provider is None:
            raise Fault("issuer", Reason.ISSUER_MISCONFIGURED, "the provider is no longer configured")
        metadata = await self._metadata(Metadata(provider.name))
        state, nonce, verifier = (encode_base64url(os.urandom(32)) for _ in range(3))
        url = build_request(
            metadata,
            provider.settings,
            redirect_uri=login.redirect_uri,
            state=state,
            nonce=nonce,
            verifier=verifier,
            acr_values=login.acr_values,
            max_age=login.max_age,
        )
        pending = PendingLogin(state, nonce, verifier, provider.name, login.return_to, login.now)
        name = state_cookie_name(login.pending_cookie, state)
        seal = Seal(f"login {login.origin}", encode_pending(pending))
        return url, CookieChange(name, seal, login.max_age_seconds)
