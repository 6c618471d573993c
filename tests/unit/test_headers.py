"""What the upstream is told, and what the client gets back."""

import json
import re
import shutil
import subprocess
import textwrap
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote as unquote_uri

import pytest

from gateway.config.reserved_names import TAKEN
from gateway.core.headers import kinds
from gateway.core.headers.identity import encode_claim
from gateway.core.headers.lines import Budgets
from gateway.core.headers.request import Header
from gateway.core.headers.rules import forwarded_of
from gateway.core.headers.upstream import headers_of
from gateway.syntax.tokens import fold, is_token, split_quoted, unquote
from tests.support.pure import HOST, identity, request, response_headers, rules, sent_on, settings, values

RULES = rules()
PROXIED = rules(trusted_proxies=["10.0.0.0/8", "fd00::/8"])
OURS = b"__Host-gateway-session=sealed"


def test_the_whole_head():
    """Host first, the client's own fields in their order and spelling, then what the gateway says."""
    who = identity(claims={"email": "alice@example.com", "groups": ["a", "b"]})
    sent = sent_on(
        request((b"accept", b"*/*"), (b"X-App", b"1"), (b"X-App", b"2"), (b"traceparent", b"00-1-2-01")),
        RULES,
        who,
    )
    assert sent == [
        (b"Host", HOST),
        (b"X-Forwarded-For", b"192.0.2.1"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", HOST),
        (b"Forwarded", b"for=192.0.2.1;host=app.example.com;proto=https"),
        (b"accept", b"*/*"),
        (b"X-App", b"1"),
        (b"X-App", b"2"),
        (b"traceparent", b"00-1-2-01"),
        (b"X-Forwarded-User", b"alice"),
        (b"X-Forwarded-Email", b"alice@example.com"),
        (b"X-Forwarded-Groups", b"a,b"),
        (b"X-Request-ID", b"request-1"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        b"X-Forwarded-Uri",
        b"X-Forwarded-Anything",
        b"x_forwarded_for",
        b"X.Forwarded.User",
        b"X-Real-IP",
        b"X_Real_Ip",
        b"True-Client-IP",
        b"X-Original-URL",
        b"X-Rewrite-URL",
        b"X-Request-Id",
        b"Remote-User",
        b"OIDC_CLAIM_sub",
        b"X-Auth-Request-User",
        b"Proxy",
        b"Proxy-Authorization",
        b"Proxy-Connection",
        b"Keep-Alive",
        b"TE",
        b"Trailer",
        b"Transfer-Encoding",
        b"Transfer_Encoding",
        b"Content-Length",
        b"content_length",
        b"Upgrade",
        b"Expect",
        b"HTTP2-Settings",
        b"Authorization",
        b"bad name",
        b"",
        b"X-\xff",
    ],
)
def test_r53_r58_what_never_passes(name: bytes):
    """R53, R58: hop-by-hop, framing, forwarding and foreign identity fields, in any spelling."""
    assert all(value != b"forged" for _, value in sent_on(request((name, b"forged")), RULES))


@pytest.mark.parametrize(
    ("options", "dropped"),
    [
        (b"keep-alive", False),
        (b"close, X-APP", True),
        (b"x-app", True),
        (b",, x-app ,", True),
        (b"x-ap, x-app-", False),
        (b"\xff\x00", False),
    ],
)
def test_r58_connection(options: bytes, dropped: bool):
    """R58: what Connection names goes, with Connection itself (RFC 9110 section 7.6.1)."""
    sent = sent_on(request((b"X-App", b"1"), (b"Connection", options)), RULES)
    assert values(sent, b"x-app") == ([] if dropped else [b"1"])
    assert not values(sent, b"connection")


@pytest.mark.parametrize("passed", [True, False])
def test_authorization(passed: bool):
    """The client's Authorization passes only where the route says so."""
    sent = sent_on(request((b"authorization", b"Basic x")), RULES, pass_authorization=passed)
    assert values(sent, b"authorization") == ([b"Basic x"] if passed else [])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"a=1; b=2", b"a=1; b=2"),
        (b"a=1;  b=2 ;c", b"a=1;  b=2 ;c"),
        (OURS, None),
        (OURS + b"; a=1", b"a=1"),
        (b"a=1; " + OURS, b"a=1"),
        (b"a=1; " + OURS + b"; b=2", b"a=1; b=2"),
        (OURS + b"; __Host-gateway-session-1=x; gateway-8080-login-x=y", None),
        (b"a=__Host-gateway-session", b"a=__Host-gateway-session"),
        (b"x__Host-gateway-session=1", b"x__Host-gateway-session=1"),
        (b"__host-GATEWAY-session=1; a=1", b"a=1"),
        (b"\t  __Host-gateway-session=1;a=1", b"a=1"),
        (b"=__Host-gateway-session=1; a=1", b"a=1"),
        (b"__Host-gateway-session; a=1", b"a=1"),
        (b"gateway-9090-session=1", b"gateway-9090-session=1"),
        (b"; ;", b"; ;"),
        (b"\xff=\xfe", b"\xff=\xfe"),
    ],
)
def test_r54_cookie(sent: bytes, kept: bytes | None):
    """R54, CVE-2025-55162: own cookies, chunks and all, stay here; the others keep their bytes."""
    assert values(sent_on(request((b"Cookie", sent)), RULES), b"cookie") == ([] if kept is None else [kept])


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("plain", "plain"),
        ("Doe, John", "Doe, John"),
        ("Zoë", "Zo%C3%AB"),
        ("100%", "100%25"),
        ("a\r\nX-Admin: 1", "a%0D%0AX-Admin: 1"),
        ("a\x00b\x7f\t", "a%00b%7F%09"),
        (" a ", "%20a%20"),
        ("  ", "%20%20"),
        ("", None),
        (None, None),
        ("\ud800", None),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1.0, "1"),
        (1.5, "1.5"),
        (float("nan"), None),
        (float("inf"), None),
        pytest.param(10**5000, None, id="huge"),
        ({"a": 1}, None),
        ([], None),
        (["a", "b c"], "a,b c"),
        (["a,b", "100%"], "a%2Cb,100%25"),
        (["a", "", None, {}, ["x"], "\ud800", 1, True], "a,1,true"),
        (["a\n,admins"], "a%0A%2Cadmins"),
    ],
)
def test_claims_as_field_values(value: object, header: str | None):
    """No value breaks the head, and no member of a list poses as two."""
    assert encode_claim(value) == header


