"""The UserInfo endpoint (OpenID Connect Core 1.0 section 5.3)."""

from gateway.core.provider import ProviderMetadata
from gateway.core.tokens.claims import read_subject
from gateway.oauth.answers import is_success, read_object
from gateway.oauth.errors import MessageError, refuse_unusable
from gateway.syntax.encoding import Json

MOST_USERINFO = 1 << 18


def build_request(metadata: ProviderMetadata, access_token: str) -> tuple[str, dict[str, str]]:
    """Return URL and headers of the GET request. The headers hold the access token.

    Raises:
        MessageError: the provider has no UserInfo endpoint.
    """
    if metadata.userinfo_endpoint is None:
        refuse_unusable(metadata, "userinfo_endpoint")
        raise MessageError(
            "endpoint_invalid", "the provider has no userinfo_endpoint; name it, or set userinfo to false"
        )
    return metadata.userinfo_endpoint, {
        "Authorization": f"Bearer {access_token}",
        "Accept": "application/json, application/jwt;q=0.9",
    }


def is_signed(status: int, content_type: str) -> bool:
    """Tell whether the claims came as a JWT, which ``core.tokens.signed_userinfo`` checks (section 5.3.2)."""
    return is_success(status) and content_type.partition(";")[0].strip().lower() == "application/jwt"


def process_response(status: int, content_type: str, body: bytes) -> dict[str, Json] | None:
    """Return the claims; None when the access token was refused (RFC 6750 section 3.1).

    The caller compares ``sub`` with the ID token's before it uses anything (R30).

    Args:
        status: of the response.
        content_type: its Content-Type, or "".
        body: at most 256 KiB count.

    Raises:
        MessageError: neither claims nor a refusal.
    """
    if status in {400, 401, 403}:
        return None
    if not is_success(status):
        raise MessageError("userinfo_unavailable", f"the userinfo endpoint answered {status}")
    if is_signed(status, content_type):
        raise MessageError("userinfo_signed", "the userinfo endpoint answered a JWT, which is no JSON object")
    claims = read_object(body, MOST_USERINFO)
    if claims is None or read_subject(claims) is None:
        raise MessageError("userinfo_malformed", "the userinfo endpoint answered no JSON object with a sub")
    return claims
