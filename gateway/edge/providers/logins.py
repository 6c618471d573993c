"""The start of a login: what the decision may not draw or build itself."""

import os
import time
from collections.abc import Awaitable, Callable

from gateway.core.access import pending
from gateway.core.decision.answers import Login
from gateway.core.fault import Fault
from gateway.core.headers.cookies import CookieChange, Seal
from gateway.core.reasons import Reason
from gateway.core.rules.rate_limit import MICROSECONDS, Buckets, key_of
from gateway.core.runtime import RuntimeConfig
from gateway.core.sessions.joining import JOIN, JoinRequest, challenge_of, encode_request, request_purpose
from gateway.core.sessions.pending import SECRET_BYTES, begin_pending, encode_pending
from gateway.core.sessions.seal import NONCE_BYTES
from gateway.oauth.authorization import parameters_of
from gateway.oauth.query import Parameters


class Logins:
    """Draws 256 bits, of which state, nonce and verifier are made; builds the authorization request (R1-R3).

    Args:
        runtime: the configuration.
        authorize: returns where somebody logs in at a provider, by its name, who asks for this; raises
            Fault.
        keep: keeps a page that is too long for a cookie, for an address and for so many seconds; returns its
            reference, empty where it cannot be kept.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        runtime: RuntimeConfig,
        authorize: Callable[[str, Parameters, Callable[[], None]], Awaitable[str]],
        keep: Callable[[str, str, float], Awaitable[str]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._begun: Buckets | None = None
        self.configure(runtime)
        self._authorize = authorize
        self._keep = keep

    def configure(self, runtime: RuntimeConfig) -> None:
        """Go on with this configuration."""
        limit, begun = runtime.login_limit, self._begun
        self._runtime = runtime
        if begun is None or begun.limit != limit:
            self._begun = None if limit is None else Buckets(limit)

    def _admit(self, client: str) -> None:
        """Count one more login of an address that costs the provider a call. Raises Fault: one too many."""
        if self._begun is None:
            return
        key = key_of("address", None, client)
        allowance = self._begun.take(key, int(self._monotonic() * MICROSECONDS))
        if allowance.wait is not None:
            detail = "logins_per_address: too many logins begin at this address"
            raise Fault("client", Reason.RATE_LIMITED, detail, allowance.wait)

    async def start(self, login: Login) -> tuple[str, CookieChange]:
        """Return the authorization URL and the cookie that binds this login to this browser.

        Raises:
            Fault: the provider cannot be asked now.
        """
        runtime = self._runtime
        provider = runtime.providers.get(login.provider)
        if provider is None and not login.by:
            raise Fault("issuer", Reason.ISSUER_MISCONFIGURED, "the provider is no longer configured")
        page = await self._kept(login)
        begun = begin_pending(
            os.urandom(SECRET_BYTES),
            login.provider,
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
        name = pending.state_cookie_name(login.pending_cookie, begun.state)
        seal = Seal(f"login {login.origin}", encode_pending(begun))
        state = pending.state_of(begun, sealed)
        if provider is None or login.by:
            url = self._join(login, state, begun.verifier)
            return url, CookieChange(name, seal, login.max_age_seconds)
        parameters = parameters_of(
            provider.settings,
            redirect_uri=login.redirect_uri,
            state=state,
            nonce=begun.nonce,
            verifier=begun.verifier,
            acr_values=login.acr_values,
            max_age=login.max_age,
            login_hint=login.login_hint,
            other_account=login.other_account,
            extra=login.parameters,
        )
        url = await self._authorize(provider.name, parameters, lambda: self._admit(login.client))
        # a form that the provider's page posts brings no other cookie
        by_form = provider.settings.response_mode == "form_post"
        return url, CookieChange(name, seal, login.max_age_seconds, cross_site=by_form)

    async def _kept(self, login: Login) -> str:
        """Return the page of a login, or the reference to one that is long; empty where it cannot be kept."""
        page = login.return_to
        if len(page) <= pending.MOST_PAGE_IN_STATE:
            return page
        reference = await self._keep(page, login.client, login.max_age_seconds)
        return reference or (page if len(page) <= pending.MOST_INLINE else "")

    def _join(self, login: Login, state: str, verifier: str) -> str:
        """Return where the host is asked that people log in at for every site."""
        request = JoinRequest(
            site=login.origin,
            state=state,
            challenge=challenge_of(verifier),
            at=login.now,
            provider=login.provider,
            admits=login.admits,
            acr_values=login.acr_values,
            max_age=login.max_age,
            login_hint=login.login_hint,
            other_account=login.other_account,
            parameters=login.parameters,
            had=login.had,
        )
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._runtime.ring.seal(request_purpose(login.by), encode_request(request), nonce)
        return f"{login.by}{self._runtime.settings.prefix}{JOIN}?request={sealed}"
