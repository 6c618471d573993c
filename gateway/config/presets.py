"""Where the endpoints of well-known providers are that speak OAuth 2.0 without OpenID Connect."""

from collections.abc import Mapping

from gateway.config.settings.providers import ProviderSettings
from gateway.syntax.urls import split_url

ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "revocation_endpoint")
"""The settings that name them; each wins over the preset's."""


def endpoints_of(provider: ProviderSettings) -> dict[str, str]:
    """Return the endpoints of a ``kind: oauth2`` by their settings' names, where anything names them."""
    found = {**_preset(provider)}
    found |= {name: url for name in ENDPOINTS if (url := getattr(provider, name)) is not None}
    return found


def _preset(provider: ProviderSettings) -> Mapping[str, str]:
    base = provider.issuer.rstrip("/")
    match provider.preset:
        case "github":
            return {
                "authorization_endpoint": f"{base}/login/oauth/authorize",
                "token_endpoint": f"{base}/login/oauth/access_token",
                "userinfo_endpoint": f"{_github_api(base)}/user",
            }
        case "gitlab":
            return {
                "authorization_endpoint": f"{base}/oauth/authorize",
                "token_endpoint": f"{base}/oauth/token",
                "userinfo_endpoint": f"{base}/api/v4/user",
                "revocation_endpoint": f"{base}/oauth/revoke",
            }
        case "discord":
            return {
                "authorization_endpoint": f"{base}/oauth2/authorize",
                "token_endpoint": f"{base}/api/oauth2/token",
                "userinfo_endpoint": f"{base}/api/v10/users/@me",
                "revocation_endpoint": f"{base}/api/oauth2/token/revoke",
            }
        case _:
            return {}


def _github_api(base: str) -> str:
    parts = split_url(base)
    host = (parts.hostname or "") if parts is not None else ""
    if host == "github.com" or host.endswith(".ghe.com"):
        return f"https://api.{host}"
    # an Enterprise Server has its API beside its pages
    return f"{base}/api/v3"
