"""Token exchange (RFC 8693): an access token for one audience becomes one for another."""

from typing import Final

from gateway.config.settings.providers import ProviderSettings
from gateway.core.provider import ProviderMetadata, TokenRefusal, TokenSet
from gateway.core.reasons import Reason
from gateway.core.rules.authorization import Target
from gateway.oauth import token
from gateway.oauth.answers import read_object
from gateway.oauth.form import FormRequest, build_form
from gateway.oauth.refusals import read_code

GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
MOST_TOKEN: Final = 16_384
"""Characters of a token that is to be a header field of every request."""

ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a kind of token
# (a tuple, since what is compared with it may be anything)
_ISSUED: Final = (None, ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt")
# what the caller can do nothing about: client, target and provider are not set up for one another
_OPERATOR: Final = frozenset({"invalid_target", "invalid_scope"})

_NO_TOKEN: Final = token.TokenUnavailable(
    "the token endpoint issued no access token at an exchange, or one too long for a header field",
    reason=Reason.ISSUER_MISCONFIGURED,
)


def build_request(
    metadata: ProviderMetadata, settings: ProviderSettings, access_token: str, target: Target
) -> FormRequest:
    """Return the request for a target's token (section 2.1).

    Raises:
        MessageError: ``client_secret_missing``.
    """
    parameters = {
        "grant_type": GRANT,
        "subject_token": access_token,
        "subject_token_type": ACCESS_TOKEN,
        "requested_token_type": ACCESS_TOKEN,
        "audience": target.audience,
        "resource": target.resource,
        "scope": " ".join(target.scopes),
    }
    given = {name: value for name, value in parameters.items() if value}
    return build_form(metadata.token_endpoint, given, settings)


def process_response(
    status: int, content_type: str, body: bytes, retry_after: str | None = None
) -> token.TokenResponse:
    """Classify an answer (sections 2.2.1 and 2.2.2), as ``token.process_response`` does others.

    A refusal is of this caller's token. ``invalid_request`` is one, too: that is how section 2.2.2 has a
    subject token refused.
    """
    result = token.process_response(status, content_type, body, retry_after)
    document = read_object(body, token.MOST_RESPONSE) or {}
    if isinstance(result, TokenSet):
        is_good = document.get("issued_token_type") in _ISSUED and len(result.access_token) <= MOST_TOKEN
        return result if is_good else _NO_TOKEN
    code = read_code(document.get("error"))
    if code in _OPERATOR and 400 <= status < 500:
        return token.TokenUnavailable(
            f"the token endpoint answered {code}: check the exchange's audience, resource and scopes",
            reason=Reason.ISSUER_MISCONFIGURED,
        )
    if code == "access_denied" and 400 <= status < 500:
        return TokenRefusal(code)
    return result
