"""What a token endpoint's error means for a grant: one table, judged by the code first (R85).

RFC 6749 section 5.2 names few codes and providers many more, with whatever status. docs/sessions.md has the
same table for operators.
"""

import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from gateway.oauth.answers import is_success


class Verdict(Enum):
    """What an error says of the grant that was presented."""

    ENDED = "ended"
    """The grant is dead: so is the session."""
    OPERATOR = "operator"
    """Client and provider are not set up for one another: the grant is kept."""
    MOMENT = "moment"
    """The provider cannot tell now: the grant is kept."""
    UNKNOWN = "unknown"
    """Nobody can tell what it means: the grant is kept."""


def _table() -> dict[str, Verdict]:
    ended = (
        "invalid_grant",
        "bad_refresh_token",
        "invalid_refresh_token",
        "token_expired",
        "token_revoked",
        "expired_token",
        "interaction_required",
        "login_required",
        "consent_required",
    )
    operator = (
        "invalid_client",
        "unauthorized_client",
        "incorrect_client_credentials",
        "unsupported_grant_type",
        "redirect_uri_mismatch",
    )
    moment = (
        "server_error",
        "temporarily_unavailable",
        "slow_down",
        "rate_limited",
        "ratelimited",
        "too_many_requests",
        "internal_error",
        "service_unavailable",
    )
    return {
        **dict.fromkeys(ended, Verdict.ENDED),
        **dict.fromkeys(operator, Verdict.OPERATOR),
        **dict.fromkeys(moment, Verdict.MOMENT),
    }


CODES: Final[Mapping[str, Verdict]] = MappingProxyType(_table())
"""The codes that are known, in lower case."""

MOMENTS: Final = frozenset((408, 425, 429))
"""Client errors that speak of the moment, whatever else the answer says; so does every 5xx."""

# RFC 6749's grammar of a code (appendix A.7), without the space: with one it is somebody's prose
_CODE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")


def read_code(value: object) -> str | None:
    """Return an error code, None for anything that is none: no string, prose, too long."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) is not None else None


def judge(status: int, code: str | None, *, is_empty: bool = False) -> Verdict:
    """Return what an answer without tokens means for the grant.

    Args:
        status: of the response.
        code: its ``error``, as ``read_code`` returns it.
        is_empty: whether the response has no body at all.
    """
    known = CODES.get(code.lower()) if code is not None else None
    if known is Verdict.ENDED:
        # an answer that is no answer of the token endpoint's own decides nothing
        is_verdict = is_success(status) or 400 <= status < 500
        return Verdict.ENDED if is_verdict else Verdict.MOMENT
    if known is not None:
        return known
    if status in MOMENTS or status >= 500:
        return Verdict.MOMENT
    if status == 400 and (code is not None or is_empty):
        return Verdict.ENDED
    return Verdict.UNKNOWN
