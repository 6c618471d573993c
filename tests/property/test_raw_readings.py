"""Paths that go on as they came, read step by step as servers do: none leads to another rule (R79)."""

import re
from urllib.parse import unquote_to_bytes

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.decision.places import locate
from gateway.core.runtime import RuntimeConfig
from tests.support.decisions import compiled
from tests.support.pure import HOST

RAW = {"path": "/raw/", "name": "raw", "raw_path": True, "access": "public"}
TABLE = compiled(RAW, {"path": "/admin/", "name": "admin"}, {"path": "/", "name": "rest"})
ROOT = compiled(RAW | {"path": "/"})
PIECES = (
    *("/", "//", ".", "..", "...", "./", "../", ";", ";x", ";/", "..;", ".;x", "..;x=", "a", "x"),
    *("%2f", "%2F", "%5c", "%5C", "%2e", "%2E", "%252e", "%252f", "%25252e", "%255c", "%25", "%2525"),
    *("%20", "%3b", "%3f", "%23", "%3B", "%00", "%0a", "%61dmin", ".%2e", "%2e."),
    *("%c0%ae", "%c0%af", "%C1%9C", "%e0%80%ae", "%u002e", "%u2216", "%uff0e"),
    *("%ef%bc%8e", "%ef%bc%8f", "%e2%80%a5", "raw", "RAW", "admin", "Admin", ".gateway"),
)
TARGETS = st.lists(st.sampled_from(PIECES), max_size=8).map(lambda parts: "".join(parts).encode())


def decode(path: bytes) -> bytes:
    """Decode escapes once."""
    return unquote_to_bytes(path)


def decode_iis(path: bytes) -> bytes:
    """Decode IIS's own escapes."""
    return re.sub(rb"%u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)).encode("utf-8", "surrogatepass"), path)


def overlong(path: bytes) -> bytes:
    """Take overlong UTF-8 for what it means."""
    path = re.sub(rb"\xc0([\x80-\xbf])", lambda m: bytes((m[1][0] & 0x3F,)), path)
    path = re.sub(rb"\xc1([\x80-\xbf])", lambda m: bytes((0x40 | m[1][0] & 0x3F,)), path)
    return re.sub(rb"\xe0\x80([\x80-\xbf])", lambda m: bytes((m[1][0] & 0x3F,)), path)


def full_width(path: bytes) -> bytes:
    """Normalise what looks like a dot or a slash."""
    for sign, plain in (("\uff0e", b"."), ("\uff0f", b"/"), ("\u2025", b".."), ("\uff3c", b"\\")):
        path = path.replace(sign.encode(), plain)
    return path


def parameters(path: bytes) -> bytes:
    """Drop path parameters."""
    return b"/".join(segment.partition(b";")[0] for segment in path.split(b"/"))


def cut(path: bytes) -> bytes:
    """End at a decoded question mark, number sign or NUL."""
    return re.split(rb"[?#\0]", path, maxsplit=1)[0]


def backslashes(path: bytes) -> bytes:
    """Take backslashes for slashes."""
    return path.replace(b"\\", b"/")


def collapse(path: bytes) -> bytes:
    """Merge slashes."""
    return re.sub(rb"//+", b"/", path)


def climb(path: bytes) -> bytes:
    """Remove dot segments."""
    kept: list[bytes] = []
    for segment in path.split(b"/")[1:]:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    return b"/" + b"/".join(kept)


def trim(path: bytes) -> bytes:
    """Drop white space around segments, and dots behind them but for ``..``, as Windows does."""
    trimmed = (segment.strip() for segment in path.split(b"/"))
    return b"/".join(each if set(each) <= set(b".") else each.rstrip(b".") for each in trimmed)


STEPS = (
    decode,
    decode_iis,
    overlong,
    full_width,
    parameters,
    cut,
    backslashes,
    collapse,
    climb,
    trim,
    bytes.lower,
)

AS_SENT = (decode, decode_iis, overlong, full_width, backslashes, parameters)


def rule(table: RuntimeConfig, path: bytes) -> str:
    """Return the rule of what somebody read, by its first segment alone."""
    first = next((each for each in path.lower().split(b"/") if each), b"")
    return {b"admin": "admin", b"raw": "raw"}.get(first, "rest") if table is TABLE else "raw"


@settings(max_examples=600)
@given(TARGETS, st.lists(st.sampled_from(STEPS), max_size=10), st.booleans())
def test_r79_no_reading_is_under_another_rule(rest: bytes, steps: list, is_root: bool):
    """R79 [3.3]: whatever an upstream does to a path that came through, in whatever order, it stays below."""
    table, target = (ROOT, b"/" + rest) if is_root else (TABLE, b"/raw/" + rest)
    found = locate(table, HOST, target, b"GET")
    if found is None or found[1] is None or found[1].name != "raw":
        return
    path = found[0].path
    is_as_sent = True
    for step in steps:
        path = step(path)
        # who trims names or climbs resolves the path, and reads no authority any more
        is_as_sent = is_as_sent and step in AS_SENT
        assert not (is_as_sent and path.startswith((b"//", b"/\\"))), (target, step)
        assert rule(table, path) == "raw", (target, [each.__name__ for each in steps], path)
