"""Access lines as combined and logfmt: read back by others' rules, whatever a client sends."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.checks.every import check
from gateway.config.settings.logs import LogSettings
from gateway.config.settings.root import Settings
from gateway.core.outcome import CORRELATION, Outcome
from gateway.core.reasons import Reason
from gateway.edge.telemetry.logs import Logs, tell_kind
from gateway.edge.telemetry.metrics import Metrics
from gateway.edge.telemetry.recorder import Recorder, number_of
from gateway.pipeline.transaction import correlated
from tests.support.pure import identity

NOW = 1_700_000_000.0625
KIND = (b"GET", b"app.example.com", "orders", "forward", Reason.AUTHENTICATED, 200, "app")
# as analysers of such logs have it: nothing but these fields, each quote within one escaped
COMBINED = re.compile(
    r'(?P<client>\S+) (?P<ident>\S+) (?P<user>\S+) \[(?P<time>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*)"'
    r' (?P<status>\d{3}) (?P<bytes>\d+|-) "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"'
    r"(?P<more>.*)"
)
PAIR = re.compile(r'(?P<name>[A-Za-z0-9_.-]+)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s"=]+))(?: |\Z)')
ESCAPE = re.compile(r'\\(?:x(?P<octet>[0-9a-f]{2})|(?P<sign>[bnrtv"\\]))')
SIGNS = {"b": 8, "n": 10, "r": 13, "t": 9, "v": 11, '"': 34, "\\": 92}
HOSTILE = [
    *map(chr, range(32)),
    "\x7f",
    "\x9b31m",
    '" 200 1 "-" "forged',
    '\\" forged \\',
    "a\r\n203.0.113.1 - root [",
    "\u202eevil\u2066",
    "\u2028\u2029\ufeff",
    "level=error event=forged",
    "- - [10/Oct/2000:13:55:36 -0700]",
    "-",
    "",
    "<script>alert(1)</script>",
    "é€😀",
]


def outcome(**changes) -> Outcome:
    """Return an outcome with changes."""
    kind = changes.pop("kind", KIND)
    subject = changes.pop("subject", "alice")
    made = Outcome(kind, "/orders/12", "203.0.113.9", "5f3a9c01d2e400000017", 0.000123, 0.0405, 0.04, 1, 2)
    return replace(
        made, identity=identity(issuer="https://idp.example", subject=subject, session_id="s"), **changes
    )


def line_of(settings: LogSettings, told: Outcome, worker: int | None = None) -> str:
    """Return the one line that is written."""
    lines: list[str] = []
    logs = Logs(settings, write=lines.append, clock=lambda: NOW, worker=worker)
    logs.access(told, tell_kind(told.kind))
    (line,) = lines
    assert line.isascii()
    assert line.isprintable()
    return line


def combined(told: Outcome, **settings) -> dict[str, str]:
    """Return the fields of a combined line."""
    match = COMBINED.fullmatch(line_of(LogSettings(format="combined", **settings), told))
    assert match is not None
    return match.groupdict()


def plain(text: str) -> bytes:
    """Return the bytes that Apache's escapes stand for."""
    octets, at = bytearray(), 0
    for match in ESCAPE.finditer(text):
        octets += text[at : match.start()].encode()
        octets.append(int(match["octet"], 16) if match["octet"] else SIGNS[match["sign"]])
        at = match.end()
    return bytes(octets + text[at:].encode())


def logfmt(line: str) -> dict[str, object]:
    """Return the pairs of a logfmt line, each name once."""
    found: dict[str, object] = {}
    at = 0
    while at < len(line):
        match = PAIR.match(line, at)
        assert match is not None, line[at:]
        assert match["name"] not in found
        found[match["name"]] = json.loads(f'"{match["quoted"]}"') if match["bare"] is None else match["bare"]
        at = match.end()
    return found


