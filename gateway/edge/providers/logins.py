"""The start of a login: what the decision may not draw or build itself."""

import os
from collections.abc import Awaitable, Callable

from gateway.core.access import pending
from gateway.core.decision.answers import Login
from gateway.core.decision.needs import Metadata
from gateway.core.fault import Fault
from gateway.core.headers.cookies import CookieChange, Seal
from gateway.core.provider import ProviderMetadata
from gateway.core.reasons import Reason
from gateway.core.runtime import RuntimeConfig
from gateway.core.sessions.pending import SECRET_BYTES, begin_pending, encode_pending
from gateway.core.sessions.seal import NONCE_BYTES
from gateway.oauth.authorization import build_request


class Logins:
    """Draws 256 bits, of which state, nonce and verifier are made; builds the authorization request (R1-R3).

    Args:
        runtime: the configuration.
        metadata: asks for a provider's; raises Fault.
        keep: keeps a page that is too long for a cookie, for an address and for so many seconds; returns its
            reference, empty where it cannot be kept.
    """

    def __init__(
        self,
        runtime: RuntimeConfig,
        metadata: Callable[[Metadata], Awaitable[ProviderMetadata]],
        keep: Callable[[str, str, float], Awaitable[str]],
    ) -> None:
        self._runtime = runtime
        self._metadata = metadata
        self._keep = keep

    def configure(self, runtime: RuntimeConfig) -> None:
        """Go on with this configuration."""
        self._runtime = runtime

    async def start(self, login: Login) -> tuple[str, CookieChange]:
        """Return the authorization URL and the cookie that binds this login to this browser.

        Raises:
            Fault: the provider's metadata cannot be had.
        """
        runtime = self._runtime
        provider = runtime.providers.get(login.provider)
        if provider is None:
            raise Fault("issuer", Reason.ISSUER_MISCONFIGURED, "the provider is no longer configured")
        metadata = await self._metadata(Metadata(provider.name))
        page = login.return_to
        if len(page) > pending.MOST_PAGE_IN_STATE:
            reference = await self._keep(page, login.client, login.max_age_seconds)
            page = reference or (page if len(page) <= pending.MOST_INLINE else "")
        begun = begin_pending(
            os.urandom(SECRET_BYTES),
            provider.name,
            page,
            login.now,
            login.callback,
            login.position,
            is_repeated=login.is_repeated,
        )
        sealed = ""
        if 0 < len(page) <= pending.MOST_PAGE_IN_STATE:
            purpose = pending.page_purpose(login.origin)
            sealed = runtime.ring.seal(purpose, page.encode(), os.urandom(NONCE_BYTES))
        url = build_request(
            metadata,
            provider.settings,
            redirect_uri=login.redirect_uri,
            state=pending.state_of(begun, sealed),
            nonce=begun.nonce,
            verifier=begun.verifier,
            acr_values=login.acr_values,
            max_age=login.max_age,
            login_hint=login.login_hint,
            other_account=login.other_account,
        )
        name = pending.state_cookie_name(login.pending_cookie, begun.state)
        seal = Seal(f"login {login.origin}", encode_pending(begun))
        # a form that the provider's page posts brings no other cookie
        by_form = provider.settings.response_mode == "form_post"
        return url, CookieChange(name, seal, login.max_age_seconds, cross_site=by_form)