def test_groups_as_one_text_are_one_group():
    """A provider that sends a text instead of a list forges nothing with a comma."""
    assert encode_claim("a,admins", is_list=True) == "a%2Cadmins"
    sent = sent_on(request(), RULES, identity(claims={"groups": "a,admins"}))
    assert values(sent, b"x-forwarded-groups") == [b"a%2Cadmins"]


ISSUE = (
    "Remote-Email Remote-Name X-Remote-Anything X-authentik-username X-authentik-x X-Consumer-ID"
    " X-Consumer-Username X-Credential-Identifier X-Authenticated-Userid X-Authenticated-Groups"
    " X-Authenticated-Scope X-Endpoint-API-UserInfo X-Apigateway-Api-Userinfo X-Amzn-Oidc-Data"
    " X-Amzn-Oidc-Identity X-Amzn-Mtls-Clientcert X-Goog-Authenticated-User-Email X-Goog-IAP-JWT-Assertion"
    " Cf-Access-Jwt-Assertion Cf-Access-Authenticated-User-Email Cf-Client-Cert-Verified X-ARR-ClientCert"
    " X-TLS-Client-Cert X-TLS-Client-Cert-Info Tailscale-User-Login iv-user iv-groups iv-creds SM_USER"
    " Shib-Identity-Provider X-MS-CLIENT-PRINCIPAL X-MS-CLIENT-PRINCIPAL-NAME X-MS-TOKEN-AAD-ID-TOKEN"
    " X-Auth-Request-User X-Pomerium-Claim-Email X-Vouch-User X-WebAuth-User OIDC_CLAIM_sub Remote-User"
    " Ssl-Client-S-Dn X-SSL-Client-Verify Client-Cert X-Client-Cert-Dn X-Forwarded-Client-Cert"
)


@pytest.mark.parametrize("name", ISSUE.split())
def test_r82_names_of_other_products(name: str):
    """R82 [1.21]: dropped in every spelling, from trusted proxies too."""
    page = (Path(__file__).parents[2] / "docs" / "identity-headers.md").read_text(encoding="utf-8")
    spellings = {name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("-", ".").title()}
    for peer, known in (("192.0.2.1", RULES), ("10.0.0.1", PROXIED)):
        for each in spellings | {name.replace("_", "-")}:
            assert not values(sent_on(request((each.encode(), b"root"), peer=peer), known), each.encode())
    listed = [fold(found.encode()) for found in re.findall(r"`([A-Za-z_-]+\*?)`", page)]
    folded = fold(name.encode())
    assert any(folded == each or (each[-1:] == b"-" and folded.startswith(each[:-1])) for each in listed)


@pytest.mark.parametrize(
    ("peer", "headers", "kept"),
    [
        ("10.0.0.1", [("Remote-User", "alice")], ["alice"]),
        ("10.0.0.1", [("remote-user", "alice")], ["alice"]),
        ("10.0.0.1", [("Remote_User", "alice")], []),
        ("10.0.0.1", [("Remote.User", "alice")], []),
        ("10.0.0.1", [("Remote-Groups", "alice")], []),
        ("10.0.0.1", [("Remote-User", "alice"), ("remote-user", "root")], []),
        ("10.0.0.1", [("Remote-User", "alice"), ("Remote-User", "alice")], []),
        ("10.0.0.1", [("Remote-User", "alice"), ("Remote_User", "root")], ["alice"]),
        ("10.0.0.1", [("Remote-User", "alice"), ("Connection", "remote-user")], []),
        ("192.0.2.1", [("Remote-User", "alice")], []),
    ],
)
def test_r82_what_a_trusted_proxy_says(peer: str, headers: list[tuple[str, str]], kept: list[str]):
    """R82 [1.21]: a kept name passes from a trusted proxy, spelt exactly so, and once."""
    known = rules(trusted_proxies=["10.0.0.0/8"], client_headers={"keep": ["Remote-User"]})
    given = [(name.encode(), value.encode()) for name, value in headers]
    sent = sent_on(request(*given, peer=peer), known)
    found = [value for name, value in sent if fold(name).startswith(b"remote-")]
    assert found == [value.encode() for value in kept]


