"""Who somebody is where there is no ID token: the provider's own API, asked with the access token.

The subject is the account's immutable id. What people can change, such as a login name, a name or an address,
identifies nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.config.presets import endpoints_of
from gateway.config.settings.providers import ProviderSettings
from gateway.core.identity import Claims
from gateway.core.provider import ProviderMetadata, TokenSet
from gateway.oauth.answers import is_success, read_object
from gateway.oauth.discovery import check_endpoint
from gateway.oauth.errors import MessageError
from gateway.oauth.user_claims import PARTS, Part, claims_of_user, parts_of
from gateway.syntax.encoding import Json, parse_list

MOST_ANSWER = 1 << 20
MOST_PAGES = 20
_PER_PAGE = 100
# no token has a control character in it
_BY_ACCESS = "\x01"


@dataclass(frozen=True, slots=True)
class UserApiRequest:
    """A GET request; the headers hold the access token."""

    url: str
    headers: Mapping[str, str]


def metadata_of(settings: ProviderSettings, *, allow_insecure_http: bool) -> ProviderMetadata:
    """Return where a provider's endpoints are: nothing is fetched for that.

    Raises:
        MessageError: one is missing, or no URL that secrets may be sent to.
    """
    found = {
        name: check_endpoint(name, url, allow_insecure_http=allow_insecure_http)
        for name, url in endpoints_of(settings).items()
    }
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint"):
        if name not in found:
            raise MessageError("endpoint_invalid", f"the configuration lacks {name}, and no preset names it")
    also = (f"{settings.issuer.rstrip('/')}/login/oauth",) if settings.preset == "github" else ()
    return ProviderMetadata(
        issuer=settings.issuer,
        authorization_endpoint=found["authorization_endpoint"],
        token_endpoint=found["token_endpoint"],
        jwks_uri="",
        userinfo_endpoint=found["userinfo_endpoint"],
        revocation_endpoint=found.get("revocation_endpoint"),
        also_issuers=also,
    )


def build_request(metadata: ProviderMetadata, access_token: str) -> UserApiRequest:
    """Return the request that asks whose an access token is."""
    assert metadata.userinfo_endpoint is not None
    return UserApiRequest(metadata.userinfo_endpoint, _headers(access_token))


def part_requests(
    metadata: ProviderMetadata, settings: ProviderSettings, access_token: str
) -> dict[str, UserApiRequest]:
    """Return what more is asked of a user, by name: what the configured scopes are good for."""
    assert metadata.userinfo_endpoint is not None
    base = metadata.userinfo_endpoint.rstrip("/")
    return {
        name: UserApiRequest(_url(base, PARTS[name]), _headers(access_token)) for name in parts_of(settings)
    }


def page_of(request: UserApiRequest, number: int) -> UserApiRequest:
    """Return the request for a page of a list, counted from one."""
    joint = "&" if "?" in request.url else "?"
    return replace(request, url=f"{request.url}{joint}per_page={_PER_PAGE}&page={number}")


def has_more(link: str) -> bool:
    """Tell by a Link field (RFC 8288) whether a page is followed by another; its URL is not used."""
    return 'rel="next"' in link


def process_user(status: int, body: bytes) -> dict[str, Json] | None:
    """Return a user as the API describes them, None where the access token was refused.

    Raises:
        MessageError: neither.
    """
    _judge(status, "user_endpoint")
    if status == 401:
        return None
    user = read_object(body, MOST_ANSWER)
    if user is None:
        raise MessageError("user_malformed", "the user API answered no JSON object; check userinfo_endpoint")
    return user


def process_part(name: str, status: int, body: bytes) -> list[Json] | None:
    """Return a page of a list, None where the access token was refused.

    Raises:
        MessageError: neither.
    """
    _judge(status, name)
    if status == 401:
        return None
    items = parse_list(body, MOST_ANSWER)
    if items is None:
        raise MessageError("user_malformed", f"the user API answered no list of {name}")
    return items


def too_many(name: str) -> MessageError:
    """Return the error of a list that is too long: who is told a part of it would be judged by that part."""
    return MessageError("user_too_large", f"the user API has more than {MOST_PAGES * _PER_PAGE} {name}")


def claims_of(
    settings: ProviderSettings, user: Mapping[str, Json], parts: Mapping[str, list[Json]]
) -> dict[str, Json]:
    """Return the claims of a user, ``sub`` among them.

    Raises:
        MessageError: nothing in the answer is an id.
    """
    return claims_of_user(settings, user, parts)


def normalise(tokens: TokenSet, settings: ProviderSettings) -> TokenSet:
    """Return the tokens of a provider without OpenID Connect as others give them.

    Some write commas between scopes. There is no ID token whose issuer could be trusted. Where no refresh
    token comes, the access token itself stands for the grant: asking the user API with it again tells whether
    it, and what was told, still hold.
    """
    scopes = tokens.scopes
    if scopes is not None:
        scopes = frozenset(name for each in scopes for name in each.split(",") if name)
    tokens = replace(tokens, scopes=scopes, id_token=None)
    if tokens.refresh_token is not None:
        return tokens
    most = settings.user_max_age
    return replace(
        tokens,
        refresh_token=_BY_ACCESS + tokens.access_token,
        expires_in=most if tokens.expires_in is None else min(most, tokens.expires_in),
    )


def confirmed(access_token: str, settings: ProviderSettings, user: Claims) -> TokenSet:
    """Return what asking anew with the same access token comes to."""
    return TokenSet(access_token, settings.user_max_age, refresh_token=_BY_ACCESS + access_token, user=user)


def access_token_of(refresh_token: str) -> str | None:
    """Return the access token that stands for a grant, None where it is a refresh token."""
    return refresh_token[1:] if refresh_token.startswith(_BY_ACCESS) else None


def _url(base: str, part: Part) -> str:
    return base.removesuffix(part.beside) + part.path


def _headers(access_token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}


def _judge(status: int, what: str) -> None:
    if status != 401 and not is_success(status):
        hint = "; are the scopes granted that it takes?" if status in {403, 404} else ""
        raise MessageError("user_unavailable", f"the user API answered {status} when asked for {what}{hint}")
