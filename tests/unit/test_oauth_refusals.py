"""What a token endpoint's error means for the grant: the table, in the code and in the documentation."""

import json
import re
from pathlib import Path

import pytest

from gateway.core.provider import TokenRefusal
from gateway.core.reasons import Reason
from gateway.oauth.refusals import CODES, Verdict, judge
from gateway.oauth.token import TokenUnavailable, process_response

ENDED = (
    "invalid_grant", "bad_refresh_token", "invalid_refresh_token", "token_expired", "token_revoked",
    "expired_token", "interaction_required", "login_required", "consent_required",
)  # fmt: skip
OPERATOR = (
    "invalid_client", "unauthorized_client", "incorrect_client_credentials", "unsupported_grant_type",
    "redirect_uri_mismatch",
)  # fmt: skip
MOMENT = (
    "server_error", "temporarily_unavailable", "slow_down", "rate_limited", "ratelimited",
    "too_many_requests", "internal_error", "service_unavailable",
)  # fmt: skip
STATUSES = (200, 201, 400, 401, 403, 404, 408, 409, 413, 425, 429, 499)


def outcome(status: int, body: object, *, is_code: bool = False) -> str:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    result = process_response(status, "application/json", octets, is_code=is_code)
    if isinstance(result, TokenRefusal):
        return "ended"
    assert isinstance(result, TokenUnavailable)
    return "operator" if result.reason is Reason.ISSUER_MISCONFIGURED else "kept"


@pytest.mark.parametrize("status", STATUSES)
def test_r85_the_table(status: int) -> None:
    """R85 [2.7]: the code is judged first: with 200 and any 4xx it decides alone."""
    assert {outcome(status, {"error": code}) for code in ENDED} == {"ended"}
    assert {outcome(status, {"error": code.upper()}) for code in ENDED} == {"ended"}
    assert {outcome(status, {"error": code}) for code in OPERATOR} == {"operator"}
    assert {outcome(status, {"error": code}) for code in MOMENT} == {"kept"}


@pytest.mark.parametrize("status", [300, 302, 304, 500, 502, 503, 504, 599])
def test_r85_nothing_else_ends_it(status: int) -> None:
    """R85 [2.7]: a redirect or a 5xx is no answer of the token endpoint's own, whatever stands in it."""
    for code in (*ENDED, *MOMENT, "custom", "Not Found"):
        assert outcome(status, {"error": code}) == "kept"
    assert outcome(status, b"") == "kept"


@pytest.mark.parametrize(
    "code", ["invalid_request", "invalid_scope", "access_denied", "E1234", "x" * 128, "a.b:c"]
)
def test_r85_any_other_code_ends_it_with_400_alone(code: str) -> None:
    """R85 [2.7]: a code of RFC 6749's grammar that is in no list ends the session with 400."""
    assert outcome(400, {"error": code, "error_description": "any", "more": [1]}) == "ended"
    for status in set(STATUSES) - {400}:
        assert outcome(status, {"error": code}) == "kept", status


@pytest.mark.parametrize(
    "body",
    [
        {"timestamp": "2026-01-01T00:00:00.000+00:00", "status": 404, "error": "Not Found", "path": "/token"},
        {"timestamp": 1, "status": 400, "error": "Bad Request", "path": "/token"},
        {"error": "Too Many Requests"}, {"error": "The service is down."}, {"error": " "}, {"error": ""},
        {"error": {"code": "invalid_grant", "message": "Token expired"}}, {"errorCode": "E0000011"},
        {"error": ["invalid_grant"]}, {"error": 400}, {"error": True}, {"error": None}, {"error": "é"},
        {"error": "x" * 129}, {"error": "a\nb"}, {"error": 'a"b'}, {"code": "invalid_grant"}, {}, [],
        "invalid_grant", b"<html>invalid_grant</html>", b"error=invalid_grant",
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", STATUSES)
def test_r85_prose_and_other_forms_keep_it(status: int, body: object) -> None:
    """R85 [2.7]: a framework's own error page, prose and other forms say nothing about the grant."""
    assert outcome(status, body) == "kept"


def test_r85_an_empty_400_ends_it() -> None:
    """R85 [2.7]: 400 without a body is how some providers refuse a refresh; no other empty answer is."""
    assert outcome(400, b"") == outcome(400, b" \r\n") == "ended"
    assert {outcome(status, b"") for status in set(STATUSES) - {400}} == {"kept"}


def test_r85_a_code_that_is_refused_leaves_nothing_to_keep() -> None:
    """R85: at a login any error code of a 4xx refuses the authorization code, if it is nobody's fault."""
    assert outcome(403, {"error": "custom"}, is_code=True) == "ended"
    assert outcome(200, {"error": "bad_verification_code"}, is_code=True) == "ended"
    assert outcome(302, {"error": "custom"}, is_code=True) == "kept"
    assert outcome(429, {"error": "custom"}, is_code=True) == "kept"
    assert outcome(401, {"error": "invalid_client"}, is_code=True) == "operator"
    assert outcome(404, {"error": "Not Found"}, is_code=True) == "kept"


def test_r85_the_documentation_has_the_same_table() -> None:
    """R85 [2.7]: docs/sessions.md lists every code, each in its row."""
    text = (Path(__file__).parents[2] / "docs" / "sessions.md").read_text(encoding="utf-8")
    section = text.partition("### What ends a session at refresh")[2].partition("\n## ")[0]
    for verdict, codes in ((Verdict.ENDED, ENDED), (Verdict.OPERATOR, OPERATOR), (Verdict.MOMENT, MOMENT)):
        rows = [line for line in section.splitlines() if line.startswith("| ")]
        named = [set(re.findall(r"`([a-z_]+)`", row.split(" | ")[0])) for row in rows]
        assert set(codes) in named, verdict
        assert {code for code, found in CODES.items() if found is verdict} == set(codes)


def test_judge_is_total() -> None:
    """R85: any status with any code has one verdict, and no unknown one ends a session beyond 400."""
    for status in range(100, 600):
        for code in (None, "custom"):
            for is_empty in (False, True):
                verdict = judge(status, code, is_empty=is_empty)
                assert (verdict is Verdict.ENDED) == (status == 400 and (code is not None or is_empty))
