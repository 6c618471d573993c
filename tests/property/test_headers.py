"""Properties of the heads that go on and come back."""

from ipaddress import IPv4Address, ip_network
from urllib.parse import unquote

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.headers.forwarding_fields import number_of
from gateway.core.headers.request import Request
from gateway.core.headers.rules import forwarded_of
from tests.support.pure import HOST, identity, request, response_headers, rules, sent_on, values

RULES = rules()
RAW = rules(identity_encoding="utf-8")
PROXIED = rules(trusted_proxies=["10.0.0.0/8"])
IDENTITY_NAMES = [header.name for header in RULES.identity]
SEPARATORS = st.sampled_from([b"-", b"_", b".", b"~", b"!", b"*"])


@st.composite
def spellings(draw: st.DrawFn) -> bytes:
    """Draw a spelling of an identity or forwarding header that some upstream takes for it."""
    name = draw(st.sampled_from([*IDENTITY_NAMES, b"X-Forwarded-For", b"X-Forwarded-Host", b"X-Real-IP"]))
    parts = [
        bytes(draw(st.sampled_from([byte, byte ^ 32])) for byte in part) if part.isalpha() else part
        for part in name.split(b"-")
    ]
    spelt = parts[0]
    for part in parts[1:]:
        spelt += draw(SEPARATORS) + part
    return spelt


FIELD = st.tuples(
    st.binary(max_size=12)
    | spellings()
    | st.sampled_from(
        [b"Cookie", b"Connection", b"Forwarded", b"X-Forwarded-For", b"X-Forwarded-Proto", b"Cache-Control"]
    )
    | st.sampled_from([b"Set-Cookie", b"Authorization", b"X-Forwarded-Host", b"Content-Length"]),
    st.binary(max_size=24)
    | st.sampled_from([b"for=1.1.1.1;proto=https", b"10.0.0.2, 1.1.1.1", b'"', b"a=1; b"]),
)
CLAIMS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(spellings(), max_size=6), st.booleans(), st.booleans())
def test_r53_no_spelling_of_an_identity_header_survives(names, known, connection):
    """R53, CVE-2025-64484: whatever the case, separator and number, named in Connection or not."""
    headers = [(name, b"forged") for name in names]
    if connection:
        headers.append((b"Connection", b", ".join(names)))
    sent = sent_on(request(*headers), RULES, identity() if known else None)
    assert b"forged" not in [value for _, value in sent]
    assert values(sent, b"X-Forwarded-User") == ([b"alice"] if known else [])
    assert values(sent, b"X-Forwarded-For") == [b"192.0.2.1"]


SOURCES = {
    "usual": {},
    "host": {"host": "X-Forwarded-Host", "port": "X-Forwarded-Port"},
    "forwarded": {"address": "Forwarded", "scheme": "Forwarded", "host": "Forwarded"},
    "single": {"address": "X-Real-IP", "scheme": "none"},
}
NAMING = {name: rules(trusted_proxies=["10.0.0.0/8"], forwarding=each) for name, each in SOURCES.items()}
TOLD = st.tuples(
    st.sampled_from(
        [
            b"X-Forwarded-For",
            b"x-forwarded-proto",
            b"X-Forwarded-Host",
            b"X-Forwarded-Port",
            b"Forwarded",
            b"X-Real-IP",
            b"X_Real_IP",
        ]
    ),
    st.lists(
        st.sampled_from(
            [
                b"1.1.1.1",
                b"10.0.0.2",
                b"for=1.1.1.1;host=o.example",
                b"for=10.0.0.2",
                b'for="[2001:db8::1]:1"',
                b"unknown",
                b"for=unknown",
                b"https",
                b"o.example",
                b"443",
                b'"',
                b";",
                b"",
                b"\\",
                b"\xff",
            ]
        )
        | st.binary(max_size=6),
        max_size=4,
    ).map(b", ".join),
)


@given(st.lists(TOLD, max_size=5), st.sampled_from(list(SOURCES)), st.booleans())
def test_r64_nobody_is_taken_for_the_proxy(headers, named, tls):
    """R64 [1.1] [1.2]: whoever called is whom the named field tells, or nobody; no other is read."""
    known, sources = NAMING[named], NAMING[named].proxies._sources
    found = forwarded_of(request(*headers, peer="10.0.0.1", tls=tls), known)
    read = [(name, value) for name, value in headers if name.lower() in sources.names]
    assert found == forwarded_of(request(*read, peer="10.0.0.1", tls=tls), known)
    said = b" ".join(value for name, value in read if name.lower() == sources.address).decode("latin-1")
    assert found.client == "unknown" or found.client in said.replace("::ffff:", "")
    assert found.client != "10.0.0.1"
    assert found.chain[-1] == "10.0.0.1"
    if found.unreadable:
        assert found.client == "unknown"
        assert found.unreadable.encode() in sources.names
    elif sources.host == b"host":
        assert found.host == HOST
    # and whatever was told, the upstream is told in one way
    block = found.block.split(b"\r\n")
    assert len(block) == 5
    assert all(line.isascii() and line.decode().isprintable() for line in block)


