"""The decision as a table: no socket, no clock, no store."""

import base64
import hashlib
import os
from dataclasses import replace

import pytest

from gateway.config.settings.root import Settings
from gateway.core.decide import decide, due_cookies
from gateway.core.decision.answers import Forward, Login, Refuse, Respond
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import Admit, Confirm, Keys, Metadata, RedeemCode, Refresh, UseOnce
from gateway.core.headers.request import Request
from gateway.core.provider import ProviderMetadata
from gateway.core.reasons import Reason
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.core.rules.rate_limit import Allowance
from gateway.core.runtime import compile_settings
from gateway.core.sessions import codec, renewal
from gateway.core.sessions.model import Grant, Renewed, Session, SessionOver
from gateway.core.tokens.keys import KeySet
from tests.support import decisions

NOW = 1_800_000_000.0
KEY = "A" * 43 + "="
PREFIX = "__Host-gateway-"
NAVIGATE = ((b"Accept", b"text/html"), (b"Sec-Fetch-Mode", b"navigate"))

SETTINGS = Settings.model_validate(
    {
        "public_url": ["https://app.example.com"],
        "secret_keys": [KEY],
        "providers": {
            "corporate": {
                "issuer": "https://login.example.com",
                "client_id": "web",
                "client_secret": "s",
                "audiences": ["api"],
            }
        },
        "upstreams": {"app": {"servers": ["http://127.0.0.1:3000"]}},
        "routes": [
            {"path": "/public/", "upstream": "app", "access": "public"},
            {"path": "/optional/", "upstream": "app", "access": "optional"},
            {"path": "/api/", "upstream": "app", "access": "required", "unauthenticated": "reject"},
            {"path": "/admin/", "upstream": "app", "access": "required", "require": {"groups": ["admins"]}},
            {
                "path": "/cors/",
                "upstream": "app",
                "access": "required",
                "preflight": {"origins": ["https://spa.example.com"], "credentials": True},
            },
            {
                "path": "/forwarded-preflight/",
                "upstream": "app",
                "access": "required",
                "preflight": "forward",
            },
            {"path": "/step-up/", "upstream": "app", "access": "required", "require": {"acr": ["gold"]}},
            {"path": "/", "upstream": "app", "access": "required"},
        ],
    }
)
COMPILED = compile_settings(SETTINGS)

SESSION = Session(
    session_id="session-1",
    provider="corporate",
    issuer="https://login.example.com",
    subject="alice",
    sid="sid-1",
    claims={"sub": "alice", "groups": ["staff"]},
    scopes=frozenset({"openid"}),
    login_at=NOW - 100,
    ends_at=NOW + 86400,
    seen_at=NOW - 100,
    renewed_at=NOW - 100,
    access_expires_at=NOW + 3500,
)
GRANT = Grant("session-1", 0, "refresh-0")
CLAIM = renewal.rotation_id(COMPILED.providers["corporate"], GRANT)


def knowing(**changes) -> Knowledge:
    """Knowledge with a fresh, empty replica."""
    denylist = Denylist()
    denylist.synchronised_at = NOW
    base = Knowledge(
        runtime=COMPILED,
        keys={},
        denylist=denylist,
        memory=Memory(),
        recent_outcome=lambda _: None,
        confirmed=lambda _: False,
    )
    return replace(base, **changes)


def request(path: str, *headers, method: bytes = b"GET", host: bytes = b"app.example.com") -> Request:
    return Request(method, path.encode(), host, ((b"Host", host), *headers), "192.0.2.1")


def cookie(session: Session | None = SESSION, grant: Grant | None = GRANT) -> tuple[bytes, bytes]:
    ring, origin, pairs = COMPILED.ring, "https://app.example.com", []
    if session is not None:
        sealed = ring.seal(f"session {origin}", codec.encode_session(session), os.urandom(12))
        pairs.append(f"{PREFIX}session={sealed}")
    if grant is not None:
        sealed = ring.seal(f"refresh {origin}", codec.encode_grant(grant), os.urandom(12))
        pairs.append(f"{PREFIX}refresh={sealed}")
    return (b"Cookie", "; ".join(pairs).encode())


