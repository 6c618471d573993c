"""The tokens that the demo provider issues, and what its fault switches make of them."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from gateway.demo.faults import Quirks
from gateway.demo.grants import Family
from gateway.demo.keys import SigningKeys, spoil_signature
from gateway.syntax.encoding import encode_base64url

ID_TOKEN_LIFETIME = 300
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_ELSEWHERE = "https://somewhere-else.example"

# claims that a scope asks for (OIDC Core section 5.4); whatever else an account holds needs none
_SCOPE_OF = {"email": "email", "email_verified": "email", "name": "profile", "preferred_username": "profile"}
_PRIVATE = frozenset(("password", "acr"))


def number(value: float) -> float:
    """Return whole numbers as int, so that they read as such in JSON."""
    return int(value) if value == int(value) else value


class TokenFactory:
    """Builds and signs every kind of token. ``issuer`` is asked at each call: a switch may change it."""

    def __init__(
        self,
        keys: SigningKeys,
        issuer: Callable[[], str],
        client_id: str,
        audience: str,
        clock: Callable[[], float],
        quirks: Quirks,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._client_id = client_id
        self._audience = audience
        self._clock = clock
        self._quirks = quirks
        self.accounts: dict[str, dict[str, Any]] = {}

    def profile(self, user: str, scopes: tuple[str, ...] | None = None) -> dict[str, Any]:
        """Return what is known of somebody, as far as ``scopes`` ask for it; all of it without."""
        account = self.accounts.get(user, {})
        claims = {name: value for name, value in account.items() if name not in _PRIVATE}
        if "email" in claims:
            claims.setdefault("email_verified", True)
        claims.setdefault("preferred_username", user)
        return {
            name: value
            for name, value in claims.items()
            if scopes is None or _SCOPE_OF.get(name) is None or _SCOPE_OF[name] in scopes
        }

    def access_token(
        self, user: str, scope: str, audience: str | None, lifetime: float, jti: str | None, **more: object
    ) -> str:
        """Return a JWT access token (RFC 9068); ``more`` adds and overrides claims."""
        now = int(self._clock())
        claims = {
            "iss": self._issuer(),
            "sub": user,
            "aud": self._audience if audience is None else audience,
            "exp": number(now + lifetime),
            "iat": now,
            "jti": secrets.token_urlsafe(16) if jti is None else jti,
            "client_id": self._client_id,
            "scope": scope,
            **(self.profile(user) if user in self.accounts else {}),
            **more,
        }
        kind = "JWT" if "access-token-typ-jwt" in self._quirks else "at+jwt"
        return self._keys.sign(claims, {"typ": kind})

    def id_token(
        self, family: Family, access_token: str, *, nonce: str | None = None, at_refresh: bool = False
    ) -> str:
        """Return the ID token of a login (OIDC Core section 2), or of a refresh (section 12.2)."""
        now, quirks = int(self._clock()), self._quirks
        hashed = access_token + "x" if "invalid-athash" in quirks else access_token
        claims: dict[str, Any] = {
            "iss": self._issuer(),
            "sub": family.user,
            "aud": family.client_id or self._client_id,
            "exp": now + ID_TOKEN_LIFETIME,
            "iat": now,
            "auth_time": family.auth_time,
            "sid": family.sid,
            "acr": family.acr,
            "amr": list(family.amr),
            "at_hash": encode_base64url(hashlib.sha256(hashed.encode()).digest()[:16]),
            **self.profile(family.user, family.scopes),
        }
        if "groups-overage" in quirks:
            # as Entra ID: a distributed claim, with an address that nobody should follow
            claims.pop("groups", None)
            claims["_claim_names"] = {"groups": "src1"}
            endpoint = f"{_ELSEWHERE}/users/{family.user}/getMemberObjects"
            claims["_claim_sources"] = {"src1": {"endpoint": endpoint}}
        if nonce is not None:
            claims["nonce"] = nonce + "-other" if "nonce-invalid" in quirks else nonce
        if "no-auth-time" in quirks:
            del claims["auth_time"]
        if "invalid-iss" in quirks or (at_refresh and "refresh-invalid-issuer" in quirks):
            claims["iss"] = _ELSEWHERE
        if at_refresh and "refresh-invalid-sub" in quirks:
            claims["sub"] = f"{family.user}-other"
        if "invalid-aud" in quirks:
            claims["aud"] = f"{self._client_id}-other"
        for name in ("sub", "aud", "iat"):
            if f"missing-{name}" in quirks:
                del claims[name]
        return self._sign_id_token(claims)

    def _sign_id_token(self, claims: Mapping[str, Any]) -> str:
        quirks = self._quirks
        if "signing-key-rotation-just-before-signing" in quirks:
            self._keys.rotate(overlap=False)
        if "idtoken-sig-none" in quirks:
            return self._keys.sign(claims, {"kid": None}, "none")
        for alg in ("RS256", "ES256", "HS256"):
            if f"invalid-sig-{alg.lower()}" in quirks:
                return spoil_signature(self._keys.sign(claims, None, alg))
        nameless = "kid-absent-single-jwks" in quirks or "kid-absent-multiple-jwks" in quirks
        return self._keys.sign(claims, {"kid": None} if nameless else None)

    def logout_token(self, sub: str | None, sid: str | None, **more: object) -> str:
        """Return a logout token (OIDC Back-Channel Logout section 2.4); ``more`` adds and overrides."""
        now, quirks = int(self._clock()), self._quirks
        claims: dict[str, Any] = {
            "iss": _ELSEWHERE if "backchannel-wrong-iss" in quirks else self._issuer(),
            "aud": f"{self._client_id}-other" if "backchannel-wrong-aud" in quirks else self._client_id,
            "iat": now,
            "exp": now + 120,
            "jti": secrets.token_urlsafe(16),
            "events": {LOGOUT_EVENT: {}},
            **({"sub": sub} if sub is not None else {}),
            **({"sid": sid} if sid is not None else {}),
        }
        if "backchannel-no-event" in quirks:
            del claims["events"]
        if "backchannel-wrong-event" in quirks:
            claims["events"] = {"http://schemas.openid.net/event/something-else": {}}
        if "backchannel-with-nonce" in quirks:
            claims["nonce"] = "nonce"
        claims |= more
        if "backchannel-alg-none" in quirks:
            return self._keys.sign(claims, {"typ": "logout+jwt", "kid": None}, "none")
        alg = "HS256" if "backchannel-wrong-alg" in quirks else "RS256"
        return self._keys.sign(claims, {"typ": "logout+jwt"}, alg)
