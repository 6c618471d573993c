"""The account of a decision: it agrees with the decision, shows no secret, and reads what was saved."""

import itertools
import json

import pytest

from gateway.cli.curl import read_command
from gateway.cli.explain import account_of
from gateway.cli.explain_text import tell
from gateway.cli.questions import question_of, question_of_line
from gateway.core.decision import needs
from gateway.core.decision.answers import Forward
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import Need
from gateway.core.explain.account import account
from gateway.core.explain.facts import NEEDS
from gateway.core.explain.shown import target_of
from gateway.core.headers.request import Request
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.entries import DenyEntry
from gateway.edge.admin.explain import unfetched
from tests.support.decisions import ask, compiled, session_cookie
from tests.support.pure import HOST, ISSUER, NOW, settings

POLICIES = {
    "staff": {"all": [{"groups": ["staff"]}, {"not": {"claims": {"blocked": ["yes"]}}}]},
    "grown": {"claims": {"age": [18]}},
}
ROUTES = (
    {"path": "/public/", "access": "public"},
    {"path": "/optional/", "access": "optional"},
    {"path": "/staff/", "require": {"policies": ["staff"]}},
    {"path": "/any/", "require": {"any": [{"policies": ["staff"]}, {"policies": ["grown"]}]}},
    {"path": "/post/", "methods": ["POST"]},
    {"path": "/other/", "hosts": ["other.example.com"]},
    {"path": "/network/", "require": {"networks": ["10.0.0.0/8"]}},
    {"path": "/step-up/", "require": {"acr": ["gold"]}},
    {"path": "/"},
)
PEOPLE = ({}, {"groups": ["staff"]}, {"groups": ["staff"], "blocked": "no"}, {"age": 18}, {"groups": "x"})
TARGETS = (
    "/public/x",
    "/optional/x",
    "/staff/x",
    "/any/x",
    "/post/x",
    "/Post/x",
    "/other/x",
    "/network/x",
    "/step-up/x",
    "/x",
    "/a%2Fb",
    "/.gateway/userinfo",
)


def told(known, target: str, *headers, entries=(), method=b"GET", peer="192.0.2.1", host=HOST) -> dict:
    denylist = Denylist()
    denylist.synchronised_at = NOW
    for each in entries:
        denylist.add(each)
    knowledge = Knowledge(known, {}, denylist, Memory(), lambda _: None, lambda _: False)
    request = Request(method, target.encode(), host, ((b"Host", host), *headers), peer)
    return account(request, knowledge, NOW, unfetched)


def failed(document: dict) -> list[str]:
    return [each["check"] for each in document["checks"] if each["outcome"] == "failed"]


@pytest.mark.parametrize("person", [None, *PEOPLE])
def test_the_checks_agree_with_the_decision(person):
    """[11.12] Whoever is let through has failed nothing, unless as nobody who need be somebody."""
    known = compiled(*ROUTES, policies=POLICIES)
    headers = () if person is None else (session_cookie(known, **person),)
    for target, method, peer in itertools.product(
        TARGETS, (b"GET", b"POST", b"TRACE"), ("192.0.2.1", "10.1.1.1")
    ):
        answer = ask(known, target, *headers, method=method, peer=peer)
        found = told(known, target, *headers, method=method, peer=peer)
        assert found["reason"] == answer.reason, (target, method)
        if not isinstance(answer, Forward):
            continue
        is_nobody = answer.identity is None and answer.route.access == "optional"
        assert not failed(found) or is_nobody, (target, failed(found))
    assert failed(told(known, "/x", *headers)) == ([] if person is not None else ["credentials"])


