"""Pushed authorization requests (RFC 9126): what a login asks for goes by the back channel."""

import re
from typing import Final

from gateway.config.settings.providers import ProviderSettings
from gateway.core.provider import ProviderMetadata
from gateway.oauth.answers import is_success, read_object
from gateway.oauth.errors import MessageError, refuse_unusable
from gateway.oauth.form import FormRequest, build_form
from gateway.oauth.query import Parameters, with_query
from gateway.oauth.refusals import MOMENTS, Verdict, judge, read_code
from gateway.syntax.urls import RESERVED_PARAMETERS

MOST_RESPONSE: Final = 65_536
ENDPOINT: Final = "pushed_authorization_request_endpoint"
_REFERENCE = re.compile(r"[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]{1,1024}")


def is_wanted(metadata: ProviderMetadata, settings: ProviderSettings) -> bool:
    """Tell whether a login pushes what it asks for.

    Raises:
        MessageError: it always does, and the provider has no endpoint for it that can be used.
    """
    if settings.pushed_requests == "never":
        return False
    if metadata.pushed_authorization_request_endpoint is not None:
        return True
    if settings.pushed_requests == "always":
        refuse_unusable(metadata, ENDPOINT)
        raise MessageError(
            "pushed_unsupported", f"pushed_requests is always, and the discovery document lacks {ENDPOINT}"
        )
    return False


def build_request(
    metadata: ProviderMetadata, settings: ProviderSettings, parameters: Parameters
) -> FormRequest:
    """Return the request that pushes the parameters of an authorization request (section 2.1).

    Raises:
        MessageError: as ``form.build_form``.
    """
    assert metadata.pushed_authorization_request_endpoint is not None
    return build_form(metadata.pushed_authorization_request_endpoint, parameters, settings)


def process_response(status: int, body: bytes) -> str:
    """Return the ``request_uri`` that stands for what was pushed (section 2.2).

    Raises:
        MessageError: ``pushed_refused`` where only the operator can help, else ``pushed_failed``. There is no
            way around it: a login that falls back could be made to by whoever can disturb the call.
    """
    document = read_object(body, MOST_RESPONSE)
    if document is not None and is_success(status):
        reference = document.get("request_uri")
        if isinstance(reference, str) and _REFERENCE.fullmatch(reference) is not None:
            return reference
        raise MessageError("pushed_failed", f"{ENDPOINT} answered {status} without a usable request_uri")
    code = None if document is None else read_code(document.get("error"))
    if code is not None and status not in MOMENTS and judge(status, code) is not Verdict.MOMENT:
        raise MessageError(
            "pushed_refused",
            f"{ENDPOINT} answered {code}: check client_id, client_auth, how the client is registered and what"
            " extra_authorization_parameters ask for; pushed_requests: never goes without it",
        )
    raise MessageError("pushed_failed", f"{ENDPOINT} answered {status} without a request_uri")


def build_reference(metadata: ProviderMetadata, settings: ProviderSettings, request_uri: str) -> str:
    """Return the URL that sends a browser to log in as was pushed (section 4)."""
    parameters = {"client_id": settings.client_id, "request_uri": request_uri}
    return with_query(metadata.authorization_endpoint, parameters, RESERVED_PARAMETERS)
