"""Form requests of an authenticated client (RFC 6749 section 2.3, RFC 7523, RFC 8705)."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

from gateway.config.settings.providers import ProviderSettings
from gateway.oauth.assertion import ASSERTION_TYPE, audience_of
from gateway.oauth.errors import MessageError
from gateway.oauth.query import Parameters


@dataclass(frozen=True, slots=True)
class FormRequest:
    """A POST to send. Headers and body hold secrets and stay out of any representation.

    ``assertion_for`` is the audience of the ``client_assertion`` that the body still lacks, empty where it
    lacks none: it is signed as the request is sent, so that none is sent twice.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    assertion_for: str = ""


def build_form(url: str, parameters: Parameters, settings: ProviderSettings) -> FormRequest:
    """Return a POST of ``parameters`` in which the client identifies itself as configured (R15).

    Raises:
        MessageError: ``client_secret_missing``, or ``endpoint_insecure`` for tls_client_auth without TLS.
    """
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    fields: dict[str, str | Sequence[str]] = dict(parameters)
    assertion_for = ""
    match settings.client_auth:
        case "client_secret_basic":
            # both halves are form-encoded before they are joined: a colon in the id stays unambiguous
            pair = f"{quote_plus(settings.client_id)}:{quote_plus(_secret(settings))}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        case "client_secret_post":
            fields |= {"client_id": settings.client_id, "client_secret": _secret(settings)}
        case "private_key_jwt":
            fields |= {"client_id": settings.client_id, "client_assertion_type": ASSERTION_TYPE}
            assertion_for = audience_of(settings, url)
        case "tls_client_auth" if not url.startswith("https:"):
            raise MessageError("endpoint_insecure", "tls_client_auth needs an endpoint with https")
        case "tls_client_auth" | "none":
            fields["client_id"] = settings.client_id
    return FormRequest(url, headers, urlencode(fields, doseq=True).encode(), assertion_for)


def _secret(settings: ProviderSettings) -> str:
    secret = settings.client_secret.get_secret_value() if settings.client_secret is not None else ""
    if not secret:
        raise MessageError(
            "client_secret_missing", f"client_auth is {settings.client_auth}: set client_secret, or use none"
        )
    return secret
