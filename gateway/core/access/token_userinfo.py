"""What UserInfo tells of whoever presents a bearer token, beside what the token says itself.

It fills what a verified token lacks and changes nothing that it says.
"""

from dataclasses import dataclass, field, replace

from gateway.config.settings.providers import EMAIL
from gateway.core.access.credentials import BearerToken, KnownCaller, token_of
from gateway.core.decision.context import Context
from gateway.core.decision.needs import Need, TokenUserInfo
from gateway.core.email import VERIFIED
from gateway.core.headers.lines import Line
from gateway.core.identity import Claims, Identity
from gateway.core.provider import Provider, claims_of
from gateway.core.sessions.claim_sources import NOT_OF_USERINFO
from gateway.core.tokens.introspection import Introspection
from gateway.core.tokens.jws import Parsed
from gateway.core.tokens.keys import KeySet

_NOT_OF_USERINFO = NOT_OF_USERINFO | {"scope", "scp", "client_id", "cnf"}


@dataclass(frozen=True, slots=True)
class _Known(KnownCaller):
    """A caller of whom more was told, and by which keys the token itself was verified."""

    keys: KeySet | None = field(default=None, repr=False)


def known(context: Context, provider: Provider, bearer: BearerToken) -> Identity | None:
    """Return who presents a token, where that was found lately and by the keys of now."""
    found = (bearer.known or {}).get(_name(provider))
    if not isinstance(found, _Known) or not found.holds(context.now):
        return None
    keys = context.knowledge.keys.get(provider.name)
    is_current = keys is found.keys and keys is not None and context.now < keys.stale_after
    return found.identity if is_current and context.now < found.identity.expires_at else None


def with_userinfo(
    context: Context,
    provider: Provider,
    bearer: BearerToken,
    line: Line | None,
    token: Parsed,
    identity: Identity,
) -> Identity | Need:
    """Return whom a verified token names, with what UserInfo tells of them; or the need that asks.

    Args:
        context: of the request.
        provider: whose the token is.
        bearer: the credential, which takes up what was found.
        line: its field, None where that is not remembered.
        token: as read.
        identity: whom it names by itself.
    """
    presented = bearer.token if line is None else token_of(line)
    need = TokenUserInfo(provider.name, presented, identity.expires_at)
    answer = context.knowledge.fact(need, Introspection)
    if answer is None:
        return need
    found = _put_together(provider, identity, token.claims, answer.claims)
    keys = context.knowledge.keys.get(provider.name)
    if line is not None and keys is not None:
        more = _Known(found, answer.asked_at, answer.until, answer.until, keys)
        bearer.known = {**(bearer.known or {}), _name(provider): more}
        context.knowledge.runtime.rules.request_lines.keep_verified(line)
    return found


def _put_together(provider: Provider, identity: Identity, own: Claims, told: Claims | None) -> Identity:
    # an answer about somebody else must not be used (R30)
    if told is None or told.get("sub") != identity.subject:
        return identity
    said = {name: value for name, value in own.items() if value is not None}
    more = {name: value for name, value in told.items() if value is not None and name not in _NOT_OF_USERINFO}
    if said.get(EMAIL, more.get(EMAIL)) != more.get(EMAIL):
        # what was said of one address says nothing of another
        more.pop(VERIFIED, None)
    return replace(identity, claims=claims_of(provider, identity.subject, {**more, **said}))


def _name(provider: Provider) -> str:
    # no provider's name has a space in it
    return f"userinfo {provider.name}"
