"""Requests that a browser carries to the provider in a URL's query."""

from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl, quote, urlencode


def with_query(url: str, parameters: Mapping[str, str], reserved: Collection[str]) -> str:
    """Return a URL with these parameters added; none may appear twice (RFC 6749 section 3.1).

    Args:
        url: of the endpoint; what its own query has of other names stays as it is.
        parameters: names and values.
        reserved: names that the URL's own query may not have either.
    """
    base, _, query = url.partition("?")
    taken = {*reserved, *parameters}
    kept = [
        piece
        for piece in query.split("&")
        if piece and not any(name in taken for name, _ in parse_qsl(piece, keep_blank_values=True))
    ]
    return f"{base}?{'&'.join((*kept, urlencode(parameters, quote_via=quote)))}"
