"""How the demo provider knows its client: by secret, by signature (RFC 7523) or by certificate (RFC 8705)."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import unquote_plus

import aiohttp
import jwt
from aiohttp import web
from cryptography import x509

from gateway.demo.grants import Bounded, OAuthError
from gateway.syntax.encoding import encode_base64url

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ("RS256", "PS256", "RS384", "PS384", "RS512", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_LONGEST: Final = 300.0
_MOST_KEYS: Final = 65_536
_PATIENCE: Final = 5.0


@dataclass(slots=True)
class Registration:
    """What the client is registered with.

    Attributes:
        auth: how it authenticates: by its secret in either form, or by nothing else than what is said here.
        jwks_uri: where its keys are; they are fetched again when one is unknown.
        audience: whom an assertion has to name, and nobody else: the issuer, or the URL that is called.
        subject_dn: the subject of its certificate as RFC 4514 writes it.
        keys: by their ids, as they were fetched last; ``looks`` counts how often.
        seen: the ``jti`` of every assertion that was taken.
        headers: of the last of them.
        resources: what access tokens may be asked for (RFC 8707), beside the usual audience.
    """

    auth: Literal["client_secret", "private_key_jwt", "tls_client_auth"] = "client_secret"
    jwks_uri: str = ""
    audience: Literal["issuer", "endpoint"] = "issuer"
    subject_dn: str = ""
    resources: frozenset[str] = frozenset()
    keys: dict[str, jwt.PyJWK] = field(default_factory=dict)
    seen: Bounded[bool] = field(default_factory=Bounded)
    looks: int = 0
    headers: list[dict[str, Any]] = field(default_factory=list)


def refused(why: str) -> OAuthError:
    """Return what a client gets that is not known."""
    return OAuthError("invalid_client", why, 401)


def authenticate_by_secret(
    request: web.Request, fields: Mapping[str, str], client_id: str, secret: str
) -> None:
    """Check the client by client_secret_basic or client_secret_post (RFC 6749 section 2.3.1).

    Raises:
        OAuthError: ``invalid_client``; ``invalid_request`` when it authenticates twice.
    """
    header = request.headers.get("Authorization")
    if header is not None and "client_secret" in fields:
        raise OAuthError("invalid_request", "the client authenticates twice")
    if header is None:
        pair = fields.get("client_id", ""), fields.get("client_secret", "")
    else:
        pair = _basic(header)
    good = [
        hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())
        for given, right in zip(pair, (client_id, secret), strict=True)
    ]
    if not all(good):
        raise refused("unknown client, or its secret is wrong")


def basic_user(request: web.Request) -> str | None:
    """Return the client that an Authorization field names, None without one."""
    header = request.headers.get("Authorization")
    return None if header is None else _basic(header)[0]


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    user, _, password = decoded.partition(":")
    # both halves are form-encoded before they are joined
    return (unquote_plus(user), unquote_plus(password)) if scheme.lower() == "basic" else ("", "")


async def authenticate_by_signature(
    client: Registration, fields: Mapping[str, str], client_id: str, audience: str, now: float
) -> None:
    """Check a ``client_assertion`` (RFC 7523 section 3): signed, for us alone, in time, and new.

    Raises:
        OAuthError: ``invalid_client``.
    """
    if fields.get("client_assertion_type") != ASSERTION_TYPE or "client_secret" in fields:
        raise refused("this client authenticates by client_assertion")
    assertion = fields.get("client_assertion", "")
    key = await _find(client, assertion)
    try:
        claims = jwt.decode(
            assertion,
            key,
            algorithms=list(ALGORITHMS),
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False},
        )
    except (jwt.InvalidTokenError, ValueError) as error:
        raise refused(f"the assertion is no good: {type(error).__name__}") from None
    if (
        not claims.get("iss") == claims.get("sub") == client_id
        or fields.get("client_id", client_id) != client_id
    ):
        raise refused("iss, sub and client_id are this client")
    if claims.get("aud") not in (audience, [audience]):
        raise refused("aud is this server, as the registration has it, and nobody else")
    _judge_times(claims, now)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti or jti in client.seen:
        raise refused("jti is missing, or was used before")
    client.seen[jti] = True


def _judge_times(claims: Mapping[str, Any], now: float) -> None:
    expires, issued = claims.get("exp"), claims.get("iat")
    if not isinstance(expires, int) or not now < expires <= now + _LONGEST:
        raise refused("exp is over, or too far away")
    if not isinstance(issued, int) or issued > now + 1:
        raise refused("iat is missing, or in the future")


async def _find(client: Registration, assertion: str) -> jwt.PyJWK:
    try:
        header = jwt.get_unverified_header(assertion)
    except jwt.InvalidTokenError:
        raise refused("the assertion is no JWT") from None
    kid = str(header.get("kid", ""))
    if kid not in client.keys:
        client.looks += 1
        client.keys = await _fetch(client.jwks_uri)
    if kid not in client.keys:
        raise refused("the client publishes no key of this id")
    key = client.keys[kid]
    # the key says how it signs: whoever chooses the algorithm of a forgery must not
    if header.get("alg") != key.algorithm_name:
        raise refused("alg is not the key's")
    client.headers = [*client.headers[-9:], header]
    return key


async def _fetch(uri: str) -> dict[str, jwt.PyJWK]:
    """Fetch the client's keys as any provider would: no redirects, no cookies, public members alone."""
    try:
        async with (
            asyncio.timeout(_PATIENCE),
            aiohttp.ClientSession(trust_env=False) as session,
            session.get(uri, allow_redirects=False) as answer,
        ):
            if answer.status != 200 or answer.content_type not in (
                "application/json",
                "application/jwk-set+json",
            ):
                raise refused(f"the client's jwks_uri answered {answer.status} {answer.content_type}")
            body = await answer.content.read(_MOST_KEYS)
        document = json.loads(body)
        found = jwt.PyJWKSet.from_dict(document if isinstance(document, dict) else {}).keys
    except (aiohttp.ClientError, TimeoutError, jwt.PyJWTError, ValueError) as error:
        raise refused(f"the client's keys cannot be had: {type(error).__name__}") from None
    if b'"d"' in body:
        raise refused("the client publishes a private key")
    return {str(key.key_id): key for key in found if key.public_key_use == "sig"}


def certificate_of(request: web.Request) -> bytes | None:
    """Return the certificate that was shown on this connection and verified, as DER; None where none was."""
    tls = request.transport.get_extra_info("ssl_object") if request.transport is not None else None
    return tls.getpeercert(binary_form=True) if isinstance(tls, ssl.SSLObject) else None


def thumbprint_of(certificate: bytes) -> str:
    """Return what binds a token to a certificate (RFC 8705 section 3.1)."""
    return encode_base64url(hashlib.sha256(certificate).digest())


def authenticate_by_certificate(
    request: web.Request, fields: Mapping[str, str], client_id: str, subject_dn: str
) -> None:
    """Check that the client is whom its certificate names (RFC 8705 section 2.1).

    Raises:
        OAuthError: ``invalid_client``.
    """
    certificate = certificate_of(request)
    if certificate is None:
        raise refused("no certificate was shown")
    subject = x509.load_der_x509_certificate(certificate).subject.rfc4514_string()
    if fields.get("client_id") != client_id or not subject_dn or subject != subject_dn:
        raise refused("the certificate is of somebody else")
    if "client_secret" in fields or "Authorization" in request.headers:
        raise OAuthError("invalid_request", "the client authenticates twice")
