"""Asks a provider for its metadata before there is a configuration."""

from base64 import b64encode

from pydantic import SecretStr, ValidationError

from gateway.cli.init.providers import KNOWN
from gateway.config.settings.root import Settings


def discover(provider: str, issuer: str) -> str | None:
    """Return what is wrong with a provider, None where its metadata fits, or it has none (OAuth 2.0)."""
    from gateway.edge.providers.check import check_providers  # noqa: PLC0415 - a client of the providers

    known = KNOWN.get(provider)
    if known is not None and "kind" in known.settings:
        return None
    try:
        settings = Settings.model_validate(
            {
                "public_url": "https://stand-in.invalid",
                "secret_keys": [SecretStr(b64encode(bytes(range(100, 132))).decode())],
                "providers": {
                    provider: {"issuer": issuer, "client_id": "-", "client_secret": "-", "audiences": ["-"]}
                },
                "upstreams": {"app": {"servers": ["http://stand-in.invalid"]}},
                "routes": [{"path": "/", "upstream": "app", "access": "required"}],
            }
        )
    except ValidationError:
        return "this issuer cannot be asked"
    return next((each for each in check_providers(settings) if "(not used)" not in each), None)
