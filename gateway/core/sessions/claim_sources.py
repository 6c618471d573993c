"""Whose word each claim of a session is, and what a renewal makes of it (R68).

A session keeps claims of several sources: the ID token, UserInfo, and an access token that is a JWT. A
renewal hears some of them again. What those told before is replaced as a whole: what such a source leaves
out now is gone, unless another that was heard in the same renewal tells it. Claims of a source that was not
heard are kept, and age. How somebody authenticated is the ID token's word alone.

Values of the access token are not kept: they are read from the token itself, which each request verifies.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.config.settings.providers import EMAIL
from gateway.core.claim_mapping import cut
from gateway.core.email import VERIFIED
from gateway.core.identity import Claims
from gateway.core.provider import Provider, TokenSet
from gateway.core.sessions.model import Session, Source, Told
from gateway.core.tokens.jws import Parsed, read
from gateway.syntax.encoding import Json

AUTHENTICATION = frozenset({"acr", "amr", "auth_time"})
"""How somebody authenticated (OpenID Connect Core section 2): of the ID token alone."""

MOST_ACCESS_TOKEN = 131_072
# whose word it all is, and of which login, no other source may say either: upstreams tell issuers apart by it
_OF_ID_TOKEN = AUTHENTICATION | {"iss", "sid"}
_BOUND = AUTHENTICATION | {"iss", "sub", "sid"}
_PROTOCOL_CLAIMS = frozenset(
    {"nonce", "at_hash", "c_hash", "s_hash", "iat", "exp", "nbf", "jti", "azp", "aud"}
)
NOT_OF_USERINFO = _PROTOCOL_CLAIMS | _OF_ID_TOKEN
"""What UserInfo has no word in."""
# of what was told in one renewal, later ones win
_ORDER: tuple[Source, ...] = ("id_token", "userinfo")

Heard = Mapping[Source, Claims]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a session keeps of what it was told: the members of the same names in ``Session``."""

    claims: dict[str, Json]
    told: dict[Source, Told]
    claims_at: float


def listen(
    provider: Provider, tokens: TokenSet, id_claims: Claims | None, userinfo: Claims | None
) -> dict[Source, Claims]:
    """Return what each source told that was heard; None is a source that was not."""
    heard: dict[Source, Claims] = {}
    if id_claims is not None:
        heard["id_token"] = id_claims
    if userinfo is not None:
        heard["userinfo"] = userinfo
    if provider.settings.access_token == "jwt":  # noqa: S105 - a kind of token
        parsed = read(tokens.access_token, MOST_ACCESS_TOKEN)
        # read for its names alone; whoever uses its values verifies it
        heard["access_token"] = parsed.claims if isinstance(parsed, Parsed) else {}
    return heard


def begin(provider: Provider, heard: Heard, now: float) -> Kept:
    """Return what a session keeps that begins at ``now`` (epoch seconds)."""
    return _put_together(provider, {}, {}, heard, now)


def renew(provider: Provider, session: Session, heard: Heard, now: float) -> Kept:
    """Return what a session keeps once these sources were heard again."""
    return _put_together(provider, session.claims, _before(provider, session), heard, now)


def needs_userinfo(provider: Provider, session: Session, id_claims: Claims | None) -> bool:
    """Tell whether UserInfo must be heard in a renewal: the ID token lacks something that it had told."""
    if not provider.has_id_tokens:
        return True
    if not provider.settings.userinfo:
        return False
    before = session.told.get("userinfo")
    return before is None or not before.names <= (id_claims or {}).keys()


def told_at(session: Session) -> float:
    """Return when the oldest claim of a session was told that can be taken away, in epoch seconds."""
    return session.renewed_at if session.claims_at is None else session.claims_at


def _before(provider: Provider, session: Session) -> Mapping[Source, Told]:
    if session.told:
        return session.told
    # a session of a version that did not tell sources apart: each claim may be either's word
    told = Told(told_at(session), frozenset(session.claims))
    is_asked = provider.settings.userinfo
    return {"id_token": told, "userinfo": told} if is_asked else {"id_token": told}


def _put_together(
    provider: Provider, kept: Claims, before: Mapping[Source, Told], heard: Heard, now: float
) -> Kept:
    told_now = {source: _selected(provider, source, claims) for source, claims in heard.items()}
    gone = {name for source in told_now if source in before for name in before[source].names}
    gone |= {name for claims in told_now.values() for name in claims}
    claims = {name: value for name, value in kept.items() if name not in gone}
    for source in _ORDER:
        each = told_now.get(source, {})
        # what was said of one address says nothing of another
        if each.get(EMAIL, claims.get(EMAIL)) != claims.get(EMAIL):
            claims.pop(VERIFIED, None)
        claims.update(each)
    told = dict(before)
    told.update((source, Told(now, frozenset(claims))) for source, claims in told_now.items())
    return Kept(claims, told, min(_ages(claims, told.values()), default=now))


def _selected(provider: Provider, source: Source, claims: Claims) -> dict[str, Json]:
    left_out = _PROTOCOL_CLAIMS if source == "id_token" else NOT_OF_USERINFO
    return {
        name: cut(value, provider.shapes.get(name))
        for name, value in claims.items()
        # null tells nothing
        if value is not None and name in provider.kept_claims and name not in left_out
    }


def _ages(claims: Iterable[str], told: Iterable[Told]) -> Iterable[float]:
    sources = tuple(told)
    for name in claims:
        if name not in _BOUND:
            yield max((each.at for each in sources if name in each.names), default=0.0)