@given(
    st.lists(FIELD, max_size=8),
    st.binary(max_size=20) | st.just(HOST),
    st.sampled_from(["10.0.0.1", "192.0.2.1", "", "::1"]) | st.text(max_size=12),
    st.sampled_from([RULES, PROXIED]),
)
def test_any_bytes_give_a_value(headers, host, peer, known):
    """No bytes of a client or an upstream raise, on either way."""
    req = Request(b"GET", b"/", host, tuple(headers), peer)
    observed = forwarded_of(req, known)
    assert observed.chain
    assert observed.proto in ("http", "https")
    sent = sent_on(req, known, identity(), pass_authorization=True)
    assert [name for name, _ in sent[:1]] == [b"Host"]
    assert len(values(sent, b"Forwarded")) == len(values(sent, b"Host")) == 1
    assert not values(sent, b"connection")
    response = response_headers(list(headers), known, [b"__Host-gateway-session=x"])
    assert response[-1] == (b"Set-Cookie", b"__Host-gateway-session=x")
    assert len(values(response, b"Cache-Control")) == 1


@given(st.dictionaries(st.sampled_from(["email", "groups", "preferred_username"]), CLAIMS))
def test_no_claim_breaks_the_head(claims):
    """Identity headers are printable ASCII; each appears at most once."""
    sent = sent_on(request(), RULES, identity(claims=claims))
    for name in IDENTITY_NAMES:
        found = values(sent, name)
        assert len(found) <= 1
        assert all(0x20 <= byte < 0x7F for value in found for byte in value)


@given(
    st.lists(st.text(max_size=6) | st.text("é,% \u0085\u2028\x00\r\n", max_size=6), max_size=5), st.booleans()
)
def test_groups_can_be_read_back(groups, raw):
    """[1.20] [2.24]: split at commas and decoded, the header gives the groups, however it is encoded."""
    sent = sent_on(request(), RAW if raw else RULES, identity(claims={"groups": groups}))
    found = values(sent, b"X-Forwarded-Groups")
    assert all(found[0].decode().isprintable() for _ in found)
    read = [unquote(group) for group in found[0].decode().split(",")] if found else []
    assert read == [group for group in groups if group]


@given(st.lists(st.binary(max_size=10) | st.just(b" __Host-gateway-session=x"), max_size=6))
def test_r54_nothing_else_in_a_cookie_changes(pairs):
    """R54: the other cookies keep their bytes and order; ours are gone."""
    # a parsed head has none of these in a value
    pairs = [pair.translate(None, b";\x7f" + bytes({*range(0x20)} - {9})) for pair in pairs]
    found = b";".join(values(sent_on(request((b"Cookie", b";".join(pairs))), RULES), b"cookie"))
    assert b"__Host-gateway-session" not in found
    theirs = b";".join(pair for pair in pairs if b"__Host-gateway" not in pair)
    assert found.strip(b" \t") == theirs.strip(b" \t")


@given(
    st.ip_addresses(v=4).map(str)
    | st.from_regex(r"[0-9+_. ]{1,9}(\.[0-9]{1,4}){0,4}", fullmatch=True)
    | st.text()
)
@example("1.2.3.04")
@example("1.2.3.\u0664")
@example("1.2.3.4\n")
@example("1.2.3.256")
@example("1.2.3.+4")
def test_an_address_has_the_number_that_its_text_has(text):
    """R64: a number is that of an address which is written so, and in no other way."""
    try:
        known = int(IPv4Address(text)) if str(IPv4Address(text)) == text else None
    except ValueError:
        known = None
    assert number_of(text) == known


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128), st.booleans())
def test_a_proxy_is_trusted_by_its_network(peer, near, length, is_mapped):
    """R64: however an address is written, it is a trusted proxy's where the network has it."""
    network = ip_network((near, min(length, near.max_prefixlen)), strict=False)
    text = f"::ffff:{peer}" if is_mapped and peer.version == 4 else str(peer)
    proxies = rules(trusted_proxies=[str(network)]).proxies
    assert proxies.is_trusted(text) is ((getattr(peer, "ipv4_mapped", None) or peer) in network)
    assert proxies.is_trusted(str(near)) is ((getattr(near, "ipv4_mapped", None) or near) in network)
