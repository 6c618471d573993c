"""Whatever comes to a callback or to the login endpoint is answered, and begins no session by itself."""

import os
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.access import pending
from gateway.core.decision.answers import Login, Refuse, Respond
from gateway.core.decision.needs import KeptPage, Metadata
from gateway.core.reasons import Reason
from gateway.core.sessions.pending import begin_pending, encode_pending
from tests.support.decisions import ask, compiled
from tests.support.pure import ISSUER, NOW, PREFIX

PROVIDERS = {
    name: {
        "issuer": issuer,
        "client_id": "w",
        "client_secret": "s",
        "audiences": ["a"],
        "response_mode": mode,
    }
    for name, issuer, mode in (
        ("corporate", ISSUER, "query"),
        ("apple", "https://apple.example.com", "form_post"),
    )
}
KNOWN = compiled(providers=PROVIDERS)
ORIGIN = "https://app.example.com"


def begun(provider: str, page: str, answer: tuple[str, str, str] | None) -> tuple[str, str]:
    """Return a state as it was sent, and the Cookie field of its login."""
    callback = "" if provider == "corporate" else "*"
    login = begin_pending(os.urandom(32), provider, page, NOW - 5, callback, answer=answer)
    seal = KNOWN.ring.seal
    sealed = seal(f"login {ORIGIN}", encode_pending(login), os.urandom(12))
    state = pending.state_of(login, seal(pending.page_purpose(ORIGIN), page.encode(), os.urandom(12)))
    return state, f"{pending.state_cookie_name(f'{PREFIX}login-', state)}={sealed}"


TEXT = st.text(max_size=12)
PAGES = st.sampled_from(["/", "/deep?x=1#y", "@reference", ""])
ANSWERS = st.none() | st.tuples(TEXT, TEXT, TEXT)
PIECES = st.lists(
    st.sampled_from(
        ["state=%s", "state=%s.", "code=c", "code=", "error=denied", f"iss={ISSUER}", "&", "x=%%ff", "state"]
    )
    | TEXT.map(lambda text: "z=" + quote(text).replace("%", "%%")),
    max_size=6,
)


@given(
    st.sampled_from(sorted(PROVIDERS)),
    PAGES,
    ANSWERS,
    PIECES,
    st.sampled_from(["callback", "callback/apple", "login", "callback/x"]),
    st.sampled_from([b"GET", b"POST", b"PUT"]),
    st.booleans(),
)
@settings(deadline=None)
def test_any_callback_is_answered(
    provider: str,
    page: str,
    answer: tuple[str, str, str] | None,
    pieces: list[str],
    endpoint: str,
    method: bytes,
    with_cookie: bool,
):
    """R4 R71: no session without a token call; another provider's callback asks for no metadata even."""
    state, cookie = begun(provider, page, answer)
    query = "&".join(pieces).replace("%s", quote(state)).replace("%%", "%")
    headers = [(b"Content-Type", b"application/x-www-form-urlencoded"), (b"Accept", b"text/html")]
    if with_cookie:
        headers.append((b"Cookie", cookie.encode()))
    found = ask(KNOWN, f"/.gateway/{endpoint}?{query}", *headers, method=method)
    assert isinstance(found, Refuse | Respond | Login | Metadata | KeptPage)
    if isinstance(found, Metadata):
        own = "callback" if provider == "corporate" else "callback/apple"
        assert (endpoint, found.provider) == (own, provider)
        assert with_cookie
    if isinstance(found, Respond):
        assert found.reason is Reason.LOGIN_RETURNED
    if not isinstance(found, Metadata | KeptPage):
        assert not any(change.name == f"{PREFIX}session" for change in found.cookies)
    if isinstance(found, Refuse) and found.login_url is not None:
        assert found.login_url.startswith(f"{ORIGIN}/.gateway/login")


def test_a_provider_that_a_reload_took_away():
    """[4.11]: whoever comes back from it is led to a login that there is."""
    state, cookie = begun("corporate", "/deep?x=1", None)
    left = compiled(providers={"apple": PROVIDERS["apple"]})
    query = f"?state={state}&code=c"
    answer = ask(left, f"/.gateway/callback{query}", (b"Accept", b"text/html"), (b"Cookie", cookie.encode()))
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.LOGIN_STATE_UNKNOWN
    assert answer.login_url is not None
    again = ask(left, answer.login_url.removeprefix(ORIGIN), (b"Accept", b"text/html"))
    assert isinstance(again, Login)
    assert (again.provider, again.return_to) == ("apple", "/deep?x=1")
