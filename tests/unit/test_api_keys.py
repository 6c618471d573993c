"""API keys in the pure core: their form, their settings, and what is decided of them."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.checks.every import check, warn
from gateway.core.access.streams import tie
from gateway.core.decide import decide
from gateway.core.decision.answers import Forward, Refuse
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import KeyRecord, KeyUsed
from gateway.core.headers.request import Request
from gateway.core.reasons import Reason, status_of
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import key_end
from gateway.core.tokens import api_key
from gateway.core.tokens.api_key import ApiKey, StoredKey
from gateway.syntax.api_keys import compose, id_of, is_key_id, is_owner, read_digest
from gateway.syntax.dates import read_date
from tests.support.configuration import KEY as SECRET
from tests.support.decisions import compiled
from tests.support.pure import HOST, NOW, settings

KEY = compose(bytes(range(10)), bytes(range(32)))
ID = id_of(KEY)
DIGEST = hashlib.sha256(KEY.encode()).digest()
RECORD = ApiKey(ID, DIGEST, "ci", ("deploy",), NOW - 100, NOW + 1000)
ROUTES = ({"path": "/keys/", "api_keys": True}, {"path": "/"})


class Asker:
    """One data plane's memory; ``stored`` is what the store would answer."""

    def __init__(self, stored: StoredKey | None = None, **keys: Any) -> None:
        self.known = compiled(*ROUTES, api_keys=keys)
        self.denylist = Denylist()
        self.denylist.synchronised_at = NOW
        self.stored = stored if stored is not None else StoredKey(self.sealed(RECORD))
        self.asked: list[KeyRecord] = []
        self.used: list[KeyUsed] = []

    def sealed(self, key: ApiKey) -> str:
        """Return a record as the store keeps it."""
        return self.known.ring.seal(api_key.PURPOSE, api_key.encode(key), bytes(12))

    def __call__(self, text: str = KEY, path: str = "/keys/x", now: float = NOW):
        """Decide one request, with what the store would answer."""
        facts: dict[Any, object] = {}
        knowledge = Knowledge(self.known, {}, self.denylist, Memory(), lambda _: None, lambda _: False, facts)
        request = Request(b"GET", path.encode(), HOST, ((b"X-API-Key", text.encode()),), "192.0.2.1")
        while True:
            self.denylist.synchronised_at = now
            answer = decide(request, knowledge, now, "id")
            if isinstance(answer, KeyRecord):
                self.asked.append(answer)
                facts[answer] = self.stored
            elif isinstance(answer, KeyUsed):
                self.used.append(answer)
                facts[answer] = True
            else:
                return answer


@given(st.integers(0, 253402300799))
def test_dates_are_those_of_the_calendar(second: int):
    """[11.8] Every second and every day is what the calendar says."""
    moment = datetime.fromtimestamp(second, UTC)
    assert read_date(moment.strftime("%Y-%m-%dT%H:%M:%SZ")) == second
    assert read_date(moment.strftime("%Y-%m-%d")) == second // 86400 * 86400


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2027",
        "2027-02-29",
        "2027-13-01",
        "2027-00-10",
        "2027-01-00",
        "2027-04-31",
        "1969-12-31",
        "2027-01-01T24:00:00Z",
        "2027-01-01T00:60:00Z",
        "2027-01-01T00:00:60Z",
        "2027-01-01T00:00:00",
        "2027-01-01T00:00:00+01:00",
        "2027-01-01 00:00:00Z",
        "2027-01-01\n",
        "٢٠٢٧-01-01",
        "2027-1-1",
    ],
)
def test_what_is_no_date(text: str):
    """[11.8] Other forms, other zones, days that no calendar has."""
    assert read_date(text) is None


