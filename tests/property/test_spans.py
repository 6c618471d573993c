"""Heads of one client in one directory: what a span recognises, and what is made of it."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.core.pattern import Pattern
from gateway.core.rules.routes import compile_routes
from gateway.core.sketch import draw
from gateway.core.span import Span, span_of
from gateway.http.downstream.exchange import ClientExchange
from gateway.http.messages import request_head as head
from gateway.pipeline import recall
from gateway.pipeline.pipeline import Pipeline
from tests.property.test_memories import (
    EVENTS,
    HOSTS,
    NAMED,
    NOISE,
    PEERS,
    PLAIN,
    TOLD,
    Process,
    asked,
    bearer,
    compiled,
    cookie,
    credentials,
    forgetful,
    forward,
    framing_of,
    happen,
    head_of,
    keeping_at_once,
    pattern_of,
    sorted_by,
)
from tests.support import pure

DIRECTORIES = [
    b"/api/",
    b"/api/items/",
    b"/public/",
    b"/part/",
    b"/old/a/",
    b"/admin/",
    b"/",
    b"/auth/",
    b"/api//",
]
LEAVES = [
    b"", b"1", b"22", b"a?q=1", b"?", b"?a=/../b", b"A", b".", b"..", b".x", b"a.b", b"a/b", b"../x", b"/x",
    b"a%2fb", b"%2e%2e", b"a;b", b"a b", b"a\tb", b"a\x00", b"\xff", b"a#b", b"*", b"a HTTP/1.0",
    b"a HTTP/1.1\r\nX-Who: root",
]  # fmt: skip
ITEMS = [b"1", b"22", b"a?q=%20", b"", b"z.js"]
LINES = [
    *PLAIN,
    *(b"%b: %b" % (name, value) for name, values in TOLD.items() for value in values),
    b"Connection: X-Forwarded-For, X-Real-IP",
    b"x_forwarded_for: 198.51.100.9",
    b"X.Real.IP: 198.51.100.9",
    b"X-Forwarded-For:",
]
METHODS = [b"GET", b"GET", b"GET", b"POST", b"HEAD", b"DELETE"]
CHANGING = [b"X-Request-ID", b"traceparent", b"X-One", b"X_Forwarded_User", b"X-Who", b"If-None-Match"]


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin with nothing, and make a pattern of whatever comes."""
    monkeypatch.setattr(recall, "_OFTEN", 1)
    monkeypatch.setattr(recall, "_PAUSE", 0.0)
    monkeypatch.setattr(ClientExchange, "forward", forward)
    with forgetful():
        yield


def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[list, list]:
    """Count from here on what spans recognise, and what is decided anew."""
    known, judged = [], []
    find, judge = Span.find, Pipeline._judge

    def noted(self, *sent):
        found = find(self, *sent)
        if found is not None:
            known.append(found)
        return found

    monkeypatch.setattr(Span, "find", noted)
    monkeypatch.setattr(Pipeline, "_judge", lambda *of: judged.append(of) or judge(*of))
    return known, judged


@st.composite
def conversations(draw: st.DrawFn) -> list[tuple]:
    """Draw what one client sends and what happens in between: heads that have nearly everything in common."""
    who = draw(st.lists(st.sampled_from(credentials()), min_size=1, max_size=2))
    lines = draw(st.lists(st.sampled_from(LINES), max_size=2))
    method, hosts = draw(st.sampled_from(METHODS)), [HOSTS[0]] * 6 + [HOSTS[2]]
    changing = draw(st.lists(st.sampled_from(CHANGING), max_size=2))
    place = draw(st.integers(0, 3))
    mostly = draw(st.sampled_from(DIRECTORIES))
    found: list[tuple] = []
    for turn in range(draw(st.integers(6, 10))):
        directory, leaf = mostly, ITEMS[turn % len(ITEMS)]
        values = [b"%b: %d" % (name, turn) for name in changing]
        kind = draw(st.sampled_from(["", "", "", "leaf", "directory", "who", "value", "line", "event"]))
        if kind == "leaf":
            leaf = draw(st.sampled_from(LEAVES))
        elif kind == "directory":
            directory = draw(st.sampled_from(DIRECTORIES))
        elif kind == "who":
            who = draw(st.lists(st.sampled_from(credentials()), min_size=1, max_size=2))
        elif kind == "value" and values:
            values[-1] = changing[-1] + b": " + draw(NOISE)
        elif kind == "line":
            lines = draw(st.lists(st.sampled_from(LINES), max_size=2))
        elif kind == "event":
            found.append(draw(EVENTS))
        every = [*lines, *who]
        every[place:place] = values
        host = draw(st.sampled_from(hosts))
        found.append(("ask", head_of(method, directory + leaf, host, every)))
    return found