def ask(req: Request, knowledge: Knowledge | None = None, now: float = NOW):
    return decide(req, knowledge or knowing(), now, "request-1")


@pytest.mark.parametrize(
    ("req", "kind", "reason"),
    [
        (request("/public/x"), Forward, Reason.PUBLIC),
        (request("/optional/x"), Forward, Reason.ANONYMOUS),
        (request("/x", cookie()), Forward, Reason.AUTHENTICATED),
        (request("/optional/x", cookie()), Forward, Reason.AUTHENTICATED),
        (request("/x", *NAVIGATE), Login, Reason.LOGIN_REQUIRED),
        (request("/x"), Refuse, Reason.CREDENTIALS_MISSING),
        (request("/x", *NAVIGATE, method=b"POST"), Refuse, Reason.CREDENTIALS_MISSING),
        (
            request("/x", (b"Accept", b"text/html"), (b"X-Requested-With", b"XMLHttpRequest")),
            Refuse,
            Reason.CREDENTIALS_MISSING,
        ),
        (
            request("/x", (b"Accept", b"text/html"), (b"Sec-Fetch-Mode", b"cors")),
            Refuse,
            Reason.CREDENTIALS_MISSING,
        ),
        (request("/api/x", *NAVIGATE), Refuse, Reason.CREDENTIALS_MISSING),
        (request("/admin/x", cookie()), Refuse, Reason.GROUP_MISSING),
        (request("/step-up/x", cookie(), *NAVIGATE), Login, Reason.AUTHENTICATION_TOO_WEAK),
        (request("/step-up/x", cookie()), Refuse, Reason.AUTHENTICATION_TOO_WEAK),
        (request("/x", host=b"evil.example"), Refuse, Reason.HOST_UNKNOWN),
        (request("/public/x", host=b"evil.example"), Refuse, Reason.HOST_UNKNOWN),
        (request("/a//b"), Refuse, Reason.PATH_AMBIGUOUS),
        (request("/x", method=b"TRACE"), Refuse, Reason.METHOD_UNSUPPORTED),
        (request("/.gateway/nothing"), Refuse, Reason.ROUTE_UNKNOWN),
        (request("/.gateway/login"), Login, Reason.LOGIN_STARTED),
        (request("/.gateway/login", method=b"POST"), Refuse, Reason.METHOD_UNSUPPORTED),
        (request("/.gateway/login?provider=other"), Refuse, Reason.REQUEST_MALFORMED),
        (request("/.gateway/callback"), Refuse, Reason.LOGIN_RESPONSE_MALFORMED),
        (request("/.gateway/logout"), Respond, Reason.LOGOUT_CONFIRM),
        (request("/.gateway/userinfo"), Refuse, Reason.CREDENTIALS_MISSING),
        (request("/.gateway/userinfo", cookie()), Respond, Reason.USERINFO),
        (
            request("/x", (b"Authorization", b"Bearer a"), (b"authorization", b"Bearer a")),
            Refuse,
            Reason.REQUEST_MALFORMED,
        ),
        (request("/x", (b"Authorization", b"Bearer " + b"a" * 20000)), Refuse, Reason.TOKEN_MALFORMED),
        (request("/x", (b"Authorization", b"Bearer x y")), Refuse, Reason.TOKEN_MALFORMED),
        (request("/optional/x", (b"Authorization", b"Bearer x")), Refuse, Reason.TOKEN_MALFORMED),
        (request("/x", (b"Authorization", b"Basic YTpi")), Refuse, Reason.CREDENTIALS_MISSING),
        (request("/x", (b"Cookie", b"__Host-gateway-session=garbage")), Refuse, Reason.SESSION_INVALID),
        (request("/optional/x", (b"Cookie", b"__Host-gateway-session=garbage")), Forward, Reason.ANONYMOUS),
        (request("/x", cookie(replace(SESSION, ends_at=NOW))), Refuse, Reason.SESSION_EXPIRED),
        (request("/x", cookie(replace(SESSION, seen_at=NOW - 8 * 3600))), Refuse, Reason.SESSION_EXPIRED),
        (
            request("/x", cookie(replace(SESSION, access_expires_at=NOW), None)),
            Refuse,
            Reason.SESSION_EXPIRED,
        ),
        (
            request("/x", cookie(replace(SESSION, issuer="https://other.example"))),
            Refuse,
            Reason.SESSION_INVALID,
        ),
    ],
)
def test_table(req, kind, reason):
    """What is answered, and why."""
    answer = ask(req)
    assert isinstance(answer, kind)
    assert answer.reason is reason


