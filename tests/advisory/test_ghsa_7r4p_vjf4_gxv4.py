"""GHSA-7r4p-vjf4-gxv4: an identity field that the answer to a proxy lacked stayed the client's."""

import pytest

from gateway.core.decision.answers import Allow
from tests.support.asking import COOKIES, NAMES, WHOLE, asked
from tests.support.decisions import session_cookie


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("path", ["/public/x", "/optional/x", "/own/x", "/x"])
@pytest.mark.parametrize("claims", [None, {}, {"email": "a@example.com"}, {"email": "", "groups": []}])
def test_every_name_is_in_every_answer(kind: bytes, path: str, claims: dict | None):
    """[11.10] R53: with what is known, else empty; whatever the client sends under it, and whoever it is."""
    forged = tuple((name, b"mallory") for name in NAMES)
    who = () if claims is None else (session_cookie(COOKIES, **claims),)
    answer = asked(kind, path, *forged, *who, known=COOKIES)
    if not isinstance(answer, Allow):
        assert (claims, path) == (None, "/x") or kind == b"nginx/answer"
        return
    told = [name for name, _ in answer.headers]
    assert all(told.count(name) == 1 for name in NAMES)
    assert "mallory" not in str(answer.headers)
    if claims is None:
        assert not [value for name, value in answer.headers if name in NAMES and value]