@pytest.mark.parametrize("name", ["X-Legacy-User", "x_legacy_user", "X-Corp-Anything", "X.CORP.x"])
def test_r82_more_names_to_drop(name: str):
    """R82 [1.21]: names and beginnings of one's own, in every spelling."""
    known = rules(client_headers={"drop": ["X-Legacy-User", "X-Corp-*"]})
    assert all(value != b"root" for _, value in sent_on(request((name.encode(), b"root")), known))
    assert values(sent_on(request((b"X-Legacy", b"1"), (b"X-Corp", b"2")), known), b"x-legacy") == [b"1"]


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("José", "José"),
        ("Doe, Zoë", "Doe, Zoë"),
        ("100%", "100%25"),
        ("日本 a", "日本 a"),
        ("é\r\nX: 1", "é%0D%0AX: 1"),
        ("a\u0085b\u2028c\u00a0d\u202ee\ufeff", "a%C2%85b%E2%80%A8c%C2%A0d%E2%80%AEe%EF%BB%BF"),
        (" é ", "%20é%20"),
        ("\ud800é", None),
        (["é,a", "b"], "é%2Ca,b"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_utf8_as_it_is(value: object, sent: str | None):
    """[1.20] [2.24]: printable characters beyond ASCII as UTF-8; the rest is encoded still."""
    known = rules(identity_headers={"X-Name": "name"}, identity_encoding="utf-8")
    found = values(sent_on(request(), known, identity(claims={"name": value})), b"x-name")
    assert found == ([] if sent is None else [sent.encode()])
    encoded = encode_claim(value)
    assert (encoded is None) == (sent is None)
    if sent is not None and isinstance(value, str):
        assert unquote_uri(sent) == unquote_uri(encoded) == value


def test_the_page_for_upstreams_decodes_as_it_says():
    """[1.20] [2.24]: the page's Python reads what the gateway writes; four languages are there."""
    page = (Path(__file__).parents[2] / "docs" / "identity-headers.md").read_text(encoding="utf-8")
    assert [name for name in ("Python:", "JavaScript:", "Go:", "PHP:") if name not in page] == []
    code = textwrap.dedent(page.partition("Python:\n")[2].partition("JavaScript:")[0])
    for groups in (["a,b", "100%", "é", "x y", "+", "a%2Cb"], ["one"]):
        who = identity(subject="josé, 100%", claims={"groups": groups})
        headers = {name.decode(): value.decode() for name, value in sent_on(request(), RULES, who)}
        read = {"request": SimpleNamespace(headers=headers)}
        exec(code, read)  # noqa: S102 - it is the page's own
        assert (read["user"], read["groups"]) == ("josé, 100%", groups)


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on this machine")
def test_the_page_for_upstreams_decodes_in_javascript_too():
    """[1.20]: the page's JavaScript, run by node, reads what the gateway writes."""
    page = (Path(__file__).parents[2] / "docs" / "identity-headers.md").read_text(encoding="utf-8")
    code = textwrap.dedent(page.partition("JavaScript:\n")[2].partition("Go:")[0])
    groups = ["a,b", "100%", "é", "x y", "+", "a%2Cb"]
    who = identity(subject="josé, 100%", claims={"groups": groups})
    headers = {name.decode().lower(): value.decode() for name, value in sent_on(request(), RULES, who)}
    told = f"const request = {{headers: {json.dumps(headers)}}};"
    script = f"{told}\n{code}\nconsole.log(JSON.stringify([user, groups]))"
    ran = subprocess.run(["node", "-e", script], capture_output=True, check=True, timeout=60)
    assert json.loads(ran.stdout) == ["josé, 100%", groups]


@pytest.mark.parametrize(
    "name", ["X-Purpose", "Purpose", "X-Moz", "Accept", "X-Requested-With", "Origin", "CDN-Loop", "X-User"]
)
@pytest.mark.parametrize("spell", [bytes, bytes.lower, bytes.upper, lambda name: name.replace(b"-", b"_")])
def test_r53_what_is_an_identity_header_no_client_sends(name: str, spell):
    """R53 [1.21]: a name whose field goes on from clients is none of an identity header."""
    try:
        known = rules(identity_headers={name: "sub"})
    except ValueError:
        return
    forged = spell(name.encode())
    sent = sent_on(request((forged, b"root")), known, identity())
    assert [value for field, value in sent if fold(field) == fold(forged)] == [b"alice"]


@pytest.mark.parametrize(
    ("claims", "mode", "told"),
    [
        ({}, "check", True),
        ({"email_verified": True}, "check", True),
        ({"email_verified": "true"}, "check", True),
        ({"email_verified": False}, "check", False),
        ({"email_verified": "false"}, "check", False),
        ({"email_verified": "False "}, "check", False),
        ({"email_verified": None}, "check", True),
        *(({"email_verified": odd}, "check", False) for odd in (0, 1, "0", "no", "", [], [True], {}, 0.5)),
        ({"email_verified": 0}, "assume", False),
        ({"email_verified": 0}, "ignore", True),
        ({"email_verified": False}, "assume", False),
        ({"email_verified": False}, "ignore", True),
    ],
)
def test_r80_unverified_addresses_are_not_told(claims: dict, mode: str, told: bool):
    """R80 [1.18]: what the provider calls unverified could be anybody's address."""
    base = settings()
    provider = base.providers["corporate"].model_dump() | {"email_verified": mode, "client_secret": "s"}
    known = rules(
        providers={"corporate": provider}, identity_headers={"X-Mail": "email", "X-Other": "person.email"}
    )
    for each in (claims | {"email": "a@example.com"}, {"person": claims | {"email": "a@example.com"}}):
        sent = sent_on(request(), known, identity(claims=each))
        found = values(sent, b"x-mail") + values(sent, b"x-other")
        assert found == ([b"a@example.com"] if told else [])


def test_r26_subject_and_issuer_are_the_verified_ones():
    """R26: a claim of another source cannot replace them; dotted names walk into objects."""
    known = rules(identity_headers={"X-User": "sub", "X-Issuer": "iss", "X-Roles": "realm.roles"})
    claims = {"sub": "root", "iss": "evil", "realm": {"roles": ["a"]}}
    sent = sent_on(request((b"x_roles", b"b")), known, identity(claims=claims))
    assert values(sent, b"x-user") == [b"alice"]
    assert values(sent, b"x-issuer") == [b"https://login.example.com"]
    assert values(sent, b"x-roles") == [b"a"]
    assert not values(sent, b"x_roles")


@pytest.mark.parametrize(
    "names",
    [
        {"Host": "sub"},
        {"X_Forwarded_For": "sub"},
        {"Content-Length": "sub"},
        {"Cookie": "sub"},
        {"Connection": "sub"},
        {"Proxy-User": "sub"},
        {"X User": "sub"},
        {"X-User\r\n": "sub"},
        {"X-User": "sub", "x_user": "email"},
        *({name.decode(): "sub"} for name in sorted(TAKEN)),
        {"X_Purpose": "purpose"},
        {"X-Forwarded-Prefix": "sub"},
    ],
)
def test_identity_headers_that_cannot_be(names: dict[str, str]):
    """Names with another meaning, no names at all, and names that upstreams cannot tell apart."""
    with pytest.raises(ValueError, match="identity_headers"):
        rules(identity_headers=names)


NAMED = {
    "X-Forwarded-For": {},
    "Forwarded": {"address": "Forwarded", "scheme": "Forwarded", "host": "Forwarded"},
    "CF-Connecting-IP": {"address": "CF-Connecting-IP"},
    "X-Forwarded-Host": {"host": "X-Forwarded-Host"},
    "X-Forwarded-Port": {"host": "X-Forwarded-Host", "port": "X-Forwarded-Port"},
    "none": {"address": "none", "scheme": "none"},
}
NAMING = {
    name: rules(trusted_proxies=["10.0.0.0/8", "fd00::/8"], forwarding=sources)
    for name, sources in NAMED.items()
}


def told(source: str, *headers: tuple[str, str], **more):
    """Return what is observed where trusted proxies write the fields of a source."""
    given = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return forwarded_of(request(*given, peer="10.0.0.1", **more), NAMING[source])


@pytest.mark.parametrize(
    ("headers", "chain"),
    [
        ([], ["unknown", "10.0.0.1"]),
        ([("X-Forwarded-For", "203.0.113.7")], ["203.0.113.7", "10.0.0.1"]),
        ([("X-Forwarded-For", "6.6.6.6, 203.0.113.7")], ["203.0.113.7", "10.0.0.1"]),
        ([("X-Forwarded-For", "6.6.6.6"), ("x-forwarded-for", "203.0.113.7")], ["203.0.113.7", "10.0.0.1"]),
        ([("X-Forwarded-For", "203.0.113.7,10.2.0.1")], ["203.0.113.7", "10.2.0.1", "10.0.0.1"]),
        ([("X-Forwarded-For", "10.3.0.1, 10.2.0.1")], ["10.3.0.1", "10.2.0.1", "10.0.0.1"]),
        ([("X-Forwarded-For", "203.0.113.7:1234")], ["203.0.113.7", "10.0.0.1"]),
        ([("X-Forwarded-For", "[2001:db8::1]:99")], ["2001:db8::1", "10.0.0.1"]),
        ([("X-Forwarded-For", "::ffff:203.0.113.7")], ["203.0.113.7", "10.0.0.1"]),
        ([("X-Forwarded-For", "evil, 203.0.113.7")], ["203.0.113.7", "10.0.0.1"]),
        ([("X-Forwarded-For", "unknown, 203.0.113.7, 10.2.0.1")], ["203.0.113.7", "10.2.0.1", "10.0.0.1"]),
        ([("X-Forwarded-For", ', , "x" , 203.0.113.7')], ["203.0.113.7", "10.0.0.1"]),
        ([("X-Forwarded-For", ""), ("X-Forwarded-For", "203.0.113.7")], ["203.0.113.7", "10.0.0.1"]),
        ([("X-Forwarded-For", "1.1.1.1," * 10000 + "203.0.113.7")], ["203.0.113.7", "10.0.0.1"]),
        ([("X_Forwarded_For", "203.0.113.7")], ["unknown", "10.0.0.1"]),
        # what the proxies do not write is not read, whatever it says
        ([("Forwarded", "for=203.0.113.7")], ["unknown", "10.0.0.1"]),
        ([("X-Real-IP", "203.0.113.7")], ["unknown", "10.0.0.1"]),
        ([("X-Forwarded-For", "203.0.113.7"), ("Forwarded", "for=6.6.6.6")], ["203.0.113.7", "10.0.0.1"]),
        ([("X-Forwarded-For", "203.0.113.7"), ("Forwarded", "x")], ["203.0.113.7", "10.0.0.1"]),
        ([("Forwarded", 'for="'), ("X-Forwarded-For", "203.0.113.7")], ["203.0.113.7", "10.0.0.1"]),
    ],
)
def test_r64_the_chain_behind_a_trusted_proxy(headers: list[tuple[str, str]], chain: list[str]):
    """R64 [1.1] [1.2]: the right-most untrusted address of the named field, and never the proxy's own."""
    found = told("X-Forwarded-For", *headers)
    assert not found.unreadable
    assert list(found.chain) == chain
    assert found.client == chain[0]
    assert values(headers_of([found.block], ""), b"x-forwarded-for") == [", ".join(chain).encode()]


@pytest.mark.parametrize(
    ("headers", "chain"),
    [
        ([("Forwarded", "for=203.0.113.7")], ["203.0.113.7", "10.0.0.1"]),
        ([("Forwarded", 'for=6.6.6.6, For="[2001:db8::1]:4";by=x')], ["2001:db8::1", "10.0.0.1"]),
        ([("Forwarded", "for=203.0.113.7, for=10.2.0.1")], ["203.0.113.7", "10.2.0.1", "10.0.0.1"]),
        ([("Forwarded", "for=unknown, x, for=203.0.113.7")], ["203.0.113.7", "10.0.0.1"]),
        # what a client leaves open in its line closes in no other
        ([("Forwarded", 'for="6.6.6.6'), ("Forwarded", "for=203.0.113.7")], ["203.0.113.7", "10.0.0.1"]),
        ([("X-Forwarded-For", "203.0.113.7")], ["unknown", "10.0.0.1"]),
    ],
)
def test_r64_the_chain_of_forwarded(headers: list[tuple[str, str]], chain: list[str]):
    """R64 [1.1]: where Forwarded is named, its right-most untrusted address (RFC 7239)."""
    host = [(name, value.replace(", for=10", ";host=h.example, for=10")) for name, value in headers]
    host = [(name, value if "host" in value else f"{value};host=h.example") for name, value in host]
    found = told("Forwarded", *host)
    if chain[0] == "unknown":
        # nobody told the host either
        assert found.unreadable == "forwarded"
        assert found.client == "unknown"
    else:
        assert (list(found.chain), found.host) == (chain, b"h.example")


UNREADABLE = {
    "X-Forwarded-For": [
        [("X-Forwarded-For", value)]
        for value in (
            "203.0.113.7, evil",
            "",
            "203.0.113.7,",
            ",",
            "\u00ff",
            "unknown",
            "203.0.113.7, unknown, 10.2.0.1",
            "_hidden",
            "fe80::1%eth0",
            "010.1.1.1",
            "203.0.113.7 10.0.0.1",
            '"203.0.113.7"',
            "http://203.0.113.7",
            "203.0.113.7:",
            "10.2.0.1," * 32 + "10.2.0.1",
            "10.2.0.1," * 10000 + "10.2.0.1",
        )
    ]
    + [
        [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-For", "")],
        [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "gopher")],
        [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "")],
        [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https, x")],
    ],
    "Forwarded": [
        [("Forwarded", value)]
        for value in (
            "x",
            "",
            ",",
            "proto=https;host=h",
            "for=unknown;host=h",
            "for=_hidden;host=h",
            'for="203.0.113.7;host=h',
            "for=203.0.113.7;for=6.6.6.6;host=h",
            "for=203.0.113.7;host=h;proto=gopher",
            "for=203.0.113.7;host=a/b",
            "for=203.0.113.7",
            "for =203.0.113.7;host=h",
            "for=203.0.113.7;host=h, garbage",
            "for=203.0.113.7;host=h, for=10.2.0.1;x",
            'for="203.0.113.7"x;host=h',
        )
    ],
    "CF-Connecting-IP": [
        [("CF-Connecting-IP", "")],
        [("CF-Connecting-IP", "x")],
        [("CF-Connecting-IP", "203.0.113.7, 6.6.6.6")],
        [("CF-Connecting-IP", "203.0.113.7"), ("CF-Connecting-IP", "6.6.6.6")],
        [("CF-Connecting-IP", "203.0.113.7"), ("cf-connecting-ip", "203.0.113.7")],
    ],
    "X-Forwarded-Host": [
        [("X-Forwarded-Host", value)]
        for value in ("a/b", "u@evil.example", "a\u00ff", "", "a:65536", "a:", ".")
    ]
    + [[("X-Forwarded-Host", "a" * 300)], [("X-Forwarded-Host", "\u00e9.example")], []],
    "X-Forwarded-Port": [
        [("X-Forwarded-Host", "app.example.com"), ("X-Forwarded-Port", value)]
        for value in ("", "0", "65536", "x", "443x", "-1", "\u00b2", "080")
    ],
}


@pytest.mark.parametrize(
    ("source", "headers"), [(source, each) for source, cases in UNREADABLE.items() for each in cases]
)
def test_r64_a_named_field_that_cannot_be_read(source: str, headers: list[tuple[str, str]]):
    """R64 [1.2]: nobody is taken for the proxy; the request is refused."""
    found = told(source, *headers)
    assert found.unreadable in {"forwarded", *(name.lower() for name, _ in headers), "x-forwarded-host"}
    assert found.client == "unknown"
    assert values(headers_of([found.block], ""), b"x-forwarded-for") == [b"unknown, 10.0.0.1"]


@pytest.mark.parametrize("name", ["CF-Connecting-IP", "cf-connecting-ip"])
def test_r64_a_field_of_one_address(name: str):
    """R64 [1.1]: a single-address field, and then X-Forwarded-For is a client's own word."""
    found = told("CF-Connecting-IP", (name, "203.0.113.7"), ("X-Forwarded-For", "6.6.6.6"))
    assert found.chain == ("203.0.113.7", "10.0.0.1")
    sent = sent_on(request((name.encode(), b"203.0.113.7"), peer="10.0.0.1"), NAMING["CF-Connecting-IP"])
    assert not values(sent, b"cf-connecting-ip")


@pytest.mark.parametrize(
    ("source", "headers", "host", "proto"),
    [
        ("X-Forwarded-For", [], HOST, "https"),
        ("X-Forwarded-For", [("X-Forwarded-Proto", "http")], HOST, "http"),
        ("X-Forwarded-For", [("X-Forwarded-Proto", "HTTPS")], HOST, "https"),
        ("X-Forwarded-For", [("X-Forwarded-Proto", "https, http")], HOST, "http"),
        ("X-Forwarded-For", [("X-Forwarded-Proto", "wss")], HOST, "https"),
        ("X-Forwarded-For", [("X-Forwarded-Proto", "ws")], HOST, "http"),
        ("X-Forwarded-For", [("X-Forwarded-Host", "intern.test")], HOST, "https"),
        ("X-Forwarded-For", [("X-Forwarded-Host", "a/b"), ("X-Forwarded-Port", "x")], HOST, "https"),
        ("X-Forwarded-For", [("Forwarded", "for=1.1.1.1;host=intern.test;proto=http")], HOST, "https"),
        ("X-Forwarded-For", [("Forwarded", "for=1.1.1.1;proto=http"), ("Forwarded", "x")], HOST, "https"),
        ("X-Forwarded-Host", [("X-Forwarded-Host", "Other.Example:8443")], b"other.example:8443", "http"),
        ("X-Forwarded-Host", [("X-Forwarded-Host", "evil.test, o.example")], b"o.example", "http"),
        ("X-Forwarded-Host", [("X-Forwarded-Host", "[::1]:80")], b"[::1]:80", "http"),
        ("X-Forwarded-Host", [("X-Forwarded-Host", "O.example.")], b"o.example", "http"),
        ("X-Forwarded-Host", [("X-Forwarded-Host", "o.example.:81")], b"o.example:81", "http"),
        (
            "X-Forwarded-Host",
            [("X-Forwarded-Host", "o.example"), ("Forwarded", "for=1.1.1.1;host=evil.test")],
            b"o.example",
            "http",
        ),
        ("Forwarded", [("Forwarded", 'for=1.1.1.1;host="o.example:1";proto=https')], b"o.example:1", "https"),
        (
            "Forwarded",
            [("Forwarded", "for=6.6.6.6;host=evil.example, for=1.1.1.1;host=o.example;proto=http")],
            b"o.example",
            "http",
        ),
        (
            "Forwarded",
            [("Forwarded", "for=1.1.1.1;host=o.example"), ("X-Forwarded-Proto", "https")],
            b"o.example",
            "http",
        ),
    ],
)
def test_r64_host_and_scheme_behind_a_trusted_proxy(
    source: str, headers: list[tuple[str, str]], host: bytes, proto: str
):
    """R64 [1.1]: one source each is read; what any other says chooses no site."""
    found = told(source, *headers)
    assert (found.host, found.proto, found.unreadable) == (host, proto, "")


@pytest.mark.parametrize(
    ("headers", "host", "proto"),
    [
        ([("X-Forwarded-Port", "8443"), ("X-Forwarded-Proto", "https")], b"o.example:8443", "https"),
        ([("X-Forwarded-Port", "443"), ("X-Forwarded-Proto", "https")], b"o.example", "https"),
        ([("X-Forwarded-Port", "80"), ("X-Forwarded-Proto", "http")], b"o.example", "http"),
        ([("X-Forwarded-Port", "443"), ("X-Forwarded-Proto", "http")], b"o.example:443", "http"),
        ([("X-Forwarded-Port", "1, 8443"), ("X-Forwarded-Proto", "https")], b"o.example:8443", "https"),
        ([("X-Forwarded-Proto", "https")], b"o.example", "https"),
        ([("X-Forwarded-Port", "9"), ("X-Forwarded-Host", "o.example:8080")], b"o.example:8080", "http"),
        ([("X-Forwarded-Port", "9"), ("X-Forwarded-Host", "[::1]")], b"[::1]:9", "http"),
    ],
)
def test_r64_host_and_port_are_put_together(headers: list[tuple[str, str]], host: bytes, proto: str):
    """R64 [3.7]: X-Forwarded-Host without a port, and X-Forwarded-Port, where that is named."""
    found = told("X-Forwarded-Port", ("X-Forwarded-Host", "o.example"), *headers)
    assert (found.host, found.proto, found.unreadable) == (host, proto, "")


def test_r64_proxies_that_write_nothing():
    """R64 [1.1]: with no source of an address nobody knows who called; it is not the proxy."""
    found = told("none", ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "x"))
    assert found.chain == ("unknown", "10.0.0.1")
    assert (found.host, found.proto) == (HOST, "https")


