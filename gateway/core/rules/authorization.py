"""The Authorization field that an upstream gets, as rules."""

import base64
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from gateway.config.settings.authorization import AuthorizationSettings
from gateway.config.settings.routes import RouteSettings
from gateway.core.email import is_doubtful
from gateway.core.identity import Identity, find_claim

NAME: Final = b"Authorization"


@dataclass(frozen=True, slots=True)
class Basic:
    """Basic credentials of claims (RFC 7617). ``password`` is everybody's, None where a claim tells it."""

    username: str
    password: str | None = field(repr=False)
    password_claim: str = ""

    def value_of(self, identity: Identity, *, tells_unverified: bool) -> bytes | None:
        """Return the field's value, None where a claim is absent or cannot be part of it.

        A colon would end the user name early, and a control character has no place (section 2). An address
        that the provider calls unverified could be anybody's (R80).
        """
        username = _text_of(identity, self.username, tells_unverified=tells_unverified)
        password = self.password
        if password is None:
            password = _text_of(identity, self.password_claim, tells_unverified=tells_unverified)
        if username is None or password is None or ":" in username:
            return None
        return b"Basic " + base64.b64encode(f"{username}:{password}".encode())


@dataclass(frozen=True, slots=True)
class Target:
    """For whom a token is exchanged (RFC 8693 section 2.1); ``audience`` and ``resource`` may be empty."""

    audience: str
    resource: str
    scopes: tuple[str, ...]


Authorization: TypeAlias = Literal["access_token"] | Basic | Target
"""The caller's own access token, Basic credentials, or a token that is exchanged for it."""


def _text_of(identity: Identity, name: str, *, tells_unverified: bool) -> str | None:
    """Return a claim that is a text, or a whole number, and can be encoded; else None."""
    if name in ("sub", "iss"):
        return identity.subject if name == "sub" else identity.issuer
    claim = find_claim(identity.claims, name)
    if isinstance(claim, int) and not isinstance(claim, bool):
        claim = str(claim)
    if not isinstance(claim, str) or not claim or not claim.isprintable():
        return None
    return claim if tells_unverified or not is_doubtful(identity.claims, name) else None


def compile_authorization(route: RouteSettings) -> Authorization | None:
    """Compile what is made of a caller; None where nothing is."""
    found = route.authorization
    if found == "access_token":
        return "access_token"
    if not isinstance(found, AuthorizationSettings):
        return None
    if found.basic is not None:
        basic = found.basic
        password = None if basic.password is None else basic.password.get_secret_value()
        return Basic(basic.username, password, basic.password_claim or "")
    if found.exchange is not None:
        exchange = found.exchange
        return Target(exchange.audience or "", exchange.resource or "", exchange.scopes)
    return None


def claims_of(route: RouteSettings) -> tuple[str, ...]:
    """Return the claims that credentials are made of."""
    found = compile_authorization(route)
    return tuple(filter(None, (found.username, found.password_claim))) if isinstance(found, Basic) else ()


def needs_access_token(route: RouteSettings) -> bool:
    """Tell whether a session has to keep its access token for this route."""
    found = compile_authorization(route)
    return found == "access_token" or isinstance(found, Target)
