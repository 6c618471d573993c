"""Reading and writing the messages of the demo provider's endpoints."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp import web

from gateway.demo.grants import Fields, OAuthError
from gateway.demo.pages import headers as page_headers

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


async def parameters(request: web.Request, *, form_only: bool = False) -> Fields:
    """Return the parameters of a request: of its form when posted, else of its query.

    Raises:
        OAuthError: ``invalid_request``: a parameter comes twice (RFC 6749 section 3.1), or no form where one
            is asked for.
    """
    if request.method == "POST":
        if request.content_type != "application/x-www-form-urlencoded":
            raise OAuthError("invalid_request", "post a form (application/x-www-form-urlencoded)")
        encoded = (await request.read()).decode("utf-8", "replace")
    elif form_only:
        raise OAuthError("invalid_request", "post a form")
    else:
        encoded = request.rel_url.raw_query_string
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, errors="replace", max_num_fields=100)
    except ValueError:
        raise OAuthError("invalid_request", "too many parameters") from None
    fields = Fields(pairs)
    fields.resources = tuple(value for name, value in pairs if name == "resource")
    if len(fields) != len(pairs) - max(0, len(fields.resources) - 1):
        raise OAuthError("invalid_request", "a parameter is there twice")
    return fields


def json_answer(document: Mapping[str, Any], status: int = 200, *, cacheable: bool = False) -> web.Response:
    """Return a JSON answer; not to be stored unless it is ``cacheable``."""
    return web.json_response(dict(document), status=status, headers={} if cacheable else _NO_STORE)


def html_answer(html: str, status: int = 200, form_targets: Iterable[str] = ()) -> web.Response:
    """Return an HTML answer under the strict policy of ``gateway.demo.pages``."""
    return web.Response(
        text=html, status=status, content_type="text/html", headers=page_headers(form_targets)
    )


def error_json(error: OAuthError) -> web.Response:
    """Return an error response (RFC 6749 section 5.2)."""
    answer = json_answer({"error": error.error, "error_description": error.description}, error.status)
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = 'Basic realm="demo provider"'
    return answer


def redirect(uri: str, fields: Mapping[str, str | None]) -> web.Response:
    """Send the browser to ``uri`` with these parameters, by 303 so that a POST is not repeated there."""
    present = {name: value for name, value in fields.items() if value is not None}
    joint = "&" if "?" in uri else "?"
    location = f"{uri}{joint}{urlencode(present)}" if present else uri
    return web.Response(
        status=303, headers={"Location": location, "Referrer-Policy": "no-referrer", **_NO_STORE}
    )


def bearer_of(request: web.Request) -> str:
    """Return the bearer token of the Authorization field, or an empty string."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