def test_the_form_of_a_key():
    """[11.8] An id of 80 bits, a secret of 256; anything else is none."""
    assert KEY.startswith(f"gwk_{ID}_")
    assert is_key_id(ID)
    assert len(KEY) == 64
    for text in (
        "",
        "gwk_",
        KEY[1:],
        KEY + "A",
        KEY[:-1],
        KEY.upper(),
        KEY.replace("gwk", "gwK"),
        f"{KEY}\n",
    ):
        assert id_of(text) is None
    for few in ((bytes(9), bytes(32)), (bytes(10), bytes(16))):
        with pytest.raises(ValueError):
            compose(*few)
    assert read_digest("AB" * 32) is None
    assert not any(map(is_owner, ("", " x", "x ", "a\nb", "x" * 256)))


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_garbage_is_no_record(data: bytes):
    """R45 [11.8]: what the store holds and is none of our records names no key."""
    assert api_key.decode(data) is None


def test_a_record_is_read_as_it_was_written():
    """[11.8] And one with a member of another kind is none."""
    assert api_key.decode(api_key.encode(RECORD)) == RECORD
    for change in ({"owner": ""}, {"key_id": "x"}, {"scopes": ("a b",)}, {"digest": b"x"}):
        assert api_key.decode(api_key.encode(replace(RECORD, **change))) is None


def test_a_key_is_looked_up_once_a_minute():
    """[11.8] Remembered with its line, looked up again after a minute, and its use kept then."""
    ask = Asker()
    for later in (0, 1, 59.9):
        answer = ask(now=NOW + later)
        assert isinstance(answer, Forward)
    assert (len(ask.asked), len(ask.used)) == (1, 1)
    assert ask.asked[0].by == "192.0.2.1"
    assert not ask.asked[0].is_known
    assert isinstance(ask(now=NOW + 60), Forward)
    assert (len(ask.asked), len(ask.used)) == (2, 2)
    assert ask.asked[1].is_known


def test_a_clock_that_goes_back_trusts_nothing_that_it_has_not_seen():
    """R67 [11.8]: what was learned at a later moment is learned again."""
    ask = Asker()
    ask()
    ask(now=NOW - 3600)
    assert len(ask.asked) == 2


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (StoredKey(), Reason.KEY_UNKNOWN),
        (StoredKey("garbage"), Reason.KEY_UNKNOWN),
        (StoredKey(is_revoked=True), Reason.KEY_UNKNOWN),
    ],
)
def test_what_the_store_does_not_have_lets_nobody_in(stored: StoredKey, reason: Reason):
    """[11.8] No record, no record of ours, a mark alone."""
    answer = Asker(stored)()
    assert isinstance(answer, Refuse)
    assert answer.reason is reason
    assert status_of(reason) == 401


def test_a_record_of_another_key_or_marked_as_revoked():
    """R45 [11.8]: a record under another id is none; the mark refuses without the denylist, too."""
    ask = Asker()
    ask.stored = StoredKey(ask.sealed(replace(RECORD, key_id="a" * 16)))
    assert ask().reason is Reason.KEY_UNKNOWN
    ask.stored = StoredKey(ask.sealed(RECORD), is_revoked=True)
    assert ask().reason is Reason.REVOKED
    assert ask(KEY[:-3] + "AAA").reason is Reason.KEY_UNKNOWN
    assert not ask.used


def test_the_store_away():
    """R61 [11.8]: who is known goes on until the key expires; who is not is never let in."""
    ask = Asker()
    ask()
    ask.stored = StoredKey(is_away=True)
    assert isinstance(ask(now=NOW + 500), Forward)
    assert ask(now=NOW + 1000).reason is Reason.KEY_UNKNOWN
    assert Asker(StoredKey(is_away=True))().reason is Reason.KEY_UNKNOWN


def test_a_key_of_the_configuration_goes_on_while_the_store_is_away():
    """R61 [11.8]: it is known by its hash, and its secret is judged before anybody is asked."""
    entry = {"sha256": DIGEST.hex(), "owner": "robot", "expires": "2199-01-01"}
    ask = Asker(StoredKey(is_away=True), keys={ID: entry})
    answer = ask()
    assert isinstance(answer, Forward)
    assert answer.identity.subject == "robot"
    assert ask.asked[0].is_known
    assert ask(KEY[:-3] + "AAA").reason is Reason.KEY_UNKNOWN
    assert len(ask.asked) == 1


