"""A relying party by hand, for tests of the demo provider."""

import base64
import contextlib
import hashlib
import json
import re
from urllib.parse import parse_qs, quote_plus, urlsplit

import aiohttp
import jwt
from yarl import URL

from gateway.demo.provider import DemoProvider

SECRET = "s+c:r%t /ü and long enough to sign with"
CALLBACK = "http://localhost:1/.gateway/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
ALL_SCOPES = "openid profile email offline_access api"


class StillClock:
    """A clock that stands still until it is told."""

    now = 1_800_000_000.5

    def __call__(self):
        """Return the time."""
        return self.now


class RelyingParty:
    """A relying party by hand."""

    def __init__(self, provider, clock):
        self.provider, self.clock = provider, clock
        self.session = aiohttp.ClientSession()

    async def get(self, path, **more):
        """GET, without following; return answer and text."""
        async with self.session.get(
            URL(self.provider.base + path, encoded=True), allow_redirects=False, **more
        ) as answer:
            return answer, await answer.text()

    async def post(self, path, fields=(), *, auth="basic", **more):
        """POST a form as the client."""
        fields, headers = dict(fields), dict(more.pop("headers", {}))
        if auth == "basic":
            # form-encoded halves, RFC 6749 section 2.3.1
            headers["Authorization"] = aiohttp.encode_basic_auth("demo", quote_plus(SECRET))
        elif auth == "post":
            fields |= {"client_id": "demo", "client_secret": SECRET}
        url = URL(self.provider.base + path, encoded=True)
        async with self.session.post(
            url, data=fields, headers=headers, allow_redirects=False, **more
        ) as answer:
            return answer, await answer.text()

    async def form(self, **change):
        """Ask for authorization; ``change`` replaces parameters, None leaves one out."""
        fields = {
            "response_type": "code",
            "client_id": "demo",
            "redirect_uri": CALLBACK,
            "scope": ALL_SCOPES,
            "state": "st&<>",
            "nonce": "n-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        } | change
        query = URL.build(
            query={name: value for name, value in fields.items() if value is not None}
        ).raw_query_string
        return await self.get(f"/authorize?{query}")

    async def submit(self, page, user="alice", password=None):
        """Fill in the form of a page."""
        transaction = re.search(r'type="hidden"[^>]*name="transaction"[^>]*value="([^"]*)"', page)[1]
        fields = {
            "transaction": transaction,
            "username": user,
            "password": user if password is None else password,
        }
        return await self.post("/login", fields, auth=None)

    async def code(self, user="alice", **change):
        """Log in and return the authorization code."""
        _, page = await self.form(**change)
        answer, _ = await self.submit(page, user)
        assert answer.status == 303
        return query_of(answer)["code"]

    async def redeem(self, code, /, **change):
        """Redeem a code; return answer and document."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        answer, text = await self.post("/token", fields | change)
        return answer, json.loads(text)

    async def log_in(self, user="alice", **change):
        """Log in and return the token response."""
        answer, tokens = await self.redeem(await self.code(user, **change))
        assert answer.status == 200, tokens
        return tokens

    async def refresh(self, token, **more):
        """Present a refresh token."""
        return await self.post("/token", {"grant_type": "refresh_token", "refresh_token": token, **more})

    async def keys(self):
        """Return the published keys by id."""
        _, text = await self.get("/jwks")
        return {jwk["kid"]: jwt.PyJWK(jwk) for jwk in json.loads(text)["keys"]}

    async def read(self, token, audience):
        """Return the claims of a token that verifies."""
        key = (await self.keys())[jwt.get_unverified_header(token)["kid"]]
        options = {"verify_exp": False, "verify_iat": False, "verify_aud": audience is not None}
        return jwt.decode(token, key, algorithms=["RS256"], audience=audience, options=options)


def query_of(answer):
    """Return the parameters of a redirect."""
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def unverified(token):
    """Return the claims of a token, whoever signed it."""
    return jwt.decode(token, options={"verify_signature": False})


@contextlib.asynccontextmanager
async def started(**more):
    """Run a provider under a clock that stands still, with a relying party beside it."""
    clock = StillClock()
    provider = DemoProvider("demo", SECRET, (CALLBACK,), "demo-api", clock, **more)
    await provider.start()
    client = RelyingParty(provider, clock)
    try:
        yield client
    finally:
        await client.session.close()
        await provider.close()