def test_a_combined_line_is_exact():
    """[12.logs] As Apache writes it, field by field."""
    told = outcome(headers=((b"User-Agent", b"curl/8.5"), (b"Referer", b"https://a.example/x?code=secret#y")))
    assert line_of(LogSettings(format="combined"), told) == (
        '203.0.113.9 - alice [14/Nov/2023:22:13:20 +0000] "GET /orders/12 HTTP/1.1" 200 2'
        ' "https://a.example/x" "curl/8.5"'
    )
    nobody = replace(
        outcome(kind=(b"", b"", "", "refuse", Reason.REQUEST_MALFORMED, 400, None)), identity=None
    )
    assert line_of(LogSettings(format="combined"), replace(nobody, path="", bytes_out=0)) == (
        '203.0.113.9 - - [14/Nov/2023:22:13:20 +0000] "-" 400 - "-" "-"'
    )


def test_the_user_is_whom_the_configuration_names():
    """[12.logs] The subject, another claim, or nobody; what else is asked for follows in quotes."""
    told = outcome(
        claims=(("email", "a@example.com"), ("name", 'A "B"')),
        headers=((CORRELATION, b"id-of-the-proxy"), (b"X-Trace", b"t"), (b"User-Agent", b"u")),
    )
    assert combined(told)["user"] == "alice"
    assert combined(told, user="email")["user"] == "a@example.com"
    assert combined(told, user="absent")["user"] == "-"
    assert combined(told, user="none")["user"] == "-"
    found = combined(told, user="email", claims=["name"], request_headers=["X-Trace", "User-Agent"])
    assert found["more"] == ' proxy_request_id="id-of-the-proxy" name="A \\"B\\"" x-trace="t"'


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_is_forged_in_combined(text):
    """[12.logs] Every control character, quotes, bidi: one line, the same fields, and the very bytes."""
    headers = ((b"User-Agent", text.encode()), (b"Referer", text.encode()), (b"X-A", text.encode()))
    told = outcome(
        subject=text, headers=headers, path="/" + text.encode().decode("latin-1"), claims=(("name", text),)
    )
    found = combined(told, claims=["name"], request_headers=["X-A"])
    assert (found["client"], found["status"], found["bytes"]) == ("203.0.113.9", "200", "2")
    assert found["agent"] == "-" if not text else plain(found["agent"]) == text.encode()
    assert plain(found["request"]) == b"GET /" + text.encode() + b" HTTP/1.1"
    assert found["request"].count(" ") == 2
    assert found["user"] == '""' if not text else plain(found["user"]) == text.encode()
    assert (found["user"] == "-") is False
    more = PAIR.findall(found["more"].strip())
    assert [name for name, *_ in more] == ["name", "x-a"]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_is_forged_in_logfmt(text):
    """[12.logs] The same in logfmt: each name once, each value as it was sent."""
    told = outcome(
        subject=text, headers=((b"User-Agent", text.encode()),), claims=(("name", text), ("level", text))
    )
    found = logfmt(line_of(LogSettings(format="logfmt"), told, worker=3))
    assert (found["level"], found["event"], found["worker"], found["status"]) == (
        "info",
        "request",
        "3",
        "200",
    )
    assert found["subject"] == found["claims.name"] == found["claims.level"] == text
    assert found["request_headers.user-agent"] == text


@given(st.binary(max_size=200), st.sampled_from(["json", "combined", "logfmt"]))
def test_any_bytes_are_data(octets, form):
    """[12.logs] Invalid UTF-8 as well: one line of printable ASCII, whose other fields stay."""
    told = outcome(headers=((b"User-Agent", octets), (b"X-A", octets)), path="/" + octets.decode("latin-1"))
    line = line_of(LogSettings(format=form, request_headers=["X-A"]), told)
    if form == "combined":
        match = COMBINED.fullmatch(line)
        assert match is not None
        assert (match["user"], match["status"]) == ("alice", "200")
        PAIR.findall(match["more"])
    else:
        found = json.loads(line) if form == "json" else logfmt(line)
        assert (found["subject"], str(found["status"])) == ("alice", "200")


@pytest.mark.parametrize("form", ["json", "combined", "logfmt"])
def test_a_megabyte_of_user_agent(form):
    """[12.logs] Is cut, in every format."""
    told = outcome(headers=((b"User-Agent", b"\x00" * 1_000_000), (b"X-B", b'"' * 1_000_000)))
    assert len(line_of(LogSettings(format=form, request_headers=["X-B", "User-Agent"]), told)) < 20_000