@settings(max_examples=150)
@given(
    conversations(),
    st.booleans(),
    st.sampled_from([*PEERS, PEERS[2]]),
    st.booleans(),
    st.sampled_from(list(NAMED)),
)
def test_what_was_said_before_changes_no_answer(
    spoken: list[tuple], at_once: bool, peer: str, tls: bool, named: str
):
    """R44, R53, R56, R57, R64: in a conversation each head gets what it would get alone."""
    process = Process(named)
    with keeping_at_once(at_once):
        for name, *more in spoken:
            if name == "ask":
                process.check(0, more[0], peer, tls)
            else:
                happen(process, name, more)


@settings(max_examples=600)
@given(
    st.sampled_from(DIRECTORIES),
    st.lists(st.sampled_from(PLAIN), max_size=3),
    st.lists(st.sampled_from(CHANGING), max_size=3),
    st.integers(0, 4),
    st.sampled_from(LEAVES),
    NOISE,
    st.integers(0, 6),
)
def test_r57_what_a_span_recognises_its_pattern_recognises(
    directory: bytes, lines: list, changing: list, place: int, leaf: bytes, noise: bytes, where: int
):
    """R53, R56, R57: it is the same request, with the same credentials, in the same directory."""
    names = compiled(0).rules.request_names

    def made(turn: int) -> list[bytes]:
        every = [*lines, bearer("main900"), cookie("alice500")]
        every[place:place] = [b"%b: %d" % (name, turn) for name in changing]
        return every

    heads = [head_of(b"GET", directory + b"%d" % turn, HOSTS[0], made(turn)) for turn in (1, 2)]
    pattern = pattern_of(heads[0], names)
    span = None if pattern is None or pattern.match(heads[1]) is None else span_of(pattern, *heads)
    if pattern is None or span is None:
        return
    assert span.find(heads[0], "192.0.2.1", False) is not None
    changed = made(3)
    index = where % len(changed)
    changed[index] = changed[index].partition(b": ")[0] + b": " + noise
    for fields in (made(3), changed, changed[1:], [*changed, b"X-Who: root"]):
        data = head_of(b"GET", directory + leaf, HOSTS[0], fields)
        found = span.find(data, "192.0.2.1", False)
        if found is not None:
            check_same(pattern, data, found)
            assert found.match.group(*pattern.telling) == pattern.match(heads[0]).group(*pattern.telling)
            assert b"/." not in found.path
            assert found.path.rpartition(b"/")[0] + b"/" == directory
        assert span.find(data + b"G", "192.0.2.1", False) is None


def check_same(pattern: Pattern, data: bytes, found) -> None:
    """Fail where a span's request is not its pattern's, and that of a reading without either."""
    names = compiled(0).rules.request_names
    match = pattern.match(data)
    assert match is not None
    assert match.end() == len(data)
    known = head.read_match(pattern, match, "192.0.2.1", tls=False)
    with forgetful():
        again = head.read_request_head(data)
        request = again.of("192.0.2.1", tls=False)
    assert found.match.groups() == match.groups()
    assert (found.target, found.path, found.filling[0]) == (match[1], match[2], match[1])
    assert framing_of(pattern.framing, found.target) == framing_of(again, again.target)
    for each in (known, request):
        assert (found.method, found.target, found.host) == (each.method, each.target, each.host)
        assert found.headers == each.headers
        assert sorted_by(draw(found, names)) == sorted_by(draw(each, names))


PATHS = st.lists(st.sampled_from([b"a", b"A", b"b", b"ab"]), max_size=3).map(
    lambda segments: "/" + b"/".join(segments).decode()
)