def test_an_expired_access_token_needs_a_refresh():
    """Expired: the refresh is needed before the request goes on, and named by its claim."""
    req = request("/x", cookie(replace(SESSION, access_expires_at=NOW - 1)))
    need = ask(req)
    assert isinstance(need, Refresh)
    assert need.rotation_id == CLAIM
    fresh = replace(SESSION, access_expires_at=NOW + 60, renewed_at=NOW, generation=1)
    answer = ask(
        req, knowing(facts={need: Renewed(fresh, replace(GRANT, refresh_token="refresh-1", generation=1))})
    )
    assert isinstance(answer, Forward)
    assert [change.name for change in answer.cookies] == [f"{PREFIX}session", f"{PREFIX}refresh"]
    over = ask(req, knowing(facts={need: SessionOver(Reason.SESSION_ENDED)}))
    assert isinstance(over, Refuse)
    # who has waited may be late; the next request, which need not wait, clears them (R75)
    assert over.cookies == ()
    over = ask(req, knowing(recent_outcome={CLAIM: SessionOver(Reason.SESSION_ENDED)}.get))
    assert {change.value for change in over.cookies} == {None}


def test_a_due_access_token_goes_on_and_refreshes_behind():
    """Ahead of expiry: forwarded now, with the refresh as a background need."""
    answer = ask(request("/x", cookie(replace(SESSION, access_expires_at=NOW + 30))))
    assert isinstance(answer, Forward)
    assert answer.background == (Refresh(CLAIM, SESSION, GRANT),)
    assert answer.cookies == ()


def test_a_short_lived_token_is_not_always_due():
    """``refresh_before_expiry`` is cut to a quarter of the token's life."""
    short = replace(SESSION, renewed_at=NOW - 10, access_expires_at=NOW + 50)
    assert ask(request("/x", cookie(short))).background == ()


def test_cookies_ride_only_for_who_presented_the_older_generation():
    """CVE-2024-51987: news of another session, or of one that was revoked meanwhile, never rides."""
    renewed = Renewed(replace(SESSION, generation=1), replace(GRANT, generation=1, refresh_token="r1"))
    due = replace(SESSION, access_expires_at=NOW + 30)
    forward = ask(request("/x", cookie(due)))
    news = {CLAIM: renewed}
    assert due_cookies(forward, knowing(recent_outcome=news.get), NOW)
    assert due_cookies(forward, knowing(recent_outcome={"other": renewed}.get), NOW) == ()
    anonymous = ask(request("/public/x", cookie(due)))
    assert due_cookies(anonymous, knowing(recent_outcome=news.get), NOW) == ()
    revoked = knowing(recent_outcome=news.get)
    revoked.denylist.add(DenyEntry("session", "", "session-1", NOW, NOW + 100))
    assert due_cookies(forward, revoked, NOW) == ()


def test_the_new_cookie_confirms_its_rotations():
    """Presenting a grant with unconfirmed rotations asks for their confirmation, once."""
    rotations = tuple(codec.rotation_name(GRANT.session_id, name) for name in ("h1", "h0"))
    grant = replace(GRANT, generation=1, unconfirmed=rotations)
    req = request("/x", cookie(replace(SESSION, generation=1), grant))
    assert ask(req).background == (Confirm(rotations, SESSION.ends_at),)
    assert ask(req, knowing(confirmed=lambda _: True)).background == ()