@pytest.mark.parametrize("form", ["json", "combined", "logfmt"])
def test_secrets_stand_in_no_format(form):
    """R16 [12.logs] What looks like a credential is masked wherever it stands."""
    jwt = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"
    told = outcome(
        path=f"/x/{jwt}",
        subject=f"Bearer {jwt}",
        headers=(
            (b"User-Agent", jwt.encode()),
            (b"Referer", f"https://u:pw@x/{jwt}".encode()),
            (b"X-A", jwt.encode()),
        ),
        claims=(("name", jwt), ("token", "opaque-secret")),
    )
    line = line_of(LogSettings(format=form, claims=["name", "token"], request_headers=["X-A"]), told)
    for word in ("eyJ", "opaque-secret", "pw@"):
        assert word not in line


def test_other_lines_follow():
    """With logfmt messages are logfmt as well; with combined they are JSON."""
    for form, read in (("logfmt", logfmt), ("combined", json.loads), ("json", json.loads)):
        lines: list[str] = []
        logs = Logs(LogSettings(format=form), write=lines.append, clock=lambda: NOW)
        logs.warning("a message", detail="x y", names=["a", "b"])
        logs.audit("login", claims={"email": "a@b"}, reason="login_completed")
        found = read(lines[0])
        assert (found["message"], found["detail"], found["level"]) == ("a message", "x y", "warning")
        assert found["names"] == ('["a","b"]' if form == "logfmt" else ["a", "b"])
        assert read(lines[1])["event"] == "login"


SETTINGS = {
    "public_url": ["http://localhost:8080"],
    "secret_keys": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
    "providers": {
        "p": {"issuer": "https://idp.example", "client_id": "c", "client_secret": "s", "audiences": ["a"]}
    },
    "upstreams": {"app": {"servers": ["http://127.0.0.1:1"]}},
}


def settings(routes: list[dict], **log) -> Settings:
    """Return settings with these routes and logs."""
    full = [{"upstream": "app", "access": "public"} | each for each in routes]
    return Settings.model_validate(SETTINGS | {"routes": full, "log": log})


def written(told: Settings, outcomes: list[Outcome]) -> list[Outcome]:
    """Return those that get a line."""
    lines: list[str] = []
    logs = Logs(told.log, write=lines.append)
    recorder = Recorder(Metrics(), logs, access=told.log.access)
    recorder.configure(told)
    found = []
    for each in outcomes:
        before = len(lines)
        recorder.outcome(each)
        found += [each] if len(lines) > before else []
    return found


def of_route(route: str, count: int = 400, status: int = 200, decision: str = "forward") -> list[Outcome]:
    kind = (b"GET", b"h", route, decision, Reason.AUTHENTICATED, status, "app")
    return [replace(outcome(kind=kind), request_id=f"{number:020x}") for number in range(count)]


def test_a_share_of_requests():
    """[12.logs] The same ones everywhere, by their ids alone; refusals and 5xx always, unless that is off."""
    routes = [{"path": "/"}]
    some = written(settings(routes, sample=0.1), of_route("/"))
    assert 10 < len(some) < 80
    assert written(settings(routes, sample=0.1), of_route("/")) == some
    assert all(number_of(each) < 0.1 * 2**32 for each in some)
    more = written(settings(routes, sample=0.5), of_route("/"))
    assert {each.request_id for each in some} < {each.request_id for each in more}
    assert len(written(settings(routes, sample=0), of_route("/", status=502))) == 400
    assert len(written(settings(routes, sample=0), of_route("/", status=403, decision="refuse"))) == 400
    assert len(written(settings(routes, sample=0), of_route("/", status=404))) == 0
    assert len(written(settings(routes, sample=0, sample_errors=False), of_route("/", status=502))) == 0
    assert len(written(settings(routes), of_route("/"))) == 400


