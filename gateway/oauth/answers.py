"""What is common to a provider's answers: which status is a success, and JSON as providers really send it."""

from typing import Final

from gateway.syntax.encoding import Json, parse_object

_MARK: Final = b"\xef\xbb\xbf"


def is_success(status: int) -> bool:
    """Tell whether an answer brings what was asked for: 200, or 201 as some token endpoints say."""
    return status in {200, 201}


def read_object(body: bytes, limit: int) -> dict[str, Json] | None:
    """Return a provider's JSON object, None for anything else (``syntax.encoding.parse_object``).

    A byte order mark before it is left out, as RFC 8259 section 8.1 permits.

    Args:
        body: of the response.
        limit: the most bytes that it may have.
    """
    return parse_object(body.removeprefix(_MARK), limit)