@pytest.mark.parametrize("peer", ["192.0.2.1", "11.0.0.1", "::1", "fe80::1%eth0", "", "unix:", "10.0.0.1 "])
def test_r53_nobody_else_is_believed(peer: str):
    """R53: from anybody but a trusted proxy these fields are noise."""
    forged = [
        (b"X-Forwarded-For", b"6.6.6.6"),
        (b"X-Forwarded-Host", b"evil.example"),
        (b"X-Forwarded-Proto", b"http"),
        (b"Forwarded", b"for=6.6.6.6;host=evil.example;proto=http"),
    ]
    found = forwarded_of(request(*forged, peer=peer), PROXIED)
    assert (found.host, found.proto) == (HOST, "https")
    assert len(found.chain) == 1
    assert "6.6.6.6" not in found.client


@pytest.mark.parametrize("peer", ["::ffff:10.0.0.1", "fd00::1", "10.255.0.1"])
def test_trusted_peers_in_other_notations(peer: str):
    """A dual-stack listener shows IPv4 peers as mapped addresses."""
    found = forwarded_of(request((b"X-Forwarded-For", b"203.0.113.7"), peer=peer), PROXIED)
    assert found.client == "203.0.113.7"


@pytest.mark.parametrize(
    ("peer", "host", "forwarded"),
    [
        ("2001:db8::1", HOST, b'for="[2001:db8::1]";host=app.example.com;proto=https'),
        ("192.0.2.1", b"localhost:8080", b'for=192.0.2.1;host="localhost:8080";proto=http'),
        ("192.0.2.1", b"[::1]:1", b'for=192.0.2.1;host="[::1]:1";proto=http'),
        ("192.0.2.1", b'a";for=6.6.6.6', b"for=192.0.2.1;proto=http"),
        ("", HOST, b"for=unknown;host=app.example.com;proto=https"),
    ],
)
def test_forwarded_is_quoted(peer: str, host: bytes, forwarded: bytes):
    """RFC 7239 section 4: addresses of IPv6 in brackets and quotes, odd hosts quoted or left out."""
    block = forwarded_of(request(peer=peer, host=host), RULES).block
    assert values(headers_of([block], ""), b"forwarded") == [forwarded]


