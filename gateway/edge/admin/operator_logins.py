"""Operators who log in at a provider: their logins begun and ended, and whether they still may be here.

It runs where the providers' keys and the denylist are. What a login is bound to stays with whoever asks: the
process of the admin listener, which seals it into the operator's browser.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.config.settings.console import ConsoleSettings
from gateway.core.decision.context import Knowledge
from gateway.core.decision.needs import Metadata, RedeemCode, UserInfo
from gateway.core.endpoints.claim_at_fault import tell_clock
from gateway.core.headers.request import Request
from gateway.core.identity import Claims, Identity, Position
from gateway.core.provider import Provider, TokenRefusal, TokenSet, claims_of
from gateway.core.reasons import Reason
from gateway.core.rules.policies import Require, compile_require, judge
from gateway.core.runtime import RuntimeConfig
from gateway.core.sessions.called import called_of
from gateway.core.sessions.overage import is_over
from gateway.core.sessions.record import About, as_session
from gateway.core.tokens import id_token
from gateway.edge.admin.revocation_request import Mandate
from gateway.edge.admin.sessions import Answer
from gateway.edge.providers.providers import Providers
from gateway.edge.providers.verification import verified
from gateway.oauth.authorization import parameters_of
from gateway.syntax.encoding import Json

_OFF: Final = "Operators log in by tokens alone: admin.console.provider is not set."
_MOST_ERROR: Final = 100
_NO_REFRESH: Final = "offline_access"


class _Refusal(Exception):  # noqa: N818 - a verdict about a login, no error of ours
    """Why somebody is no operator: a word of the vocabulary, and what is safe to show."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Terms:
    """By what an operator is one: the provider, what is required, and a digest of all of it."""

    provider: Provider
    require: Require
    digest: str