@example([("/", ""), ("/A", "")], "/a", b"A")
@given(
    st.lists(st.tuples(PATHS, st.sampled_from(["", "GET", "POST"])), min_size=1, max_size=5, unique=True),
    PATHS,
    st.sampled_from([b"", b"a", b"A", b"b", b"ab", b"aB", b"c"]),
)
def test_r56_a_settled_directory_has_one_route(paths: list[tuple], below: str, leaf: bytes):
    """R56: whatever the last segment of a path is, it is on the route of its directory."""
    routes = [
        {"path": path, "name": f"r{number}"} | ({"methods": [method]} if method else {})
        for number, (path, method) in enumerate(paths)
    ]
    try:
        table = compile_routes(pure.settings(*routes))
    except ValueError:
        return
    directory = below.rstrip("/").encode() + b"/"
    for method in (b"GET", b"POST"):
        if table.settled(pure.HOST, directory, method):
            route = table.match(pure.HOST, directory, method)
            assert route is not None
            assert table.match(pure.HOST, directory + leaf, method) is route


def test_a_directory_is_decided_once(monkeypatch: pytest.MonkeyPatch):
    """After a few heads in one directory with one token, spans know the rest, whatever their ids are."""
    known, judged = counted(monkeypatch)
    process = Process()
    pipeline = process.pipelines[0]
    connection = process.reach(pipeline, PEERS[0], False)
    for number in range(12):
        changing = [b"X-Request-ID: %d" % number, b"traceparent: 00-%d" % number]
        data = asked(b"/api/%d?q=%%20" % number, b"X-One: 100%b", *changing, b"X-Two: %%")
        process.ask(pipeline, connection, data)
        assert pipeline.told[0] == "forward"
        assert b"GET /api/%d?q=%%20 HTTP/1.1\r\n" % number in pipeline.told[1]
        assert b"traceparent: 00-%d\r\n" % number in pipeline.told[1]
        assert pipeline.told[5].path == f"/api/{number}"
    assert len(judged) == 3
    assert len(known) >= 8


@pytest.mark.parametrize("leaf", LEAVES)
def test_r56_whatever_comes_last_in_a_directory(leaf: bytes):
    """R56: a last segment that could be read in two ways, or is none, is decided for what it is."""
    process = Process()
    for number in range(8):
        process.check(0, asked(b"/api/%d" % number), PEERS[0], False)
    process.check(0, asked(b"/api/" + leaf), PEERS[0], False)


@pytest.mark.parametrize(("one", "other"), [(bearer, "second900"), (cookie, "bob500"), (cookie, "alice030")])
def test_r53_a_span_is_of_one_caller(one, other: str):
    """R53: whoever else calls over the same connection, with all else the same, is told for who it is."""
    process = Process()
    line, another = one("main900" if one is bearer else "alice500"), one(other)
    for number in range(32):
        lines = [b"X-One: %d" % number, line if number % 3 else another, b"X-Two: %d" % number]
        process.check(0, head_of(b"GET", b"/api/%d" % number, HOSTS[0], lines), PEERS[0], False)


@pytest.mark.parametrize("first", [b"", b"hello"])
@pytest.mark.parametrize("between", [True, False])
def test_r57_what_may_have_a_body_is_of_no_span(between: bool, first: bytes):
    """R57: a Content-Length is read each time, however often it was 0; what follows is a body, no request."""

    def sent(number: int, length: int) -> bytes:
        changing = [b"X-One: %d" % number, b"X-Two: %d" % number]
        changing[1:1] = [b"Content-Length: %d" % length] if between else []
        lines = [*changing, *([] if between else [b"Content-Length: %d" % length])]
        return head_of(b"POST", b"/public/%d" % number, HOSTS[0], lines)

    process = Process()
    process.check(0, sent(0, len(first)) + first, PEERS[0], False)
    for number in range(1, 12):
        process.check(0, sent(number, 0), PEERS[0], False)
    pipeline = process.pipelines[0]
    connection = process.reach(pipeline, PEERS[0], False)
    assert not connection._seen.spans
    assert all(span_of(each, sent(1, 0), sent(2, 0)) is None for each in connection._seen.patterns)
    assert connection._seen.patterns
    hidden = head_of(b"GET", b"/public/hidden", HOSTS[0], [])
    process.ask(pipeline, connection, sent(12, len(hidden)))
    assert pipeline.framing is not None
    assert not connection.idle
    assert process.ask(pipeline, connection, hidden) == (None, None)


