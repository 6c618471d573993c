"""Recipes as they are shipped, in a real gateway; a provider's with a stand-in that was recorded of it."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import yaml
from aiohttp import web

from gateway.demo.keys import SigningKeys
from tests.support.recordings import CLIENT, Recording
from tests.support.world import CLIENT_SECRET, Clock, World, merge

RECIPES = Path(__file__).parents[2] / "config" / "recipes"
SITE = "https://app.example.com"
SECRET = "made-up-secret-0123456789"
_ORIGIN = re.compile(r"https://[a-z0-9.-]+")
_SECRET = re.compile(r"\$\{file:[^}]*\}")


def shipped(kind: str, name: str) -> str:
    """Return the text of a recipe."""
    return (RECIPES / kind / f"{name}.yaml").read_text(encoding="utf-8")


class RecordedProvider:
    """A provider that publishes and issues what was recorded of one, and lets ``alice`` in without asking."""

    def __init__(self, recording: Recording, client_id: str, site: str, clock: Clock) -> None:
        self.recording, self.client_id, self.site, self.clock = recording, client_id, site, clock
        self.keys = SigningKeys(SECRET)
        self.asked: list[dict[str, str]] = []
        self.tokens: list[tuple[str, dict[str, str]]] = []
        self.ended: list[dict[str, str]] = []
        self.revoked: list[dict[str, str]] = []
        self.counts: Counter[str] = Counter()
        self.changes: dict[str, Any] = {}
        self._logins: dict[str, dict[str, str]] = {}
        self.redirect_uris: tuple[str, ...] = ()

    def local(self, text: str) -> str:
        """Return a text with the site's and every provider's origin as they are here."""
        here = {SITE: self.site, quote(SITE, safe=""): quote(self.site, safe="")}
        for before, after in here.items():
            text = text.replace(before, after)
        return _ORIGIN.sub(self.base, text).replace(CLIENT, self.client_id)

    def localised(self, value: Any) -> Any:
        """Return recorded data likewise."""
        if isinstance(value, dict):
            return {self.local(name): self.localised(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.localised(each) for each in value]
        return self.local(value) if isinstance(value, str) else value

    async def start(self) -> None:
        """Listen on an ephemeral port of the loopback."""
        self._runner = web.ServerRunner(web.Server(self._handle, access_log=None))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.discovery = self.localised(self.recording.discovery)
        self.issuer = str(self.discovery["issuer"])
        known = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        self._paths: dict[str, Callable[[web.BaseRequest], Any]] = {
            urlsplit(known).path: self._publish,
            urlsplit(self.discovery["jwks_uri"]).path: self._publish_keys,
        }
        for name, answer in (
            ("authorization", self._authorize),
            ("token", self._give),
            ("userinfo", self._tell),
            ("end_session", self._end),
            ("revocation", self._revoke),
        ):
            if url := self.discovery.get(f"{name}_endpoint"):
                self._paths[urlsplit(url).path] = answer

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = self._paths.get(request.path)
        if answer is None:
            return web.Response(status=404, text=f"no {request.path}")
        self.counts[answer.__name__] += 1
        result = await answer(request)
        assert isinstance(result, web.StreamResponse)
        return result

    async def _publish(self, _: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(self.discovery)

    async def _publish_keys(self, _: web.BaseRequest) -> web.StreamResponse:
        return web.json_response(self.keys.jwks())

    async def _authorize(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = dict(parse_qsl(request.query_string, keep_blank_values=True, strict_parsing=True))
        self.asked.append(asked)
        code = f"code-{len(self.asked)}"
        self._logins[code] = asked
        answer = f"?code={code}&state={quote(asked['state'], safe='')}"
        return web.Response(status=302, headers={"Location": asked["redirect_uri"] + answer})

    async def _give(self, request: web.BaseRequest) -> web.StreamResponse:
        form = dict(parse_qsl((await request.read()).decode(), strict_parsing=True))
        self.tokens.append((request.headers.get("Authorization", ""), form))
        asked: dict[str, str] = {}
        if form["grant_type"] == "authorization_code":
            asked = self._logins.pop(form["code"])
            digest = hashlib.sha256(form["code_verifier"].encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            assert asked["code_challenge"] == challenge
        access = self.access_token()
        given: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": 300}
        given["id_token"] = self.id_token(access, asked.get("nonce"))
        if self.recording.refreshes:
            given["refresh_token"] = f"refresh-{len(self.tokens)}"
        return web.json_response(given, headers={"Cache-Control": "no-store"})

    async def _tell(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.headers["Authorization"].startswith("Bearer ")
        return web.json_response({"sub": "alice", **self.localised(self.recording.userinfo), **self.changes})

    async def _end(self, request: web.BaseRequest) -> web.StreamResponse:
        self.ended.append(dict(parse_qsl(request.query_string, keep_blank_values=True)))
        return web.Response(text="logged out")

    async def _revoke(self, request: web.BaseRequest) -> web.StreamResponse:
        self.revoked.append(dict(parse_qsl((await request.read()).decode())))
        return web.Response()

    def _claims(self, more: dict[str, Any]) -> dict[str, Any]:
        now = int(self.clock())
        own = {"iss": self.issuer, "sub": "alice", "aud": self.client_id, "iat": now, "exp": now + 300}
        claims = own | self.localised(more)
        claims |= {name: value for name, value in self.changes.items() if name in claims}
        return {name: value for name, value in claims.items() if value is not None}

    def id_token(self, access: str, nonce: str | None = None) -> str:
        """Return an ID token as recorded."""
        half = hashlib.sha256(access.encode()).digest()[:16]
        own = {"auth_time": int(self.clock()), "at_hash": base64.urlsafe_b64encode(half).decode().rstrip("=")}
        return self.keys.sign(self._claims({**own, "nonce": nonce, **self.recording.claims}))

    def access_token(self) -> str:
        """Return an access token as recorded."""
        access = self.recording.access
        return access if isinstance(access, str) else self.keys.sign(self._claims(access))


class RecipeWorld(World):
    """A gateway with a shipped recipe; what is replaced are addresses and secrets."""

    def __init__(self, text: str, store_url: str, tmp_path: Path, **override: Any) -> None:
        super().__init__(store_url, tmp_path, **override)
        self.text = text

    def config(self) -> dict[str, Any]:
        """Return the recipe as plain data."""
        data = yaml.safe_load(_SECRET.sub(SECRET, self.localised_text()))
        own = super().config()
        for name in ("public_url", "listen", "admin", "secret_keys", "redis", "state_dir"):
            data[name] = own[name]
        for upstream in data["upstreams"].values():
            upstream["servers"] = [self.upstream.url]
        return merge(data, self.override)

    def localised_text(self) -> str:
        """Return the recipe's text with the origins as they are here."""
        return self.text