def test_each_refusal_names_its_check():
    """[11.12] A table: what is refused, and the one check that has failed."""
    known = compiled(*ROUTES, policies=POLICIES)
    alice = session_cookie(known)
    gone = DenyEntry("sub", ISSUER, "alice", NOW, NOW + 1000)
    table = [
        (told(known, "/a%2Fb"), "path"),
        (told(known, "/x", host=b"nobody.example"), "host"),
        (told(known, "/x", method=b"TRACE"), "method"),
        (told(known, "/x"), "credentials"),
        (told(known, "/staff/x", alice), "policy"),
        (told(known, "/x", alice, method=b"POST"), None),
        (told(known, "/x", alice, (b"Sec-Fetch-Site", b"cross-site"), method=b"POST"), "origin"),
        (told(known, "/x", alice, entries=[gone]), "session"),
        (told(known, "/x", (b"Cookie", b"__Host-gateway-session=forged")), "session"),
        (told(known, "/x", (b"Authorization", b"Bearer x.y.z")), "bearer token"),
        (told(known, "/x", (b"Authorization", b"Bearer a"), (b"Authorization", b"Bearer b")), "credentials"),
    ]
    for document, check in table:
        assert failed(document) == ([] if check is None else [check]), document


def test_a_stale_replica_is_told_with_its_age():
    """[11.12] A fact's age is what the decision judged it by."""
    known = compiled(*ROUTES, policies=POLICIES)
    denylist = Denylist()
    denylist.synchronised_at = NOW - 1000
    knowledge = Knowledge(known, {}, denylist, Memory(), lambda _: None, lambda _: False)
    cookie = session_cookie(known)
    request = Request(b"GET", b"/x", HOST, ((b"Host", HOST), cookie), "192.0.2.1")
    found = account(request, knowledge, NOW, unfetched)
    assert (found["reason"], failed(found)) == ("denylist_stale", ["denylist in step"])
    assert found["facts"][0]["age"] == 1000


def test_a_policy_is_told_condition_by_condition():
    """[11.12] What nobody knows is told apart from what is known not to hold."""
    known = compiled(*ROUTES, policies=POLICIES)
    found = told(known, "/any/x", session_cookie(known, groups=["staff"]))
    staff, grown = found["policy"]["one_of"]
    assert [each["outcome"] for each in staff["all_of"]] == ["passed", "failed"]
    assert (staff["all_of"][1]["is_known"], grown["outcome"]) == (False, "failed")
    text = "\n".join(tell(found))
    assert "as nobody knows" in text
    assert "the group staff" in text


def test_candidates_say_case_host_and_method():
    """[11.12] By a word for programs and by names for people."""
    found = told(compiled(*ROUTES, policies=POLICIES), "/Post/x")
    lacks = {each["name"]: each for each in found["routes"]}
    assert lacks["/post/"]["lacks"] == "case"
    assert lacks["/other/"]["why"] == "is for other hosts: other.example.com"
    found = told(compiled(*ROUTES, policies=POLICIES), "/post/x")
    (post,) = [each for each in found["routes"] if each["name"] == "/post/"]
    assert (post["lacks"], post["why"]) == ("method", "is for other methods: POST")


def test_every_need_has_words():
    """[11.12] A need that is added is told in words, and never by what it holds."""
    assert set(NEEDS) == set(Need.__args__)
    assert set(needs.EFFECTS) <= set(NEEDS)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/x", "/x"),
        ("/x?a=1&b=&c", "/x?a=...&b=&..."),
        ("/x?secret", "/x?..."),
        ("/x?", "/x?"),
        ("/x?a=b=c?d=e", "/x?a=..."),
        ("/eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.x/y", "/(hidden)/y"),
        ("https://a.example/x?code=1;state=2", "https://a.example/x?code=...;state=..."),
    ],
)
def test_queries_are_shown_without_values(target, shown):
    """[11.12] Names help, values may be secrets."""
    assert target_of(target) == shown


def test_a_password_in_a_url_is_not_shown():
    """[11.12] As people write them before an ``@``."""
    asked = question_of("https://alice:hunter2@app.example.com/x", "GET", (), None)
    assert "hunter2" not in json.dumps(account_of(settings(), asked))


