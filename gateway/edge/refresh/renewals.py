"""What comes of a token call: new tokens verified, claims gathered, the new session sealed."""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.core.decision.needs import KeepHint, Keys, UserInfo
from gateway.core.endpoints import id_token_hint
from gateway.core.fault import Ambiguous, Fault, NeverSent
from gateway.core.identity import Claims
from gateway.core.provider import Provider, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.core.runtime import RuntimeConfig
from gateway.core.sessions import claim_sources, overage, renewal
from gateway.core.sessions.model import Grant, RefreshOutcome, Renewed, Session, SessionOver
from gateway.core.sessions.record import HANDLE_BYTES
from gateway.core.sessions.seal import NONCE_BYTES, KeyRing
from gateway.core.tokens import id_token
from gateway.core.tokens.jws import UnknownKey
from gateway.core.tokens.keys import KeySet
from gateway.edge.providers.faults import unavailable
from gateway.edge.providers.verification import verified
from gateway.edge.refresh.outcomes import Refusal, Success
from gateway.syntax.encoding import Json, encode_base64url


class TokenSource(Protocol):
    """What a refresh asks of the provider."""

    async def refresh_call(self, provider: str, refresh_token: str) -> TokenSet | TokenRefusal:
        """Call the token endpoint once. Raises Fault, NeverSent, Ambiguous."""

    def rests(self, provider: str, refresh_token: str) -> float:
        """Return for how many seconds a call would be refused, after failures."""

    async def keys_for(self, need: Keys) -> KeySet:
        """Return the key set. Raises Fault."""

    async def refreshed_userinfo(self, need: UserInfo) -> dict[str, Json] | None:
        """Return the UserInfo response, or None. Raises Fault."""


class Renewals:
    """Makes token calls, and new sessions of their answers.

    Args:
        tokens: asks the provider.
        clock: wall time in epoch seconds.
        on_event: takes ``refresh`` and ``refresh_failed``.
        keep_hint: keeps an ID token for the provider's logout.
    """

    def __init__(
        self,
        tokens: TokenSource,
        clock: Callable[[], float],
        on_event: Callable[..., None],
        keep_hint: Callable[[KeepHint], None],
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._on_event = on_event
        self._keep_hint = keep_hint

    async def call(self, provider: Provider, refresh_token: str, left: float) -> TokenSet | TokenRefusal:
        """Make the call while ``left`` seconds of the time for all tries are left.

        Raises:
            NeverSent, Ambiguous, Fault: as ``TokenSource.refresh_call``.
        """
        timeout = provider.settings.timeout
        if left < timeout / 10:
            raise unavailable(NeverSent, "no time is left for another try")
        try:
            # a little more, so that the call itself can tell whether anything was sent
            async with asyncio.timeout(left + timeout / 10):
                return await self._tokens.refresh_call(provider.name, refresh_token)
        except TimeoutError:
            detail = "the token endpoint did not answer before the time for all tries was over"
            raise unavailable(Ambiguous, detail) from None

    async def renew(
        self,
        runtime: RuntimeConfig,
        ring: KeyRing,
        session: Session,
        grant: Grant,
        rotation_id: str,
        tokens: TokenSet | TokenRefusal,
    ) -> Success | Refusal:
        """Return what the provider's answer makes of a session, sealed under ``ring`` and its old token."""
        provider = runtime.providers[session.provider]
        if isinstance(tokens, TokenRefusal):
            return Refusal(tokens.error)
        id_claims = await self._id_claims(provider, tokens)
        userinfo = await self._more(provider, session, tokens, id_claims)
        if isinstance(id_claims, Reason):
            outcome: RefreshOutcome = SessionOver(id_claims)
        elif isinstance(userinfo, Reason):
            outcome = SessionOver(userinfo)
        else:
            handle = encode_base64url(os.urandom(HANDLE_BYTES)) if grant.handle else ""
            outcome = renewal.renew(
                provider, session, grant, rotation_id, tokens, id_claims, userinfo, self._clock(), handle
            )
        over = outcome.reason if isinstance(outcome, SessionOver) else None
        if over is None and isinstance(id_claims, Mapping) and tokens.id_token is not None:
            for hint in id_token_hint.renewed(provider, session, tokens.id_token):
                self._keep_hint(hint)
        self._on_event(
            "refresh_failed" if over else "refresh",
            reason=over,
            issuer=session.issuer,
            subject=session.subject,
            session=session.session_id,
            generation=outcome.session.generation if isinstance(outcome, Renewed) else None,
            detail=(outcome.detail or None) if isinstance(outcome, SessionOver) else None,
        )
        sealed = ring.seal_under(
            renewal.seal_secret(grant),
            renewal.RESULT_PURPOSE,
            renewal.encode_outcome(outcome),
            os.urandom(NONCE_BYTES),
        )
        return Success(sealed.encode())

    async def _id_claims(self, provider: Provider, tokens: TokenSet) -> Claims | Reason | None:
        if tokens.id_token is None:
            return None
        token, access_token = tokens.id_token, tokens.access_token

        def check(keys: KeySet) -> Claims | UnknownKey | Reason:
            return id_token.check(token, provider, keys, self._clock(), nonce=None, access_token=access_token)

        # the rotation has happened: losing it for want of a key would log somebody out, so without one the
        # claims that were verified before stay
        try:
            claims = await verified(self._tokens.keys_for, provider.name, token, check)
        except Fault:
            return None
        return None if claims is Reason.TOKEN_KEY_UNKNOWN else claims

    async def _more(
        self, provider: Provider, session: Session, tokens: TokenSet, id_claims: Claims | Reason | None
    ) -> Claims | Reason | None:
        """Return what is told of a person beside an ID token, None for nothing, or why it is over."""
        if isinstance(id_claims, Reason):
            return None
        if tokens.user is not None:
            return tokens.user
        groups_of = overage.groups_of(provider, session, id_claims)
        if not groups_of and not claim_sources.needs_userinfo(provider, session, id_claims):
            return overage.nothing_more(provider, session, id_claims)
        try:
            told = await self._tokens.refreshed_userinfo(
                UserInfo(provider.name, tokens.access_token, groups_of)
            )
        except Fault:
            return None
        if told is None and not provider.has_id_tokens:
            # who is no longer anybody there, with tokens that were given this moment, is nobody here
            return Reason.SESSION_ENDED
        return told