def test_a_route_takes_keys_only_where_it_says_so():
    """R70 [11.8]: off unless both the section and the route are there; remembered keys change nothing."""
    ask = Asker()
    assert isinstance(ask(), Forward)
    assert ask(path="/x").reason is Reason.KEY_UNKNOWN
    assert isinstance(ask(), Forward)
    assert len(ask.asked) == 1
    assert ask("").reason is Reason.KEY_UNKNOWN


@pytest.mark.parametrize(
    "fields",
    [
        [b"X-API-Key", b"X-API-Key"],
        [b"X-API-Key", b"x-api-key"],
        [b"X-API-Key", b"X-API-Key", b"Authorization"],
        [b"X-API-Key", b"Authorization", b"Authorization"],
        [b"Authorization", b"Authorization"],
    ],
)
def test_a_credential_that_comes_twice_is_none(fields: list[bytes]):
    """R46 [11.8]: neither counts, also where both are the same."""
    ask = Asker()
    values = {b"Authorization": b"Basic eDp5"}
    headers = tuple((name, values.get(name, KEY.encode())) for name in fields)
    knowledge = Knowledge(ask.known, {}, ask.denylist, Memory(), lambda _: None, lambda _: False)
    answer = decide(Request(b"GET", b"/keys/x", HOST, headers, "192.0.2.1"), knowledge, NOW, "id")
    assert isinstance(answer, Refuse)
    assert answer.reason is Reason.REQUEST_MALFORMED


def test_without_the_section_the_field_is_anybodys():
    """[11.8] It passes as it came, as any other field."""
    known = compiled({"path": "/", "access": "public"})
    denylist = Denylist()
    knowledge = Knowledge(known, {}, denylist, Memory(), lambda _: None, lambda _: False)
    request = Request(b"GET", b"/", HOST, ((b"X-API-Key", b"mine"),), "192.0.2.1")
    answer = decide(request, knowledge, NOW, "id")
    assert (b"X-API-Key", b"mine") in answer.headers


def test_r44_the_denylist_names_a_key():
    """R44, R49 [11.8]: by its id, or with everybody by when it was made; what is open ends with it."""
    ask = Asker()
    forward = ask()
    basis = tie(forward, Knowledge(ask.known, {}, ask.denylist, Memory(), lambda _: None, lambda _: False))
    assert ("key", "", ID) in basis.names
    assert basis.judge(ask.denylist, NOW + 999) is None
    assert basis.judge(ask.denylist, NOW + 1000) is Reason.KEY_EXPIRED
    ask.denylist.add(key_end("b" * 16, NOW + 1000))
    assert isinstance(ask(), Forward)
    ask.denylist.add(key_end(ID, NOW + 1000))
    assert ask().reason is Reason.REVOKED
    assert basis.judge(ask.denylist, NOW) is Reason.REVOKED
    assert ask.denylist.expire(NOW + 1059) == 0
    assert ask.denylist.expire(NOW + 1061) == 2


GOOD = {"sha256": "ab" * 32, "owner": "ci", "expires": "2027-06-30"}