CURLS = [
    ("curl https://app.example.com/x", ("GET", "/x", {"User-Agent": "curl", "Accept": "*/*"})),
    (
        "curl 'https://app.example.com/x?a=b#c' -H 'Accept: text/html'",
        ("GET", "/x?a=b", {"Accept": "text/html"}),
    ),
    (
        "/usr/bin/curl -sS -XPOST --url https://app.example.com/ -d a=b",
        ("POST", "/", {"Content-Length": "3"}),
    ),
    ("curl https://app.example.com/ --json '{}'", ("POST", "/", {"Content-Type": "application/json"})),
    ("curl -G https://app.example.com/x?q=1 -d a=b", ("GET", "/x?q=1&a=b", {})),
    ("curl -I app.example.com", ("HEAD", "/", {})),
    ("curl -u alice:pw https://app.example.com", ("GET", "/", {"Authorization": "Basic YWxpY2U6cHc="})),
    ("curl -b 'a=b; c=d' https://app.example.com", ("GET", "/", {"Cookie": "a=b; c=d"})),
    ("curl --oauth2-bearer tok https://app.example.com", ("GET", "/", {"Authorization": "Bearer tok"})),
    ("curl -H $'X: it\\'s \\u0041' https://app.example.com", ("GET", "/", {"X": "it's A"})),
    ('curl \\\n -H "X: a \\"b\\"" \\\n https://app.example.com/y', ("GET", "/y", {"X": 'a "b"'})),
    ("curl -T f -H 'Accept:' https://app.example.com/up", ("PUT", "/up", {"User-Agent": "curl"})),
    ("curl -F a=b https://app.example.com/", ("POST", "/", {})),
    ("curl -H 'X-Empty;' https://app.example.com/", ("GET", "/", {"X-Empty": ""})),
    ("curl -H ':authority: x' --compressed https://app.example.com/", ("GET", "/", {})),
]


@pytest.mark.parametrize(("text", "expected"), CURLS)
def test_a_saved_curl_command(text, expected):
    """[11.12] As a shell and curl read it."""
    command = read_command(text)
    asked = question_of(command.url, command.method, command.fields, None)
    method, target, headers = expected
    assert (asked.method, asked.target, asked.host) == (method, target, "app.example.com")
    assert dict(asked.headers) | headers == dict(asked.headers)
    assert ("Accept" in dict(asked.headers)) != ("'Accept:'" in text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wget https://app.example.com",
        "curl",
        "curl -H",
        "curl https://a.example https://b.example",
        "curl https://a.example | sh",
        "curl https://a.example; rm -rf x",
        "curl https://a.example > /tmp/x",
        'curl "https://a.example/$SECRET"',
        "curl https://a.example/$(id)",
        "curl `id`",
        "curl 'https://a.example",
        'curl "https://a.example',
        "curl $'https://a.example",
        "curl --config x https://a.example",
        "curl -K x https://a.example",
        "curl -b jar.txt https://a.example",
        "curl -d @file https://a.example",
        "curl -H @file https://a.example",
        'curl ^"https://a.example^"',
        "curl --\u00fc https://a.example",
    ],
)
def test_what_is_no_curl_command(text):
    """[11.12] Nothing is run and no file is read; the message holds nothing of the command."""
    with pytest.raises(ValueError, match=r".") as raised:
        read_command(text)
    assert "a.example" not in str(raised.value)


LINE = {
    "time": "2026-11-29T10:00:00.000Z",
    "event": "request",
    "request_id": "r1",
    "method": "GET",
    "host": "app.example.com",
    "path": "/staff/x",
    "client": "10.0.0.9",
    "decision": "forward",
    "reason": "authenticated",
    "status": 200,
    "request_headers": {"accept": "text/html"},
}


