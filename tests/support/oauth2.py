"""A world with a provider that speaks OAuth 2.0 alone: GitHub, GitLab, Discord, or one of its own."""

from typing import Any, Self

from tests.support.world import CLIENT_SECRET, World

SCOPES = {
    "github": ["read:user", "user:email", "read:org"],
    "gitlab": ["read_user", "read_api"],
    "discord": ["identify", "email", "guilds"],
    "generic": ["profile"],
}
CALLBACK = "/.gateway/callback/service"


def section(base: str, service: str, **changes: Any) -> dict[str, Any]:
    """Return the section of a provider that the demo provider at ``base`` simulates."""
    found: dict[str, Any] = {
        "kind": "oauth2",
        "issuer": f"{base}/{service}",
        "client_id": "demo",
        "client_secret": CLIENT_SECRET,
        "client_auth": "client_secret_post",
        "scopes": SCOPES[service],
        "callback": CALLBACK,
    }
    if service == "generic":
        found |= {
            "authorization_endpoint": f"{base}/generic/authorize",
            "token_endpoint": f"{base}/generic/token",
            "userinfo_endpoint": f"{base}/generic/me",
            "subject": "user.uid",
            "claims": {"groups": "roles", "email": "user.email", "email_verified": "user.email_verified"},
        }
    else:
        found["preset"] = service
    return found | changes


class ServiceWorld(World):
    """A world with ``demo`` and, for ``/service/`` and below, the provider ``service``."""

    def __init__(self, store_url: str, tmp_path: Any, service: str, changes: Any = None, **more: Any) -> None:
        super().__init__(store_url, tmp_path, **more)
        self.service = service
        self.changes = changes or {}

    def config(self) -> dict[str, Any]:
        """Return the configuration as plain data."""
        data = super().config()
        provider = self.provider
        provider.redirect_uris = (*provider.redirect_uris, self.base + CALLBACK)
        data["providers"]["service"] = section(provider.base, self.service, **self.changes)
        data["identity_headers"] = {
            "X-Forwarded-User": "sub",
            "X-Forwarded-Email": "email",
            "X-Forwarded-Groups": "groups",
            "X-Group-Ids": "group_ids",
            "X-Forwarded-Preferred-Username": "preferred_username",
            "X-Forwarded-Issuer": "iss",
            "X-Acr": "acr",
        }
        common = {"upstream": "app", "access": "required", "providers": ["service"]}
        data["routes"] = [
            {**common, "path": "/service/"},
            {**common, "path": "/acme/", "require": {"groups": ["acme"]}},
            {**common, "path": "/admins/", "require": {"groups": ["acme/admins"]}},
            {**common, "path": "/scoped/", "require": {"scopes": SCOPES[self.service]}},
            {**common, "path": "/domain/", "require": {"email_domains": ["example.com"]}},
            *data["routes"],
        ]
        return data

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.provider.redirect_uris = (f"{self.base}/.gateway/callback", self.base + CALLBACK)
        return self
