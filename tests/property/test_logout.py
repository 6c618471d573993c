"""Whatever arrives at the endpoints of logout, they answer."""

from urllib.parse import urlencode

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.decision.answers import Refuse, Respond
from gateway.core.decision.needs import Revoke
from gateway.syntax import forms
from tests.support.logout import FORM, NAVIGATE, Desk, compiled, cookie, logout_token

KNOWN = compiled(frontchannel_logout=True)
TOKEN = logout_token()


@given(st.binary(max_size=2000))
@example(b"logout_token=" + b"." * 100)
@example(b"logout_token=e30.e30.")
@example(b"logout_token=" + b"[" * 10_000)
def test_r52_any_bytes_as_a_logout_request(body: bytes):
    """R52: 400, whatever it is; nothing is written, nothing raises."""
    desk = Desk(KNOWN)
    answer = desk.ask(b"POST", "backchannel-logout", FORM, body=body)
    assert isinstance(answer, Respond)
    assert answer.status == 400
    assert len(desk.denylist) == 0


@given(st.binary(max_size=400))
def test_r52_any_bytes_as_a_logout_token(token: bytes):
    """R52: well inside the form, and still no token."""
    body = b"logout_token=" + b"".join(b"%%%02x" % byte for byte in token)
    answer = Desk(KNOWN).ask(b"POST", "backchannel-logout", FORM, body=body)
    assert isinstance(answer, Respond)
    assert answer.status == 400


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("Aa0-_.=% "))
def test_r51_a_token_changed_anywhere(at: int, letter: str):
    """R51: one letter more, less or other, and the token is no token any more."""
    head, tail = TOKEN[:at], TOKEN[at + 1 :]
    for changed in (head + letter + tail, head + letter + TOKEN[at:], head + tail):
        if changed == TOKEN:
            continue
        desk = Desk(KNOWN)
        answer = desk.backchannel(changed)
        assert isinstance(answer, Respond)
        assert answer.status == 400
        assert not any(isinstance(need, Revoke) for need in desk.needs)


@given(st.binary(max_size=500))
@example(b"everywhere=1")
def test_any_bytes_as_a_logout_form(body: bytes):
    """Logged out, everywhere if that is what it says, or refused as malformed; never both."""
    desk = Desk(KNOWN)
    answer = desk.ask(b"POST", "logout", *NAVIGATE, FORM, cookie(KNOWN), body=body)
    fields = forms.read_form(body) if body else {}
    if fields is None or fields.get("everywhere", "1") != "1":
        assert isinstance(answer, Refuse)
        assert len(desk.denylist) == 0
    else:
        assert isinstance(answer, Respond)
        assert len(desk.denylist) == 1 + ("everywhere" in fields)


@given(st.binary(max_size=200).map(lambda query: b"".join(b"%%%02x" % byte for byte in query)), st.booleans())
def test_any_query(query: bytes, in_value: bool):
    """The two endpoints that read a query answer whatever it holds."""
    text = (b"state=" + query if in_value else query).decode()
    answer = Desk(KNOWN).ask(b"GET", f"logged-out?{text}", cookie(KNOWN, None, None, logout="x"))
    assert isinstance(answer, Respond)
    assert answer.values["provider_session"] == "open"
    answer = Desk(KNOWN).ask(b"GET", f"frontchannel-logout?{text.replace('state', 'sid')}")
    assert isinstance(answer, Refuse)


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=50), max_size=20))
def test_forms_come_back_whole(fields: dict[str, str]):
    """What a browser encodes is read as it was meant; the same field once more, and nothing is."""
    try:
        body = urlencode(fields).encode()
    except UnicodeEncodeError:
        return
    assert forms.read_form(body) == fields
    if fields:
        name = next(iter(fields))
        assert forms.read_form(body + b"&" + urlencode({name: "x"}).encode()) is None


@given(st.binary(max_size=300))
def test_forms_of_any_bytes(body: bytes):
    """Fields or None, and never more than twenty."""
    found = forms.read_form(body)
    assert found is None or len(found) <= 20