def test_the_scheme_is_that_of_the_public_url():
    """TLS that ends before the gateway is https all the same; TLS that ends here is in any case."""
    assert forwarded_of(request(), RULES).proto == "https"
    assert forwarded_of(request(host=HOST + b":443"), RULES).proto == "https"
    assert forwarded_of(request(host=b"other.example"), RULES).proto == "http"
    assert forwarded_of(request(host=b"other.example", tls=True), RULES).proto == "https"
    plain = rules(public_url=["http://localhost:8080"])
    assert forwarded_of(request(host=b"localhost:8080"), plain).proto == "http"


def back(*headers: Header, cookies: list[bytes] | None = None) -> list[Header]:
    """Return the head that the client gets."""
    return response_headers(list(headers), RULES, cookies or [])


def test_a_response_is_left_alone():
    """Nothing of ours to add: everything end-to-end stays as it was, in its order."""
    head = [
        (b"content-type", b"text/html"),
        (b"Content-Length", b"3"),
        (b"Cache-Control", b"public, s-maxage=600"),
        (b"CDN-Cache-Control", b"max-age=60"),
        (b"Set-Cookie", b"app=1"),
        (b"set-cookie", b"b=__Host-gateway-session"),
        (b"X-Forwarded-User", b"x"),
    ]
    assert back(*head) == head