def test_the_id_of_a_proxy_decides():
    """[12.logs] Where a trusted proxy has named the request, its id is what lines agree by."""
    ids = [((CORRELATION, b"%d" % number),) for number in range(400)]
    here = [replace(each, headers=told) for each, told in zip(of_route("/"), ids, strict=True)]
    there = [replace(each, request_id=f"other-{each.request_id}") for each in here]
    told = settings([{"path": "/"}], sample=0.2)
    assert [each.headers for each in written(told, here)] == [each.headers for each in written(told, there)]


def test_by_route():
    """[12.logs] Off, a share, or all of a route, whatever holds for the others."""
    told = settings(
        [
            {"path": "/health", "log": False},
            {"path": "/x", "log": 0.05},
            {"path": "/y", "log": True},
            {"path": "/"},
        ],
        sample=0.5,
    )
    assert not written(told, of_route("/health"))
    assert not written(told, of_route("/health", status=500))
    assert len(written(told, of_route("/y"))) == 400
    assert 0 < len(written(told, of_route("/x"))) < len(written(told, of_route("/")))
    assert len(written(told, of_route("/x", status=500))) == 400
    off = settings([{"path": "/y", "log": True}, {"path": "/"}], access=False)
    assert len(written(off, of_route("/y"))) == 400
    assert not written(off, of_route("/", status=500))


def test_routes_of_one_name_agree():
    """What is told of a route is told by its name."""
    routes = [
        {"path": "/a", "methods": ["GET"], "log": False},
        {"path": "/a", "methods": ["POST"]},
        {"path": "/"},
    ]
    (problem,) = check(settings(routes))
    assert problem.path == ("routes", 1, "log")
    routes[1]["name"] = "writes"
    assert not check(settings(routes))
    routes = [{"path": "/a", "methods": ["GET"], "audit": True}, {"path": "/a", "methods": ["POST"]}]
    assert [each.path for each in check(settings(routes))] == [("routes", 1, "audit")]


@pytest.mark.parametrize(
    ("log", "path"),
    [
        ({"user": " sub"}, ("log", "user")),
        ({"proxy_request_id": "X Y"}, ("log", "proxy_request_id")),
        ({"proxy_request_id": "Authorization"}, ("log", "proxy_request_id")),
        ({"proxy_request_id": "X-Request-ID"}, ("log", "proxy_request_id")),
    ],
)
def test_what_makes_no_sense_is_refused(log, path):
    """A field of secrets, no field, or one that nobody is believed about."""
    assert [each.path for each in check(settings([{"path": "/"}], **log))] == [path]


@pytest.mark.parametrize(
    ("values", "is_trusted", "expected"),
    [
        ([b"id-1.2:3"], True, (b"id-1.2:3",)),
        ([b"id"], False, ()),
        ([b"id", b"other"], True, ()),
        ([b"i d"], True, ()),
        ([b'id"'], True, ()),
        ([b""], True, ()),
        ([b"x" * 129], True, ()),
        ([b"\xc3\xa9"], True, ()),
    ],
)
def test_only_a_proxys_id_counts(values, is_trusted, expected):
    """[12.logs] One word from a trusted proxy; anything else correlates nothing."""
    fields = ((b"User-Agent", b"u"), *((b"X-Request-Id", value) for value in values))
    found = correlated(fields, b"x-request-id", is_trusted)
    assert tuple(value for name, value in found if name == CORRELATION) == expected
    assert (b"User-Agent", b"u") in found


@pytest.mark.parametrize("form", ["json", "combined", "logfmt"])
def test_whoever_takes_lines_beside_gets_json(form):
    """Whatever the format is, OTLP is told members."""
    lines: list[str] = []
    beside: list[str] = []
    logs = Logs(LogSettings(format=form), write=lines.append, clock=lambda: NOW)
    logs.tee(beside.append)
    told = outcome()
    logs.access(told, tell_kind(told.kind))
    logs.warning("a message")
    logs.audit("login")
    assert [json.loads(line)["event"] for line in beside] == ["request", "message", "login"]
    assert len(lines) == 3
    assert (lines == beside) is (form == "json")
    logs.tee(None)
    logs.access(told, tell_kind(told.kind))
    assert (len(lines), len(beside)) == (4, 3)