@pytest.mark.parametrize(
    "entry",
    [
        DenyEntry("session", "", "session-1", 0, NOW + 9),
        DenyEntry("sub", "https://login.example.com", "alice", NOW, NOW + 9),
        DenyEntry("sid", "https://login.example.com", "sid-1", NOW, NOW + 9),
        DenyEntry("all", "", "", NOW, NOW + 9),
        DenyEntry("all", "https://login.example.com", "", NOW, NOW + 9),
    ],
)
def test_r44_each_kind_of_entry_refuses_a_session(entry):
    """R44: also for a navigation, with a page and the cookies cleared; and before any refresh."""
    knowledge = knowing()
    knowledge.denylist.add(entry)
    for session in (SESSION, replace(SESSION, access_expires_at=NOW - 1)):
        answer = ask(request("/x", cookie(session), *NAVIGATE), knowledge)
        assert isinstance(answer, Refuse)
        assert answer.reason is Reason.REVOKED
        assert answer.html
        assert answer.cookies


def test_login_time_decides():
    """What was issued after T is not touched by ``sub``, ``sid`` and ``all``."""
    knowledge = knowing()
    knowledge.denylist.add(DenyEntry("sub", "https://login.example.com", "alice", NOW - 200, NOW + 9))
    assert isinstance(ask(request("/x", cookie()), knowledge), Forward)


def test_r61_stale_replica():
    """R61: never synchronised, or too long ago, is stale; the route's policy decides."""
    for at in (None, NOW - 11):
        knowledge = knowing()
        knowledge.denylist.synchronised_at = at
        answer = ask(request("/x", cookie()), knowledge)
        assert answer.reason is Reason.DENYLIST_STALE
        assert answer.retry_after
        assert answer.cookies == ()
        assert isinstance(ask(request("/public/x"), knowledge), Forward)


def test_a_bearer_token_needs_keys_first():
    """Without a key set the decision names it."""
    import base64
    import json

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    token = f"{part({'alg': 'RS256', 'kid': 'k'})}.{part({'iss': 'https://login.example.com'})}.c2ln"
    assert ask(request("/x", (b"Authorization", f"Bearer {token}".encode()))) == Keys("corporate", None)
    token = f"{part({'alg': 'RS256', 'kid': 'k'})}.{part({'iss': 'https://other.example.com'})}.c2ln"
    answer = ask(request("/x", (b"Authorization", f"Bearer {token}".encode())))
    assert answer.reason is Reason.TOKEN_ISSUER


def preflight(path: str, origin: bytes = b"https://spa.example.com", **more) -> Request:
    fields = {b"Origin": origin, b"Access-Control-Request-Method": b"GET"} | more.get("fields", {})
    return request(path, *fields.items(), method=b"OPTIONS")


def test_preflights():
    """A preflight is refused, forwarded without identity, or answered; no origin is ever reflected (R48)."""
    assert ask(preflight("/x")).reason is Reason.ORIGIN_FORBIDDEN
    forwarded = ask(preflight("/forwarded-preflight/"))
    assert isinstance(forwarded, Forward)
    assert forwarded.identity is None
    answered = ask(preflight("/cors/"))
    assert isinstance(answered, Respond)
    assert (b"Access-Control-Allow-Origin", b"https://spa.example.com") in answered.headers
    assert ask(preflight("/cors/", b"https://evil.example")).reason is Reason.ORIGIN_FORBIDDEN
    odd = preflight("/cors/", fields={b"Access-Control-Request-Headers": b"x-evil"})
    assert ask(odd).reason is Reason.ORIGIN_FORBIDDEN


def test_r13_the_redirect_uri_comes_from_the_configuration():
    """R13: whatever Host says in whatever spelling."""
    for host in (b"app.example.com", b"app.example.com:443"):
        answer = ask(request("/x", *NAVIGATE, host=host))
        assert isinstance(answer, Login)
        assert answer.redirect_uri == "https://app.example.com/.gateway/callback"


