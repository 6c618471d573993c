"""Microsoft Graph: the groups of the person that an access token is of, those within groups among them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.config.settings.providers import ProviderSettings
from gateway.oauth.answers import is_success, read_object
from gateway.oauth.discovery import check_endpoint
from gateway.oauth.errors import MessageError

MOST_GROUPS_ANSWER = 1 << 20
MOST_GROUPS = 20_000
_MOST_ID = 256
BODY = b'{"securityEnabledOnly":false}'


@dataclass(frozen=True, slots=True)
class GraphRequest:
    """A POST request; the headers hold the access token."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


def build_request(
    settings: ProviderSettings, access_token: str, *, allow_insecure_http: bool
) -> GraphRequest:
    """Return the request for all groups of a person (``getMemberObjects``).

    Raises:
        MessageError: ``graph_url`` is no URL that secrets may be sent to.
    """
    base = check_endpoint("graph_url", settings.graph_url, allow_insecure_http=allow_insecure_http)
    headers = {
        "Authorization": f"Bearer {access_token}",
        "Accept": "application/json",
        "Content-Type": "application/json",
    }
    return GraphRequest(f"{base.rstrip('/')}/me/getMemberObjects", headers)


def process_response(status: int, body: bytes) -> list[str]:
    """Return the ids of the groups.

    Raises:
        MessageError: none came; only the operator can help where the access token is none for Graph.
    """
    if status in {401, 403}:
        raise MessageError(
            "groups_refused",
            f"Microsoft Graph answered {status} when asked for groups: the login's access token must be for"
            " Graph, with the permission User.Read or GroupMember.Read.All",
        )
    if not is_success(status):
        raise MessageError("groups_unavailable", f"Microsoft Graph answered {status} when asked for groups")
    document = read_object(body, MOST_GROUPS_ANSWER)
    found = None if document is None else document.get("value")
    # an answer in pieces is none: who is told a part of the groups would be judged by that part
    if document is None or not isinstance(found, list) or "@odata.nextLink" in document:
        raise MessageError("groups_malformed", "Microsoft Graph answered no whole list of groups")
    groups = [each for each in found if isinstance(each, str) and 0 < len(each) <= _MOST_ID]
    if len(groups) != len(found) or len(groups) > MOST_GROUPS:
        raise MessageError("groups_malformed", "Microsoft Graph answered what are no ids of groups")
    return groups
