"""Form requests of an authenticated client (RFC 6749 section 2.3)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

from gateway.config.settings.providers import ProviderSettings
from gateway.oauth.errors import MessageError


@dataclass(frozen=True, slots=True)
class FormRequest:
    """A POST to send. Headers and body hold secrets and stay out of any representation."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def build_form(url: str, parameters: Mapping[str, str], settings: ProviderSettings) -> FormRequest:
    """Return a POST of ``parameters`` in which the client identifies itself as configured (R15).

    Raises:
        MessageError: ``client_secret_missing``.
    """
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    fields = dict(parameters)
    match settings.client_auth:
        case "client_secret_basic":
            # both halves are form-encoded before they are joined: a colon in the id stays unambiguous
            pair = f"{quote_plus(settings.client_id)}:{quote_plus(_secret(settings))}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        case "client_secret_post":
            fields |= {"client_id": settings.client_id, "client_secret": _secret(settings)}
        case "none":
            fields["client_id"] = settings.client_id
    return FormRequest(url, headers, urlencode(fields).encode())


def _secret(settings: ProviderSettings) -> str:
    secret = settings.client_secret.get_secret_value() if settings.client_secret is not None else ""
    if not secret:
        raise MessageError(
            "client_secret_missing", f"client_auth is {settings.client_auth}: set client_secret, or use none"
        )
    return secret