def test_an_access_log_line():
    """[11.12] What it says is asked about; what was decided then stands beside it."""
    text = "\n".join(["noise", json.dumps({"event": "other"}), f"app | {json.dumps(LINE)}"])
    asked = question_of_line(text, None, ["X: y"], "")
    assert (asked.method, asked.target, asked.host, asked.client) == (
        "GET",
        "/staff/x",
        "app.example.com",
        "10.0.0.9",
    )
    assert dict(asked.headers) == {"accept": "text/html", "X": "y"}
    assert (asked.logged["decision"], asked.logged["status"]) == ("forward", 200)
    found = dict(account_of(settings(*ROUTES, policies=POLICIES), asked))
    assert (found["decision"], found["client"]) == ("login", "10.0.0.9")


@pytest.mark.parametrize(
    ("text", "request_id"),
    [
        ("", None),
        ("{", None),
        ("[]", None),
        (json.dumps(LINE | {"event": "refusal"}), None),
        (json.dumps(LINE), "r2"),
        (f"{json.dumps(LINE)}\n{json.dumps(LINE)}", None),
        (json.dumps(LINE | {"path": "*"}), None),
        (json.dumps({name: value for name, value in LINE.items() if name != "host"}), None),
        (json.dumps(LINE | {"method": 5}), None),
        ('{"event":' * 10_000, None),
    ],
)
def test_what_is_no_access_log_line(text, request_id):
    """[11.12] Garbage, none and several are told, by a text that holds nothing of them."""
    with pytest.raises(ValueError, match=r"."):
        question_of_line(text, request_id, (), "")


def test_what_a_proxy_asks_about():
    """[11.10, 11.12] The original is explained, and by which endpoint it is asked about."""
    known = compiled(*ROUTES, policies=POLICIES, asked_by=["nginx"], trusted_proxies=["10.0.0.0/8"])
    original = ((b"X-Original-URL", b"https://app.example.com/staff/x"), (b"X-Original-Method", b"GET"))
    cookie = session_cookie(known, groups=["staff"], blocked="no")
    asked = (b"/.gateway/decide/nginx", *original, cookie)
    found = told(known, asked[0].decode(), *asked[1:], peer="10.0.0.1", host=b"gateway.internal")
    assert (found["asked_by"], found["target"]) == ("/.gateway/decide/nginx", "/staff/x")
    assert (found["decision"], failed(found)) == ("allow", [])


def test_heads_are_read_as_the_listener_reads_them():
    """[11.12] A dot at the end of a host, and the bounds of heads, count as for a real request."""
    known = settings(*ROUTES, policies=POLICIES)
    dotted = question_of("https://APP.example.com./public/x", "GET", (), None)
    assert account_of(known, dotted)["route"]["name"] == "/public/"
    large = question_of("/x", "GET", [f"X: {'a' * 40_000}"], "app.example.com")
    assert account_of(known, large)["reason"] == "head_too_large"
    many = question_of("/x", "GET", ["X: a"] * 200, "app.example.com")
    assert account_of(known, many)["decision"] == "refuse"


def test_many_routes_are_told_in_part():
    """[11.12] Those that are nearly the one come first, and how many are left out is said."""
    routes = [{"path": f"/p{number}/"} for number in range(300)]
    found = account_of(settings(*routes, {"path": "/X/"}), question_of("/x/y", "GET", (), "app.example.com"))
    assert found["routes"][0]["lacks"] == "case"
    assert (len(found["routes"]), found["routes_left_out"]) == (200, 101)
    assert "  ... and 101 more" in tell(found)


def test_lines_hold_no_control_characters_and_no_keys():
    """R16 [11.12] A saved line may be anybody's, and a path may hold what is a secret elsewhere."""
    line = json.dumps(LINE | {"reason": "x\u001b[2J", "path": "/staff/gwk_abcdefghijklmnop_secret"})
    asked = question_of_line(line, None, (), "")
    document = dict(account_of(settings(*ROUTES, policies=POLICIES), asked), logged=dict(asked.logged))
    text = "\n".join(tell(document))
    assert "\u001b" not in text
    assert "secret" not in text.replace("secret_keys", "")