@pytest.mark.parametrize(
    ("keys", "at"),
    [
        ({"header": "X Y"}, "api_keys.header"),
        ({"header": "Authorization"}, "api_keys.header"),
        ({"header": "Cookie"}, "api_keys.header"),
        ({"header": "X_Forwarded_User"}, "api_keys.header"),
        ({"header": "X-Auth-Request-User"}, "api_keys.header"),
        ({"header": "Sec-Fetch-Mode"}, "api_keys.header"),
        ({"header": "x-gateway-assertion"}, "api_keys.header"),
        ({"keys": {"short": GOOD}}, "api_keys.keys.short"),
        ({"keys": {ID: GOOD | {"sha256": "x"}}}, f"api_keys.keys.{ID}.sha256"),
        ({"keys": {ID: GOOD | {"owner": " "}}}, f"api_keys.keys.{ID}.owner"),
        ({"keys": {ID: GOOD | {"scopes": ["a b"]}}}, f"api_keys.keys.{ID}.scopes[0]"),
        ({"keys": {ID: GOOD | {"expires": "soon"}}}, f"api_keys.keys.{ID}.expires"),
        ({"keys": {ID: GOOD | {"created": "then"}}}, f"api_keys.keys.{ID}.created"),
        ({"keys": {ID: GOOD | {"created": "2028-01-01"}}}, f"api_keys.keys.{ID}.expires"),
        ({"keys": {ID: GOOD, "b" * 16: GOOD}}, f"api_keys.keys.{'b' * 16}.sha256"),
    ],
)
def test_what_the_configuration_refuses(keys: dict[str, Any], at: str):
    """[11.8] Each at its setting."""
    found = check(settings({"path": "/", "api_keys": True}, api_keys=keys, secret_keys=[SECRET]))
    assert [str(each).partition(":")[0] for each in found] == [at]


def test_a_route_that_could_not_take_keys():
    """[11.8] Without the section, and where nobody is looked at."""
    (found,) = check(settings({"path": "/", "api_keys": True}, secret_keys=[SECRET]))
    assert found.path == ("routes", 0, "api_keys")
    public = settings({"path": "/", "api_keys": True, "access": "public"}, api_keys={}, secret_keys=[SECRET])
    (found,) = check(public)
    logged = settings(api_keys={"header": "X-Machine"}, log={"request_headers": ["x-machine"]})
    assert [str(each).partition(":")[0] for each in check(logged)] == ["secret_keys[0]", "api_keys.header"]
    assert found.path == ("routes", 0, "api_keys")


def test_what_the_configuration_warns_of():
    """[11.8] Keys that count nowhere, that need no scope, and owners who look like people."""

    def told(*routes: dict[str, Any], **changes: Any) -> list[str]:
        found = warn(settings(*routes, api_keys={}, **changes))
        return [str(each).partition(":")[0] for each in found if "key" in str(each).lower()]

    assert told() == ["api_keys"]
    scoped = {"path": "/", "api_keys": True, "require": {"scopes": ["x"]}}
    for way in ("access_token", {"exchange": {"audience": "a"}}):
        assert "routes[0].authorization" in told(scoped | {"authorization": way})
    assert told({"path": "/", "api_keys": True}) == ["routes[0].api_keys", "identity_headers"]
    assert not told(
        {"path": "/", "api_keys": True, "require": {"scopes": ["x"]}},
        identity_headers={"X-Forwarded-User": "sub", "X-Forwarded-Issuer": "iss"},
    )


def test_owners_who_look_like_people_are_warned_of_where_they_come_in():
    """[11.8, 11.9, 11.1] By what a route tells, by user names, and by policies that ask for a name alone."""

    def told(route: dict[str, Any], names: dict[str, str], **changes: Any) -> list[str]:
        own = {"path": "/", "api_keys": True, "require": {"scopes": ["x"]}, **route}
        found = warn(settings(own, api_keys={}, identity_headers=names, **changes))
        return [str(each).partition(":")[0] for each in found if "API key" in str(each)]

    issuer = {"X-Forwarded-User": "sub", "X-Forwarded-Issuer": "iss"}
    basic = {"authorization": {"basic": {"username": "sub", "password": "x"}}}
    assert told({}, issuer) == []
    assert told({}, {"X-Forwarded-User": "sub"}) == ["identity_headers"]
    assert told({"identity_headers": {"X-User": "sub"}}, issuer) == ["routes[0].identity_headers"]
    assert told({"identity_headers": issuer}, {"X-Forwarded-User": "sub"}) == []
    assert told(basic, issuer) == ["routes[0].authorization.basic"]
    assert told({"require": {"scopes": ["x"], "claims": {"sub": "alice"}}}, issuer) == ["routes[0].require"]
    by_issuer = {"claims": {"sub": "alice", "iss": "urn:token-gateway:api-keys"}, "scopes": ["x"]}
    assert told({"require": by_issuer}, issuer) == []