def test_r58_hop_by_hop_fields_of_a_response():
    """R58: removed with what Connection names; Content-Length stays whatever that says."""
    head = back(
        (b"Connection", b"close, X-Hop, Content-Length"),
        (b"X-Hop", b"1"),
        (b"Keep-Alive", b"5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Trailer", b"x"),
        (b"Upgrade", b"h2c"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"Content_Length", b"9"),
        (b"Content-Length", b"3"),
    )
    assert head == [(b"Content-Length", b"3")]


@pytest.mark.parametrize(
    "line",
    [
        b"__Host-gateway-session=evil; Path=/",
        b"__host-Gateway-session=evil",
        b"gateway-8080-session=evil",
        b" \t__Host-gateway-x=evil",
        b"__Host-gateway-session",
        b"=__Host-gateway-session=evil",
        b" = gateway-8080-session=evil",
        b"\x00__Host-gateway-session=evil",
    ],
)
def test_r54_an_upstream_cannot_set_our_cookies(line: bytes):
    """R54: in no spelling that any browser would send back as ours."""
    assert back((b"Set-Cookie", line), (b"SET-COOKIE", line), (b"Set-Cookie", b"a=1")) == [
        (b"Set-Cookie", b"a=1")
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], b"private"),
        ([b"public, max-age=600, s-maxage=600"], b"private, max-age=600"),
        ([b"PUBLIC", b"S-MaxAge=1, no-cache"], b"private, no-cache"),
        ([b"no-store"], b"no-store"),
        ([b"private"], b"private"),
        ([b'private="set-cookie, x", max-age=1'], b"private, max-age=1"),
        (
            [b'no-cache="public, s-maxage", must-revalidate'],
            b'private, no-cache="public, s-maxage", must-revalidate',
        ),
        ([b'x="open, public'], b"no-store"),
        ([b",, ,"], b"private"),
        ([b"public =1"], b"private"),
    ],
)
def test_r59_with_our_cookies_no_shared_cache_keeps_it(before: list[bytes], after: bytes):
    """R59: Cache-Control is narrowed, fields for shared caches alone are removed."""
    head = back(
        *((b"cache-control", value) for value in before),
        (b"Surrogate-Control", b"max-age=60"),
        (b"CDN-Cache-Control", b"max-age=60"),
        (b"Cloudflare-CDN-Cache-Control", b"max-age=60"),
        (b"X-Accel-Expires", b"60"),
        (b"ETag", b'"1"'),
        cookies=[OURS],
    )
    assert head == [(b"ETag", b'"1"'), (b"Cache-Control", after), (b"Set-Cookie", OURS)]


