"""Paths that go on as they came: whoever reads them, and however, reads them below their own route."""

import itertools
import re
import unicodedata
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.decision.answers import Forward
from tests.support.decisions import ask, compiled

PIECES = st.sampled_from(
    b"/ / . .. %2e %2F %5c %25 2e 2F 5c 25 ; %3b # %23 %3F a %61 admin %41DMIN \\ % %00 %09 %c0%ae %e0%80%af"
    b" = x repo /repo/ /repo/ REPO %20 %20. .%20 %EF%BC%8E %EF%BC%8F .gateway %2egateway login jsessionid"
    b" %u002e".split()
)
TARGETS = st.lists(PIECES, max_size=10).map(lambda parts: b"/" + b"".join(parts))
BELOW = st.lists(PIECES, max_size=10).map(lambda parts: b"/repo/" + b"".join(parts))
REPO = compiled(
    {"path": "/repo/", "access": "public", "raw_path": True, "name": "repo"},
    {"path": "/repository", "name": "other"},
    {"path": "/admin", "name": "admin"},
    {"path": "/", "access": "public", "name": "root"},
)
ROOT = compiled({"path": "/", "access": "public", "raw_path": True, "name": "root"})


def decodings(path: bytes) -> Iterator[bytes]:
    """Yield a path as it is, and decoded one to five times."""
    for _ in range(6):
        yield path
        path = unquote_to_bytes(path)


def readings(path: bytes) -> Iterator[str]:
    """Yield how upstreams of all habits read a path."""
    for each in decodings(path):
        texts = {each.decode("latin-1"), unicodedata.normalize("NFKC", each.decode(errors="replace"))}
        for text, cut, back, parameters, order in itertools.product(
            texts, ("", "?", "#", "\0"), (True, False), (True, False), (True, False)
        ):
            read = text.partition(cut)[0] if cut else text
            read = read.replace("\\", "/") if back else read
            if parameters and order:
                read = re.sub(r";[^/]*", "", read)
            yield resolve(read)
            yield resolve(re.sub(r";[^/]*", "", read) if parameters else read).lower()


def resolve(path: str) -> str:
    """Return a path without empty segments and dot segments, as file systems and servers resolve them."""
    kept: list[str] = []
    for segment in path.split("/"):
        name = segment.rstrip(" ") if segment.strip(" .") == "" else segment
        if name == "..":
            kept[-1:] = []
        elif name not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)


def forwarded(known: Any, target: bytes) -> Forward | None:
    """Return the decision to forward a target, if that is what it is."""
    answer = ask(known, target.decode("latin-1"))
    return answer if isinstance(answer, Forward) else None


@given(BELOW | TARGETS)
@example(b"/repo/group%2Fproject//x;v=1/%252e/report%2520final.pdf")
@example(b"/repo%2Fadmin")
@example(b"/repo/%2e%2e%2fadmin")
@example(b"/repo/..;/admin")
def test_r79_no_reading_of_a_raw_path_is_under_another_rule(target: bytes):
    """R79 [3.3]: every reading of what a raw_path route forwards is below that route; it is as it came."""
    answer = forwarded(REPO, target)
    if answer is None or answer.route.name != "repo":
        return
    assert answer.target == target
    for reading in readings(target.partition(b"?")[0]):
        assert reading.lower() == "/repo" or reading.lower().startswith("/repo/"), reading


@given(TARGETS)
@example(b"/./.gateway/login")
@example(b"/.%2f.gateway/login")
@example(b"/;/.gateway/login")
@example(b"/.gateway%EF%BC%8Flogin")
@example(b"/%EF%BC%8Egateway/login")
@example(b"/.GATEWAY%EF%BC%8Flogin;x")
def test_r79_nor_anybody_elses_host_or_our_own_endpoints(target: bytes):
    """R79 [3.3]: a raw target begins with no authority; none of its readings is an endpoint of ours."""
    answer = forwarded(ROOT, target)
    if answer is None:
        return
    assert answer.target == target
    assert not re.match(rb"(?i)/(/|\\|%2f|%5c)", target)
    for reading in readings(target):
        assert not reading.lower().startswith("/.gateway/"), reading
