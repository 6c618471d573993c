"""Names of header fields that no setting can give another meaning."""

from typing import Final

METHOD_OVERRIDES: Final = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
"""Folded names of the fields that name another method than the request line."""

TAKEN: Final = METHOD_OVERRIDES.union(
    b"accept sec-fetch-mode sec-fetch-site origin sec-purpose purpose x-purpose x-moz x-requested-with"
    b" upgrade access-control-request-headers access-control-request-method cdn-loop".split()
)
"""Folded names that nobody can give another meaning: what clients send there is read, and mostly goes on."""