def test_connection_cannot_drop_our_cookies():
    """R58: an upstream that names Set-Cookie or Cache-Control in Connection loses its own alone."""
    named = (b"Connection", b"set-cookie, cache-control")
    head = back(named, (b"Set-Cookie", b"a=1"), (b"Cache-Control", b"public"), cookies=[OURS])
    assert head == [(b"Cache-Control", b"private"), (b"Set-Cookie", OURS)]


def test_memories_are_bounded():
    """Chosen names, hosts and peers cannot make the memories grow, nor push out common names."""
    known = rules()
    for index in range(6000):
        sent_on(request((b"x-%d" % index, b""), host=b"h%d" % index, peer=f"2001:db8::{index:x}"), known)
        response_headers([(b"y-%d" % index, b"")], known, [])
    sent_on(request((b"x" * 10000, b""), host=b"h" * 10000, peer="p" * 10000), known)
    for table in (known.request_lines, known.response_lines):
        assert len(table._names) <= 4096
        assert max(map(len, table._names)) <= 128
        assert not table
    assert len(known.proxies._peers) <= Budgets().forwarded
    assert len(known.proxies._remembered) <= Budgets().forwarded
    assert max(len(host) for _, _, host, _ in known.proxies._remembered.young) < 300


@pytest.mark.parametrize("network", ["x", "10.0.0.0/33", ""])
def test_a_proxy_that_is_no_network(network: str):
    """A slip in the configuration is an error, not nobody or everybody."""
    with pytest.raises(ValueError, match=r"network|IPv4|IPv6"):
        rules(trusted_proxies=[network] if network else ["/"])


