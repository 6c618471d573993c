"""Whoever presents a bound token proves that it is theirs, for each request anew (RFC 9449, RFC 8705).

What a token is bound to is remembered with it; that it was proven never is.
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.core.access.credentials import BearerToken, ProofToken, token_of
from gateway.core.decision.answers import Refuse
from gateway.core.decision.context import Context
from gateway.core.decision.needs import Need, UseOnce
from gateway.core.decision.refusals import refuse
from gateway.core.headers.kinds import CERTIFICATE, PROOF
from gateway.core.identity import Binding, Identity
from gateway.core.reasons import Reason
from gateway.core.tokens import dpop
from gateway.core.tokens.binding import ANY, TokenRules
from gateway.core.tokens.dpop import Expected, Proof
from gateway.syntax.encoding import encode_base64url
from gateway.syntax.tokens import split_quoted

PURPOSE: Final = "dpop"
# so long after it is too old here it may be good enough for a gateway whose clock is behind
_CLOCKS: Final = 60.0
_MOST_CERTIFICATE: Final = 16_384
_HASH: Final = re.compile(r"Hash=([0-9a-f]{64})")
_PEM: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*", re.ASCII
)


def unbound(bearer: BearerToken, identity: Identity, rules: TokenRules | None) -> Reason | None:
    """Return why a token is not bound as its way of coming, or the route, asks; None where it is."""
    by_key = isinstance(bearer, ProofToken)
    if by_key and (identity.binding is None or identity.binding.key is None):
        # RFC 9449 section 7.1: else a proof by anybody's key would do
        return Reason.TOKEN_UNBOUND
    return Reason.TOKEN_UNBOUND if (rules or ANY).refuses(identity.binding) else None


def judge_possession(context: Context, bearer: BearerToken, binding: Binding) -> Proof | Refuse | None:
    """Ask for the proof that a bound token is its presenter's.

    Returns:
        The refusal; the proof of a key, which is good but perhaps not new; or None: it is proven.
    """
    if binding.certificate is not None:
        shown = certificate_of(context)
        if shown is None:
            return refuse(context, Reason.PROOF_MISSING, bearer=True)
        if not hmac.compare_digest(shown.encode(), binding.certificate.encode()):
            return refuse(context, Reason.PROOF_INVALID, bearer=True)
    if binding.key is None:
        return None
    found = _judge_proof(context, bearer, binding.key)
    return refuse(context, found, bearer=True, by_key=True) if isinstance(found, Reason) else found


def _judge_proof(context: Context, bearer: BearerToken, key: str) -> Proof | Reason:
    request, rules = context.request, context.knowledge.runtime.proofs
    proofs = request.values(PROOF)
    if not isinstance(bearer, ProofToken) or not proofs:
        # RFC 9449 section 7.2: it is no bearer token
        return Reason.PROOF_MISSING
    if len(proofs) > 1:
        return Reason.PROOF_INVALID
    line = next(each for each in request.authorization if each.found is bearer)
    expected = Expected(
        request.method.decode("latin-1"), _origin(context), _paths(context), token_of(line), key
    )
    return dpop.check(proofs[0], expected, rules, context.now)


def use_up(context: Context, proof: Proof) -> Need | Refuse | None:
    """Use up a proof, once all else has been found good: the need, or the refusal, or None: it was new.

    So a request that is refused for something else may be asked about twice, as nginx does.
    """
    once = UseOnce(PURPOSE, proof.replay_id, proof.until + _CLOCKS)
    is_new = context.knowledge.fact(once, bool)
    if is_new is None:
        return once
    if proof.next_nonce:
        context.nonce = proof.next_nonce
    return None if is_new else refuse(context, Reason.PROOF_REPLAYED, bearer=True, by_key=True)


def _origin(context: Context) -> str:
    """Return scheme and authority as the client sees them: the site's own, or as trusted proxies tell."""
    if context.site is not None:
        return context.site.origin
    forwarded = context.forwarded
    host = forwarded.host.decode("latin-1")
    return f"{forwarded.proto}://{host.removesuffix(':443' if forwarded.proto == 'https' else ':80')}"


def _paths(context: Context) -> tuple[bytes, ...]:
    came = context.request.target.partition(b"?")[0]
    return (came, context.target.path) if context.target.path != came else (came,)


def certificate_of(context: Context) -> str | None:
    """Return the thumbprint of the client's certificate (RFC 8705 section 3.1), None where there is none.

    A trusted proxy tells its client's in a field, or nobody does: its own is not the client's.
    """
    knowledge, request = context.knowledge, context.request
    if not knowledge.runtime.rules.proxies.is_trusted(request.peer):
        return getattr(request, "certificate", None)
    told = request.values(CERTIFICATE)
    return _read_certificate(told[0]) if len(told) == 1 else None


def _read_certificate(value: bytes) -> str | None:
    """Return the thumbprint of the one certificate that a proxy tells; None: it tells none that can be read.

    Of the forms of RFC 9440, of PEM in percent-encoding (nginx, AWS), of its base64 alone (Traefik), and by
    its SHA-256 in hexadecimal digits (Envoy's X-Forwarded-Client-Cert).
    """
    if len(value) > _MOST_CERTIFICATE:
        return None
    if b"Hash=" in value:
        return _read_hash(value.decode("latin-1"))
    if value[:1] == b":" and value[-1:] == b":" and len(value) > 2:
        text = value[1:-1]
    else:
        plain = unquote_to_bytes(value)
        found = _PEM.fullmatch(plain)
        # what begins so is the DER of a certificate; those that signed it follow
        bare = plain.partition(b",")[0] if plain.startswith(b"MI") else b""
        text = bare if found is None else b"".join(found[1].split())
    try:
        der = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return encode_base64url(hashlib.sha256(der).digest()) if der else None


def _read_hash(value: str) -> str | None:
    """Return the thumbprint in X-Forwarded-Client-Cert; what stands in a subject, clients chose."""
    elements = split_quoted(value, ",")
    # of several nobody says which one is the client's
    pairs = split_quoted(elements[0], ";") if elements is not None and len(elements) == 1 else None
    hashes = [pair for pair in pairs or () if pair.startswith("Hash=")]
    found = _HASH.fullmatch(hashes[0]) if len(hashes) == 1 else None
    return None if found is None else encode_base64url(bytes.fromhex(found[1]))
