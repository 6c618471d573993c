"""What the demo provider remembers: logins under way, authorization codes, refresh token families."""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gateway.syntax.encoding import encode_base64url

Value = TypeVar("Value")

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
GRANTS = ("authorization_code", "refresh_token", "client_credentials", EXCHANGE)
CODE_LIFETIME = 60.0
LOGIN_LIFETIME = 600.0
PUSHED_LIFETIME = 60.0
REFRESH_LIFETIME = 30 * 86400.0
REUSE_LEEWAY = 10.0
_MOST = 10_000


class OAuthError(Exception):
    """An error response of RFC 6749 section 5.2, or of section 4.1.2.1 where it goes by redirect."""

    def __init__(self, error: str, description: str = "", status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


class Fields(dict[str, str]):
    """Parameters by name; ``resources`` are all values of ``resource``, which may come often (RFC 8707)."""

    resources: tuple[str, ...] = ()


class Bounded(OrderedDict[str, Value], Generic[Value]):
    """A mapping that forgets its oldest entry rather than grow beyond its bound."""

    def __setitem__(self, key: str, value: Value) -> None:
        super().__setitem__(key, value)
        while len(self) > _MOST:
            self.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Ask:
    """An authorization request that passed its checks and waits for somebody to log in."""

    redirect_uri: str
    state: str
    nonce: str | None
    scopes: tuple[str, ...]
    challenge: str
    acr_values: tuple[str, ...]
    login_hint: str
    expires: float
    form_post: bool = False
    service: str = ""
    prompt: str = ""
    resources: tuple[str, ...] = ()
    client_id: str = ""


@dataclass(slots=True)
class Family:
    """One login and all tokens that came of it. Times are epoch seconds.

    ``client_id`` is whose it is where the client has registered itself, empty for the provider's own.
    ``key`` is the thumbprint of the key that its tokens are bound to, if they are.
    """

    sid: str
    user: str
    scopes: tuple[str, ...]
    auth_time: int
    acr: str
    amr: tuple[str, ...]
    resources: tuple[str, ...] = ()
    alive: bool = True
    current: str = ""
    previous: str = ""
    rotated_at: float = 0.0
    answer: dict[str, Any] = field(default_factory=dict)
    client_id: str = ""
    key: str = ""


@dataclass(slots=True)
class Code:
    """An authorization code, bound to what it was asked with (RFC 6749 section 4.1.2, RFC 7636)."""

    family: Family
    redirect_uri: str
    challenge: str
    nonce: str | None
    expires: float
    spent: bool = False


class Grants:
    """The provider's memory. ``clock`` is wall time in epoch seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.asks: Bounded[Ask] = Bounded()
        self.families: Bounded[Family] = Bounded()
        self.revoked_jti: Bounded[bool] = Bounded()
        # what was pushed, by its reference, and until when it may be used
        self.pushed: Bounded[tuple[Fields, float]] = Bounded()
        self.opaque: Bounded[str] = Bounded()
        self._codes: Bounded[Code] = Bounded()
        self._refresh_tokens: Bounded[Family] = Bounded()

    def remember(self, ask: Ask) -> str:
        """Return the name under which ``ask`` waits for its login."""
        name = secrets.token_urlsafe(24)
        self.asks[name] = ask
        return name

    def find_ask(self, name: str) -> Ask | None:
        """Return a waiting authorization request that has not expired."""
        ask = self.asks.get(name)
        return ask if ask is not None and self._clock() < ask.expires else None

    def begin(self, user: str, ask: Ask, acr: str, amr: tuple[str, ...]) -> str:
        """Begin a family for who has just logged in, and return its authorization code."""
        now = self._clock()
        family = Family(secrets.token_urlsafe(16), user, ask.scopes, int(now), acr, amr, ask.resources)
        family.client_id = ask.client_id
        self.families[family.sid] = family
        code = secrets.token_urlsafe(32)
        self._codes[code] = Code(family, ask.redirect_uri, ask.challenge, ask.nonce, now + CODE_LIFETIME)
        return code

    def redeem(self, code: str, redirect_uri: str, verifier: str) -> Code:
        """Spend an authorization code.

        Raises:
            OAuthError: ``invalid_grant``. A code used twice also ends what came of its first use.
        """
        found = self._codes.get(code)
        if found is None or self._clock() >= found.expires:
            raise OAuthError("invalid_grant", "the code is unknown or has expired")
        if found.spent:
            found.family.alive = False
            raise OAuthError("invalid_grant", "the code has been used before")
        found.spent = True
        if not hmac.compare_digest(redirect_uri.encode(), found.redirect_uri.encode()):
            raise OAuthError("invalid_grant", "redirect_uri is not the one of the authorization request")
        challenge = encode_base64url(hashlib.sha256(verifier.encode()).digest())
        if not hmac.compare_digest(challenge, found.challenge):
            raise OAuthError("invalid_grant", "code_verifier does not match code_challenge")
        return found

    def hide(self, access_token: str) -> str:
        """Return an opaque token that stands for a JWT."""
        opaque = secrets.token_urlsafe(32)
        self.opaque[opaque] = access_token
        return opaque

    def issue_refresh_token(self, family: Family) -> str:
        """Return a new refresh token of the family; the one before it is spent from now on."""
        token = secrets.token_urlsafe(32)
        family.previous, family.current = family.current, token
        family.rotated_at = self._clock()
        self._refresh_tokens[token] = family
        return token

    def family_of(self, refresh_token: str) -> Family | None:
        """Return the family that a refresh token was ever issued to."""
        return self._refresh_tokens.get(refresh_token)

    def present(self, refresh_token: str, *, leeway: bool) -> Family | dict[str, Any]:
        """Judge a refresh token that a client presents.

        Returns:
            The living family whose current token it is; or, with ``leeway`` and within its seconds, the
            answer that the last token has already been given.

        Raises:
            OAuthError: ``invalid_grant``. A token that was rotated before ends its family (RFC 9700 section
                4.14.2).
        """
        family = self.family_of(refresh_token)
        now = self._clock()
        if family is None or not family.alive or now - family.rotated_at > REFRESH_LIFETIME:
            raise OAuthError("invalid_grant", "the refresh token is unknown, expired or revoked")
        if hmac.compare_digest(refresh_token, family.current):
            return family
        if leeway and refresh_token == family.previous and now - family.rotated_at <= REUSE_LEEWAY:
            return family.answer
        family.alive = False
        raise OAuthError("invalid_grant", "the refresh token was used before; the login is ended")

    def is_alive(self, sid: object) -> bool:
        """Tell whether a token's login has not been ended; a token without one stands for itself."""
        family = self.families.get(str(sid))
        return sid is None or (family is not None and family.alive)

    def revoke_all(self) -> None:
        """End every login."""
        for family in self.families.values():
            family.alive = False