def test_fields():
    """Names as upstreams fold them, lists with quoted strings."""
    assert fold(b"X_Forwarded.USER") == b"x-forwarded-user"
    assert split_quoted('a="1,2", b="\\"," ,,c', ",") == ['a="1,2"', 'b="\\","', "c"]
    assert split_quoted('a="1', ",") is None
    assert [unquote(text) for text in ('"a\\"b\\\\"', "a", '"', '""')] == ['a"b\\', "a", '"', ""]


def test_settings_default_to_nobody():
    """Trusted proxies: nobody by default."""
    assert settings().trusted_proxies == ()


def test_the_words_for_kinds_of_fields_differ():
    """Two words with one number would be one kind; two are names for where a range ends or begins."""
    words = [value for name, value in vars(kinds).items() if name.isupper() and isinstance(value, int)]
    # READ is where those begin that are read and go on; the last of framing is one of it
    assert len(words) - len(set(words)) == 2


@pytest.mark.parametrize("code", range(256))
def test_what_a_token_is(code: int):
    """[10.2]: one answer for bytes and texts: RFC 9110 section 5.6.2, and nothing is no token."""
    may_be = chr(code).isascii() and (chr(code).isalnum() or chr(code) in "!#$%&'*+-.^_`|~")
    for text in (bytes((code,)), chr(code)):
        assert is_token(text) is may_be
        assert is_token(text * 300) is may_be
    assert not is_token(b"")
    assert not is_token("\ud800")
