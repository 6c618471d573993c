"""Requests that a browser carries to the provider in a URL's query."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias
from urllib.parse import parse_qsl, quote, urlencode

Parameters: TypeAlias = Mapping[str, str | Sequence[str]]
"""Names with their values; several values of one name are sent one after the other (RFC 8707 section 2)."""


def with_query(url: str, parameters: Parameters, reserved: Collection[str]) -> str:
    """Return a URL with these parameters added; no name appears twice but for its values.

    RFC 6749 section 3.1 forbids the one, RFC 8707 section 2 permits the other.

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
    return f"{base}?{'&'.join((*kept, urlencode(parameters, doseq=True, quote_via=quote)))}"
