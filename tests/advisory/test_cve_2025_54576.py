"""CVE-2025-54576: a rule for public paths matched the query."""

import pytest

from gateway.core.decision.answers import Refuse
from gateway.core.reasons import Reason
from tests.support.decisions import ask, compiled


@pytest.mark.parametrize(
    "target", ["/private?x=/public/", "/private?/public/x", "/private??/public/", "/x/?a=1&b=/public/%2e%2e"]
)
def test_the_query_is_no_path(target: str):
    """R56: only the path is matched."""
    answer = ask(compiled(), target)
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.CREDENTIALS_MISSING


@pytest.mark.parametrize(
    "target",
    ["/private?x=/open", "/private?/open", "/open/private", "/open;/private", "/private;/open", "/?/open"],
)
def test_nor_is_it_one_page(target: str):
    """R56 [11.1]: a public page that is named exactly opens nothing that only mentions it."""
    known = compiled({"path": "/open", "exact": True, "access": "public"}, {"path": "/"})
    answer = ask(known, target)
    assert isinstance(answer, Refuse)
    assert answer.reason in (Reason.CREDENTIALS_MISSING, Reason.ROUTE_UNKNOWN)