@pytest.mark.parametrize("start", [b"\r", b"\r\n", b"\rXX", b"", b"\n"])
def test_r57_a_span_that_has_retired_recognises_nothing(start: bytes):
    """R57: whatever a head begins with that is of no request."""
    process = Process()
    for number in range(12):
        process.check(0, asked(b"/part/%d" % number), PEERS[0], False)
    spans = process.reach(process.pipelines[0], PEERS[0], False)._seen.spans
    assert spans
    data = asked(b"/part/9")
    for skipped in range(len(b"GET /part/") + 1):
        assert all(span.find(start + data[skipped:], PEERS[0], False) is None for span in spans)
    process.check(0, start + data, PEERS[0], False)


def test_a_record_tells_the_path_though_its_pattern_has_gone():
    """A general plan's record says which path it was, also where a pattern retires while it is under way."""
    process = Process()
    pipeline = process.pipelines[0]
    connection = process.reach(pipeline, PEERS[0], False)
    for number in range(8):
        process.ask(pipeline, connection, asked(b"/public/%d?x" % number))
    seen = connection._seen
    request = seen.spans[0].find(asked(b"/public/9?x"), PEERS[0], False)
    plan = pipeline._recall.find(request, process.now)
    general = pipeline._recall._find(request, process.now)
    request = seen.spans[0].find(asked(b"/public/9?x"), PEERS[0], False)
    seen.patterns[0].retire()
    assert plan.path_of(request) == general.path_of(request) == "/public/9"


@pytest.mark.parametrize("path", [b"/", b"/part/", b"/auth/", b"/old/", b"/api//"])
def test_r56_a_directory_with_more_than_one_answer(path: bytes, monkeypatch: pytest.MonkeyPatch):
    """R56: where routes begin below it, where the path is rewritten, and at our own endpoints: no span."""
    known, _ = counted(monkeypatch)
    process = Process()
    for number in range(24):
        process.check(0, asked(path + b"%d" % number), PEERS[0], False)
    assert len(known) <= 6


@pytest.mark.parametrize(
    "event", [("revoke", "sub", 10, None), ("keys", "second", "corporate"), ("reload", 0, 1), ("time", 999)]
)
def test_r44_what_a_span_keeps_ends_with_what_it_rests_on(event: tuple, monkeypatch: pytest.MonkeyPatch):
    """R44: a token that is revoked, whose key is gone, whom nobody trusts any more or that is over."""
    known, _ = counted(monkeypatch)
    process = Process()
    pipeline = process.pipelines[0]
    connection = process.reach(pipeline, PEERS[0], False)
    name, *more = event
    for number in range(8):
        if number == 6:
            happen(process, name, more)
            assert known
        process.ask(pipeline, connection, asked(b"/api/%d" % number))
        assert (pipeline.told[0] == "forward") == (number < 6), number


def test_r53_one_client_s_span_is_not_another_s():
    """R53: what was decided for one address and one kind of connection is told of no other."""
    process = Process()
    for number in range(12):
        for peer in PEERS:
            for tls in (False, True):
                process.check(0, asked(b"/public/%d" % number), peer, tls)


def test_r60_few_spans_and_few_expressions(monkeypatch: pytest.MonkeyPatch):
    """R60: however much a client's heads differ, little is kept of them, and little is compiled."""
    process = Process()
    pipeline = process.pipelines[0]
    connection = process.reach(pipeline, PEERS[0], False)
    values = [0] * 20
    for number in range(600):
        values[number % len(values)] = number
        lines = [b"X-%d: %d" % line for line in enumerate(values)]
        process.ask(pipeline, connection, asked(b"/api/%d/%d" % (number // 2 % 9, number), *lines))
        assert pipeline.told[0] == "forward"
    seen = connection._seen
    assert len(seen.patterns) == 1
    assert len(seen.patterns[0]._gaps) == 2
    assert 1 <= len(seen.spans) <= 2
    connection.forget()
    assert connection._seen is None
