"""CVE-2021-32786, CVE-2021-39191, CVE-2022-23527, CVE-2021-21291: open redirects after login or logout."""

from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.access.to_login import safe_return
from gateway.core.decision.answers import Login, Respond
from tests.support.decisions import ask, compiled

KNOWN = compiled()
SITE = KNOWN.sites[b"app.example.com"]
PIECES = [
    "/",
    "\\",
    "//",
    "evil.example",
    ":",
    "@",
    "https:",
    "http:",
    ".",
    "..",
    "%2f",
    "%5c",
    "%09",
    "\t",
    "\n",
    "\r",
    " ",
    "\0",
    "?",
    "#",
    ";",
    "app.example.com",
    "https://app.example.com",
    "javascript:",
    "é",
    "/ok",
]


def as_a_browser(base: str, location: str) -> str:
    """Return where a browser goes: it drops tabs and line breaks, and reads a backslash as a slash."""
    cleaned = location.strip("".join(map(chr, range(0x21)))).translate({9: None, 10: None, 13: None})
    path, mark, query = cleaned.partition("?")
    return urljoin(base, path.replace("\\", "/") + mark + query)


@given(st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
@example("https://app.example.com.evil.example/")
@example("https://app.example.com@evil.example/")
@example("https://app.example.com\\@evil.example/")
@example("/\t/evil.example")
@example("/.//evil.example")
@example("/..//evil.example")
def test_r11_a_browser_stays_here(wanted: str):
    """R11: whatever return URL was asked for, a browser that follows it stays on this site."""
    found = SITE.origin + safe_return(SITE, wanted)
    parts = urlsplit(as_a_browser("https://provider.example/login", found))
    assert (parts.scheme, parts.netloc) == ("https", "app.example.com")


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "/\\evil.example", "https://evil.example", "/%0d%0aX: y"]
)
def test_the_login_endpoint_keeps_none_of_them(wanted: str):
    """R11: what the login remembers has been judged already."""
    answer = ask(KNOWN, f"/.gateway/login?return_to={quote(wanted, safe='')}")
    assert isinstance(answer, Login)
    assert answer.return_to == "/"


def test_a_logout_goes_nowhere_that_a_request_names():
    """CVE-2022-23527: no parameter of a logout says where the browser goes afterwards."""
    for query in (
        "?post_logout_redirect_uri=https://evil.example",
        "?logout=https://evil.example",
        "?return_to=//e",
    ):
        for fields in ((b"Accept", b"text/html"), (b"Accept", b"*/*")):
            answer = ask(KNOWN, f"/.gateway/logout{query}", fields, method=b"POST")
            assert isinstance(answer, Respond)
            assert "evil" not in f"{answer.location}{answer.json}"


@pytest.mark.parametrize(
    "wanted",
    [
        *("https://evil.example/x", "//evil.example/x", "/\\evil.example", "https:evil.example"),
        *("https://app.example.com.evil.example/", "https://app.example.com@evil.example/"),
        *("https://app.example.com\\@evil.example/", "https://app.example.com\t.evil.example/"),
        *(
            "http://app.example.com/",
            "https://app.example.com:8443/x",
            "https://app.example.com%2f@evil.example/",
        ),
    ],
)
def test_the_host_of_logins_leads_to_our_sites_alone(wanted: str):
    """R11 [11.2]: where people log in for every site, no return URL leads to any other."""
    known = compiled(login_host="https://login.example.com", public_url=["https://app.example.com"])
    answer = ask(known, f"/.gateway/login?return_to={quote(wanted, safe='')}", host=b"login.example.com")
    assert isinstance(answer, Login)
    assert answer.return_to == "/"
