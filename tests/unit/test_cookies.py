"""Own cookies: reading, chunks, writing."""

import pytest

from gateway.core.headers import cookies
from gateway.core.headers.cookies import CookieChange, Seal, Site

HTTPS = Site("https://a.example", b"a.example", True, "__Host-gateway-")
SEAL = Seal("session", b"")


def cookie(*pairs: str) -> list[tuple[bytes, bytes]]:
    return [(b"Cookie", "; ".join(pairs).encode("latin-1"))]


def test_reads_own_cookies_only():
    """The application's cookies are none of our business."""
    found = cookies.read(cookie("a=1", "__Host-gateway-session=s", "gateway-8080-x=1"), "__Host-gateway-")
    assert found == {"__Host-gateway-session": "s"}


@pytest.mark.parametrize(
    "headers",
    [
        cookie("__Host-gateway-session=a", "__Host-gateway-session=b"),
        cookie("__Host-gateway-session=a", "__Host-gateway-session=a"),
        [*cookie("__Host-gateway-session=a"), (b"cookie", b"__Host-gateway-session=b")],
    ],
)
def test_r46_the_same_own_cookie_twice_and_neither_counts(headers):
    """R46: a tossed cookie cannot win, whichever order or field it comes in."""
    assert cookies.read(headers, "__Host-gateway-") == {}


@pytest.mark.parametrize("size", [1, 3900, 5000, 9000, 15000])
def test_chunks_come_back_whole(size):
    """R40: a long value travels in at most four cookies of at most 4096 bytes with attributes."""
    value = "x" * size
    lines = cookies.set_cookie_lines(CookieChange(HTTPS.session_cookie, SEAL, 604800), value)
    assert len(lines) <= cookies.MOST_CHUNKS
    assert all(len(line) <= cookies.MOST_BYTES for line in lines)
    jar = cookies.read(cookie(*[line.decode().partition(";")[0] for line in lines]), "__Host-gateway-")
    assert cookies.joined(jar, HTTPS.session_cookie) == value


def test_r40_a_value_beyond_four_chunks_is_refused():
    """R40: beyond the capacity there is an error, never a fifth cookie."""
    with pytest.raises(ValueError, match="four chunks"):
        cookies.set_cookie_lines(
            CookieChange(HTTPS.session_cookie, SEAL, 1), "x" * (cookies.capacity(HTTPS.session_cookie) + 1)
        )


@pytest.mark.parametrize("first", ["5~x", "99999999~x", "0~x", "1~x", "-1~x", "~x", "2 ~x", "²~x"])
def test_r40_a_chunk_count_cannot_be_abused(first):
    """R40, CVE-2024-24814: a count that is out of range makes the cookie absent."""
    jar = {"s": first, **{f"s-{i}": "y" for i in range(10)}}
    assert cookies.joined(jar, "s") is None


def test_r40_leftovers_of_chunks_are_cleared():
    """R40: a session that shrank from three chunks to one takes the other two away."""
    change = CookieChange(
        "__Host-gateway-session", SEAL, 60, ("__Host-gateway-session-1", "__Host-gateway-session-2")
    )
    lines = cookies.set_cookie_lines(change, "short")
    assert [line.partition(b"=")[0] for line in lines] == [
        b"__Host-gateway-session",
        b"__Host-gateway-session-1",
        b"__Host-gateway-session-2",
    ]
    assert all(b"Max-Age=0" in line for line in lines[1:])


def test_r38_r39_attributes_with_https():
    """R38, R39: __Host-, Secure, HttpOnly, SameSite, Path=/ and no Domain; also when clearing."""
    for value in ("v", None):
        change = CookieChange(HTTPS.session_cookie, SEAL if value else None, 60)
        (line,) = cookies.set_cookie_lines(change, value)
        text = line.decode()
        assert text.startswith("__Host-gateway-session=")
        for attribute in ("; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"):
            assert attribute in text
        assert "Domain" not in text


def test_http_has_neither_prefix_nor_secure():
    """On http (loopback) browsers differ about Secure: names carry the port instead."""
    (line,) = cookies.set_cookie_lines(CookieChange("gateway-8080-session", SEAL, 60), "v")
    assert b"Secure" not in line
    assert b"HttpOnly" in line


def test_garbage_cookie_headers_are_read_without_error():
    """Any bytes in a Cookie field give a mapping."""
    for value in (b"", b";;;", b"=", b"\xff\xfe=\x00", b"__Host-gateway-" * 1000, b";" * 100000):
        cookies.read([(b"Cookie", value)], "__Host-gateway-")
