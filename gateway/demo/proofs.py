"""How clients have the demo provider bind a token to their key (RFC 9449 section 5)."""

import json
from collections.abc import Callable
from typing import Any, Final

import jwt
from aiohttp import web
from jwt.algorithms import get_default_algorithms

from gateway.core.tokens.client_keys import thumbprint
from gateway.demo.grants import Bounded, OAuthError

ALGORITHMS: Final = ("ES256", "EdDSA")
_MEMBERS: Final = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
_MOST_AGE: Final = 60.0


class Proofs:
    """The proofs that have been seen. ``clock`` is wall time in epoch seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: Bounded[bool] = Bounded()

    def key_of(self, request: web.Request, url: str) -> str:
        """Return the thumbprint of the key that a token is to be bound to, empty where to none.

        Args:
            request: to the token endpoint.
            url: of that endpoint.

        Raises:
            OAuthError: ``invalid_dpop_proof``.
        """
        proofs = request.headers.getall("DPoP", [])
        if not proofs:
            return ""
        if len(proofs) > 1:
            raise _invalid("one proof, and no more")
        header, claims = _read(proofs[0])
        if claims.get("htm") != request.method or claims.get("htu") != url:
            raise _invalid("htm and htu are of this request")
        issued, jti = claims.get("iat"), claims.get("jti")
        if not isinstance(issued, int) or abs(self._clock() - issued) > _MOST_AGE:
            raise _invalid("iat is missing, or too far away")
        if not isinstance(jti, str) or not jti or jti in self._seen:
            raise _invalid("jti is missing, or was used before")
        self._seen[jti] = True
        jwk = header["jwk"]
        return thumbprint({name: jwk[name] for name in _MEMBERS[jwk["kty"]]})


def _read(proof: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        header = jwt.get_unverified_header(proof)
        jwk, alg = header.get("jwk"), header.get("alg")
        if header.get("typ") != "dpop+jwt" or alg not in ALGORITHMS or not isinstance(jwk, dict):
            raise _invalid("typ, alg and jwk of the header")
        if jwk.get("kty") not in _MEMBERS or "d" in jwk:
            raise _invalid("jwk is a public key of an elliptic curve")
        key = get_default_algorithms()[alg].from_jwk(json.dumps(jwk))
        options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}
        claims = jwt.decode(proof, key, algorithms=[alg], options=options)  # type: ignore[arg-type]
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise _invalid(f"no proof: {type(error).__name__}") from None
    return header, claims


def _invalid(why: str) -> OAuthError:
    return OAuthError("invalid_dpop_proof", why)
