"""An OpenID provider that says yes to everybody: discovery, keys, codes and tokens for the benchmark.

``python -m tests.bench.provider PORT KEY``. Answers one request a connection, on the generator's core. It is
asked at start-up, logins and refreshes only, and once a minute about each opaque token.
"""

import base64
import hashlib
import json
import secrets
import sys
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.bench.material import CLIENT_ID, Signer, access_claims

SUBJECT = 7
LONG = 6 * 3600
# what a login asks for beyond the protocol: how long its first access token lives, in seconds
LIFETIME = "bench_lifetime"
# and whose it is: the number of a person
PERSON = "bench_person"


@dataclass(slots=True)
class Codes:
    """Codes handed out and not yet exchanged: nonce, lifetime of the first access token, person."""

    open: dict[str, tuple[str, int, int]] = field(default_factory=dict)


def discovery(issuer: str) -> dict[str, object]:
    """Return the metadata (OpenID Connect Discovery 1.0 section 3)."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/jwks",
        "introspection_endpoint": f"{issuer}/introspect",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    }


def tokens(
    signer: Signer, issuer: str, nonce: str | None, lifetime: int, person: int = SUBJECT
) -> dict[str, object]:
    """Return a person's token response (RFC 6749 section 5.1) with an ID token."""
    now = time.time()
    access_token = signer.sign(access_claims(issuer, person, now) | {"exp": int(now) + lifetime})
    half = hashlib.sha256(access_token.encode()).digest()[:16]
    id_token: dict[str, object] = {
        "iss": issuer,
        "sub": access_claims(issuer, person, now)["sub"],
        "aud": CLIENT_ID,
        "iat": int(now),
        "exp": int(now) + LONG,
        "auth_time": int(now),
        "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        "email": f"user-{person:08d}@example.com",
        "preferred_username": f"user-{person:08d}",
        "groups": ["staff", "readers"],
    }
    if nonce:
        id_token["nonce"] = nonce
    return {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": lifetime,
        "refresh_token": secrets.token_urlsafe(32),
        "scope": "openid profile email api",
        "id_token": signer.sign(id_token, "JWT"),
    }


def opaque(person: int) -> str:
    """Return an opaque access token of a person."""
    return f"opaque-{person:08d}-{hashlib.sha256(b'%d' % person).hexdigest()}"


def introspected(issuer: str, token: str) -> dict[str, object]:
    """Return what the introspection endpoint says of a token (RFC 7662 section 2.2)."""
    number = token[7:15]
    if not number.isdigit() or token != opaque(int(number)):
        return {"active": False}
    return {"active": True, "token_type": "Bearer", **access_claims(issuer, int(number), time.time())}


def handler(issuer: str, signer: Signer) -> type[BaseHTTPRequestHandler]:
    """Return the request handler of a provider."""
    codes = Codes()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _json(self, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
            if path.endswith("/.well-known/openid-configuration"):
                self._json(discovery(issuer))
            elif path == "/jwks":
                self._json(signer.jwks())
            elif path == "/authorize":
                code = secrets.token_urlsafe(16)
                lifetime = int(query.get(LIFETIME, [str(LONG)])[0])
                person = int(query.get(PERSON, [str(SUBJECT)])[0])
                codes.open[code] = (query.get("nonce", [""])[0], lifetime, person)
                back = urlencode({"code": code, "state": query["state"][0]})
                self.send_response(303)
                self.send_header("Location", f"{query['redirect_uri'][0]}?{back}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode())
            if self.path == "/introspect":
                self._json(introspected(issuer, form.get("token", [""])[0]))
                return
            nonce, lifetime, person = codes.open.pop(form.get("code", [""])[0], ("", LONG, SUBJECT))
            self._json(tokens(signer, issuer, nonce or None, lifetime, person))

    return Handler


def main(port: int, key: Path) -> None:
    """Serve until killed."""
    issuer = f"http://127.0.0.1:{port}"
    ThreadingHTTPServer(("127.0.0.1", port), handler(issuer, Signer(key.read_bytes()))).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