class ProviderWorld(RecipeWorld):
    """A gateway with a provider's recipe, and what was recorded of that provider."""

    def __init__(self, recording: Recording, store_url: str, tmp_path: Path) -> None:
        super().__init__(shipped("providers", recording.recipe), store_url, tmp_path)
        self.recording = recording
        (section,) = yaml.safe_load(self.text)["providers"].values()
        self.client_id = section["client_id"]
        self.provider_class = self._recorded  # type: ignore[assignment]

    def _recorded(self, **_: Any) -> RecordedProvider:
        return RecordedProvider(self.recording, self.client_id, self.base, self.clock)

    def localised_text(self) -> str:
        """Return the recipe's text with the origins as they are here."""
        return self.recorded.local(self.text)

    @property
    def recorded(self) -> RecordedProvider:
        """The stand-in."""
        assert isinstance(self.provider, RecordedProvider)
        return self.provider


class ApplicationWorld(RecipeWorld):
    """A gateway with an application's recipe, and the demo provider. ``host`` is the recipe's own."""

    def __init__(self, name: str, store_url: str, tmp_path: Path, **override: Any) -> None:
        super().__init__(shipped("apps", name), store_url, tmp_path, **override)
        self.host = str(yaml.safe_load(self.text)["public_url"]).removeprefix("https://")

    def localised_text(self) -> str:
        """Return the recipe's text with the site's host as it is here."""
        here = self.base.removeprefix("http://")
        return self.text.replace(f"https://{self.host}", self.base).replace(self.host, here)

    def config(self) -> dict[str, Any]:
        """Return the recipe as plain data, with the demo provider as the corporate one."""
        data = super().config()
        for section in data["providers"].values():
            section |= {"issuer": self.provider.issuer, "audiences": ["demo-api"]}
            if "client_id" in section:
                section |= {"client_id": "demo", "client_secret": CLIENT_SECRET}
        return data

    def set_groups(self, *groups: str) -> None:
        """Make alice a member of these groups and of no others."""
        self.provider.accounts["alice"]["groups"] = list(groups)