def test_asking_twice_gives_the_same():
    """The decision is a function: the same question has the same answer, memories or not."""
    knowledge = knowing()
    for req in (request("/x", cookie()), request("/x", *NAVIGATE), request("/api/x")):
        answers = [ask(req, knowledge), ask(req, knowledge), ask(req)]
        told = [each.headers if isinstance(each, Forward) else each for each in answers]
        assert told[0] == told[1] == told[2]


def test_r71_a_login_of_the_version_before_is_finished():
    """R71: a pending cookie as that version sealed it leads to the token call, with the URI it had sent."""
    recorded = b'["state-1","nonce-1","verifier-1","corporate","/deep?x=1",1799999990.25]'
    sealed = COMPILED.ring.seal("login https://app.example.com", recorded, os.urandom(12))
    # as that version named it: SHA-256 of the state, 16 characters
    name = PREFIX + "login-" + base64.urlsafe_b64encode(hashlib.sha256(b"state-1").digest()).decode()[:16]
    req = request(
        "/.gateway/callback?state=state-1&code=c&iss=https://login.example.com",
        (b"Cookie", f"{name}={sealed}".encode()),
    )
    facts: dict = {}
    answer = ask(req, knowing(facts=facts))
    assert answer == Metadata("corporate")
    facts[answer] = ProviderMetadata("https://login.example.com", "https://l/a", "https://l/t", "https://l/j")
    answer = ask(req, knowing(facts=facts))
    assert isinstance(answer, Keys)
    facts[answer] = KeySet({}, NOW, NOW + 86400)
    answer = ask(req, knowing(facts=facts))
    assert isinstance(answer, Admit)
    facts[answer] = Allowance(1, 0, None)
    answer = ask(req, knowing(facts=facts))
    assert isinstance(answer, UseOnce)
    facts[answer] = True
    answer = ask(req, knowing(facts=facts))
    assert answer == RedeemCode("corporate", "c", "verifier-1", "https://app.example.com/.gateway/callback")


@pytest.mark.parametrize("target", ["/x", "/.gateway/login?return_to=/x"])
@pytest.mark.parametrize(
    ("fields", "said", "goes_on"),
    [
        ([], "https", True),
        ([], None, True),
        ([], "http", False),
        ([(b"X-Forwarded-Ssl", b"on"), (b"Origin", b"https://app.example.com")], "http", False),
        ([(b"Sec-Fetch-Mode", b"navigate")], "http", False),
        ([(b"Cookie", b"theirs=1; gateway-443-login=x")], "http", False),
        ([(b"Sec-Fetch-Site", b"none")], "http", True),
        ([(b"sec-fetch-site", b"cross-site")], "http", True),
        ([(b"Cookie", b"__Host-gateway-login-old=x")], "http", True),
        ([(b"Sec-Fetch-Site", b"none")], "ws", True),
        ([(b"Sec-Fetch-Site", b"")], "http", False),
        ([(b"Sec-Fetch-Site", b"?1")], "http", False),
        ([(b"Sec_Fetch_Site", b"none")], "http", False),
        ([], "ws", False),
    ],
)
def test_a_login_over_http_at_an_https_site(target: str, fields: list, said: str | None, goes_on: bool):
    """[2.22]: its cookie would be dropped; a browser that is on https goes on, and that is told."""
    known = decisions.compiled(trusted_proxies=["192.0.2.1"], forwarding={"address": "none"})
    told = [] if said is None else [(b"X-Forwarded-Proto", said.encode())]
    answer = decisions.ask(known, target, (b"Accept", b"text/html"), *told, *fields)
    if goes_on:
        assert isinstance(answer, Login)
        assert answer.told_http == (said in ("http", "ws"))
    else:
        assert isinstance(answer, Refuse)
        assert (answer.reason, answer.html) == (Reason.LOGIN_INSECURE, True)
    # from nobody else is it read
    answer = decisions.ask(known, target, (b"Accept", b"text/html"), *told, *fields, peer="192.0.2.2")
    assert isinstance(answer, Login)
    assert not answer.told_http