class OperatorLogins:
    """Answers what the console asks about log-ins at a provider.

    Args:
        providers: are asked.
        knowledge: returns the configuration and the denylist of now.
        clock: seconds since the epoch.
    """

    def __init__(
        self, providers: Providers, knowledge: Callable[[], Knowledge], clock: Callable[[], float]
    ) -> None:
        self._providers = providers
        self._knowledge = knowledge
        self._clock = clock

    async def answer(self, action: str, fields: Mapping[str, str], _mandate: Mandate) -> Answer:
        """Answer ``begin``, ``finish`` or ``holds``.

        ``begin`` tells the ``url`` where a browser logs in, from ``redirect_uri``, ``state``, ``nonce`` and
        ``verifier``. ``finish`` tells the ``person`` of a ``code``; 403 with a reason as ``detail`` where
        they are no operator. ``holds`` answers 200 as long as such a person goes on to be one.

        Raises:
            Fault: the provider cannot be asked, or says nothing of use.
        """
        runtime = self._knowledge().runtime
        terms = _terms_of(runtime)
        if terms is None:
            return Answer(409, detail=_OFF)
        try:
            if action == "begin":
                return Answer(200, {"url": await self._begin(terms, fields)})
            if action == "finish":
                return Answer(200, {"person": await self._finish(terms, fields)})
            if action == "holds":
                self._judge_still(terms, fields)
                return Answer(200, {})
        except _Refusal as refusal:
            detail = f"{refusal.reason}: {refusal}" if str(refusal) else refusal.reason
            return Answer(403, {"reason": refusal.reason}, detail)
        return Answer(400, detail="What may be asked for: begin, finish, holds.")

    async def _begin(self, terms: _Terms, fields: Mapping[str, str]) -> str:
        settings = terms.provider.settings
        parameters = dict(
            parameters_of(
                settings,
                redirect_uri=fields["redirect_uri"],
                state=fields["state"],
                nonce=fields["nonce"],
                verifier=fields["verifier"],
                acr_values=terms.require.acr_values,
                max_age=terms.require.max_age,
            )
        )
        # a form that another site's page posts would bring no cookie, and nothing here is ever refreshed
        parameters.pop("response_mode", None)
        scopes = str(parameters["scope"]).split()
        parameters["scope"] = " ".join(each for each in scopes if each != _NO_REFRESH)
        return await self._providers.authorization_url(terms.provider.name, parameters, lambda: None)

    async def _finish(self, terms: _Terms, fields: Mapping[str, str]) -> dict[str, Json]:
        # before the code is spent
        self._judge_replica()
        provider, issuer = terms.provider, fields.get("iss") or None
        metadata = await self._providers.metadata(Metadata(provider.name))
        # RFC 9207 section 2.4: a promised issuer that is missing is as bad as a wrong one (R6)
        known = (metadata.issuer, *metadata.also_issuers)
        if (issuer is not None and issuer not in known) or (
            issuer is None and metadata.iss_parameter_supported
        ):
            raise _Refusal(Reason.LOGIN_ISSUER_MISMATCH)
        need = RedeemCode(provider.name, fields["code"], fields["verifier"], fields["redirect_uri"])
        tokens = await self._providers.exchange(need)
        if isinstance(tokens, TokenRefusal):
            raise _Refusal(Reason.LOGIN_REFUSED, tokens.error[:_MOST_ERROR])
        claims = await self._claims(provider, tokens, fields["nonce"])
        return self._person(terms, claims, fields)

    async def _claims(self, provider: Provider, tokens: TokenSet, nonce: str) -> Claims:
        """Return what the ID token says, and UserInfo where it is asked. Raises _Refusal, Fault."""
        token, now = tokens.id_token, self._clock()
        if token is None:
            raise _Refusal(Reason.TOKEN_MALFORMED, "no ID token came")
        told = await verified(
            self._providers.keys_for,
            provider.name,
            token,
            lambda keys: id_token.check(
                token, provider, keys, now, nonce=nonce, access_token=tokens.access_token
            ),
        )
        if isinstance(told, Reason):
            raise _Refusal(told, tell_clock(token, told, now) or "")
        groups_of = str(told["sub"]) if is_over(provider, told) else ""
        if not provider.settings.userinfo and not groups_of:
            return told
        more = await self._providers.userinfo(UserInfo(provider.name, tokens.access_token, groups_of))
        # OIDC Core section 5.3.2: a response about somebody else must not be used (R30)
        if more is None or more.get("sub") != told["sub"]:
            raise _Refusal(Reason.TOKEN_CLAIMS, "UserInfo says nothing of this person")
        # what is signed counts
        return {**more, **told}

    def _person(self, terms: _Terms, claims: Claims, fields: Mapping[str, str]) -> dict[str, Json]:
        """Return who has logged in, if that is an operator. Raises _Refusal."""
        provider, now, knowledge = terms.provider, self._clock(), self._knowledge()
        subject, sid = str(claims["sub"]), claims.get("sid")
        sid = sid if isinstance(sid, str) else None
        told = claims_of(provider, subject, claims)
        identity = Identity(
            "session", provider.name, provider.issuer, subject, told, frozenset(), now, now, sid=sid
        )
        began = float(fields["began"])
        position = _position_of(fields)
        if knowledge.denylist.judge_login(provider.issuer, subject, sid, position, began, now):
            raise _Refusal(Reason.REVOKED)
        request = Request(b"GET", b"/", b"", (), "")
        if (reason := judge(identity, request, terms.require, now)) is not None:
            raise _Refusal(reason)
        since = knowledge.denylist.position
        called = called_of(told)
        return {
            "provider": provider.name,
            "issuer": provider.issuer,
            "subject": subject,
            "sid": sid or "",
            "epoch": "" if since is None else since[0],
            "seq": "" if since is None else str(since[1]),
            "since": repr(now),
            "terms": terms.digest,
            "email": called.email if told.get("email_verified") is True else "",
        }

    def _judge_replica(self) -> None:
        """Refuse where the replica cannot tell who was revoked, as the configuration wants it (R44)."""
        knowledge, settings = self._knowledge(), self._knowledge().runtime.settings.denylist
        is_fresh = knowledge.denylist.is_fresh(self._clock(), settings.max_staleness)
        if not is_fresh and settings.when_stale == "refuse":
            raise _Refusal(Reason.DENYLIST_STALE)

    def _judge_still(self, terms: _Terms, fields: Mapping[str, str]) -> None:
        """Judge a person who has logged in by the configuration and the denylist of now. Raises _Refusal."""
        if fields.get("terms") != terms.digest:
            raise _Refusal(Reason.SESSION_ENDED, "the configuration asks for something else now")
        self._judge_replica()
        since = float(fields["since"])
        about = About(
            "", fields["provider"], fields["issuer"], fields["subject"], fields["sid"] or None,
            since, since + 86400.0, "", "", _position_of(fields),
        )  # fmt: skip
        now = self._clock()
        if self._knowledge().denylist.judge_session(as_session(about, since), now):
            raise _Refusal(Reason.REVOKED)


def _position_of(fields: Mapping[str, str]) -> Position | None:
    seq = fields.get("seq", "")
    return (fields.get("epoch", ""), int(seq)) if seq else None


def _terms_of(runtime: RuntimeConfig) -> _Terms | None:
    """Return by what an operator is one, None where nobody logs in at a provider."""
    settings = runtime.settings
    console: ConsoleSettings | None = settings.admin.console
    if console is None or console.provider is None or console.require is None:
        return None
    provider = runtime.providers.get(console.provider)
    if provider is None or not provider.has_id_tokens:
        return None
    require = compile_require(
        console.require, settings.groups_claim, settings.roles_claim, policies=settings.policies
    )
    judged: list[Any] = [
        console.provider,
        console.require,
        provider.issuer,
        provider.client_id,
        settings.policies,
        settings.groups_claim,
        settings.roles_claim,
    ]
    return _Terms(provider, require, hashlib.sha256(repr(judged).encode()).hexdigest())
