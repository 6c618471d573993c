"""``gateway doctor``: the table of diagnoses, what it reads from a log, what it knows of cookies."""

import ast
import json
import re

import pytest

from gateway.cli import main as cli
from gateway.cli.doctor.causes import LIKELIEST, explained
from gateway.cli.doctor.cookies import judge, read
from gateway.cli.doctor.log import failures
from gateway.config.settings.logs import LogSettings
from gateway.core.decision.causes import Cause
from gateway.core.diagnoses import DIAGNOSES
from gateway.core.reasons import Reason
from gateway.edge.telemetry.logs import Logs
from tests.support.configuration import TREE

# where a login's end is decided, and what it asks
DECIDING = (
    "core/endpoints/callback.py",
    "core/endpoints/login.py",
    "core/endpoints/login_failure.py",
    "core/endpoints/session_start.py",
    "core/endpoints/ticket.py",
    "core/endpoints/joining.py",
    "core/access/verification.py",
    "core/access/to_login.py",
    "core/tokens/id_token.py",
    "core/tokens/claims.py",
    "core/tokens/jws.py",
    "oauth/token.py",
    "edge/store/store.py",
)
# a login that went on, or that was none
WELL = {
    Reason.LOGIN_STARTED,
    Reason.LOGIN_COMPLETED,
    Reason.LOGIN_RETURNED,
    Reason.LOGIN_EVICTED,
    Reason.LOGIN_REQUIRED,
    Reason.ALREADY_LOGGED_IN,
    Reason.PROVIDER_CHOICE,
    Reason.SITE_JOINED,
    Reason.TICKET_GIVEN,
    Reason.ROUTE_UNKNOWN,
    # a step-up: another login, which is what it asks for
    Reason.AUTHENTICATION_TOO_OLD,
    Reason.AUTHENTICATION_TOO_WEAK,
}


def named_in(path: str) -> set[Reason]:
    """Return the reasons that a module names."""
    tree = ast.parse((TREE / "gateway" / path).read_text(encoding="utf-8"))
    return {
        Reason[node.attr]
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }


def test_every_way_in_which_a_login_ends_has_a_diagnosis():
    """[12.cli]: every word of a login, and every reason that the modules name which decide on one."""
    named = set().union(*map(named_in, DECIDING))
    named |= {reason for reason in Reason if reason.value.startswith(("login_", "ticket_", "issuer_"))}
    assert named - WELL <= set(DIAGNOSES)
    assert not set(DIAGNOSES) & WELL


@pytest.mark.parametrize("reason", DIAGNOSES)
def test_a_diagnosis_reads_well(reason):
    """[12.cli]: a sentence for the cause, and things to look at that name real settings and commands."""
    from gateway.edge.configfile.validation import sections

    diagnosis = DIAGNOSES[reason]
    assert diagnosis.cause[0].isupper()
    assert diagnosis.cause.endswith(".")
    assert diagnosis.look
    known = {name for _, model in sections() for name in model.model_fields}
    for each in diagnosis.look:
        assert not each.endswith(".")
        for section, name in re.findall(
            r"\b(session|providers\.\*|limits|denylist|forwarding)\.([a-z_]+)", each
        ):
            assert name in known, (section, name)
        for words in re.findall(r"gateway ([a-z]+)(?: |$)", each):
            assert words in cli._parser([]).children, each


def test_the_documentation_has_the_same_table():
    """[12.cli]: docs/troubleshooting.md has a row for each reason, word for word, and no other."""
    text = (TREE / "docs/troubleshooting.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if re.match(r"\| `[a-z_]+` \|", line)]
    wanted = [
        f"| `{reason}` | {diagnosis.cause} | {'; '.join(diagnosis.look)} |"
        for reason, diagnosis in DIAGNOSES.items()
    ]
    assert rows == wanted, "write:\n" + "\n".join(wanted)


def line(**fields: object) -> bytes:
    return json.dumps({"time": "2026-11-29T12:00:00.000Z", "level": "info", **fields}).encode() + b"\n"


LOG = [
    line(event="login", reason="login_completed", request_id="r1", provider="corporate"),
    line(
        event="login", reason="login_refused", request_id="r2", provider="corporate", detail="invalid_client"
    ),
    line(
        event="login", reason="login_refused", request_id="r3", provider="corporate", detail="invalid_client"
    ),
    b"gateway[12]: "
    + line(event="login", reason="token_expired", request_id="r4", claim="exp", cause="clocks"),
    line(event="login", reason="login_denied", request_id="r8", detail="gateway_doctor"),
    line(event="refusal", reason="group_missing", request_id="r5"),
    line(event="request", reason="login_refused", request_id="r3", status=400),
    line(event="site_refused", reason="ticket_refused", request_id="r6", detail="it is not for this browser"),
    line(event="login", reason="made_up\x1b[2J", request_id="r7"),
    b"no json at all\n",
    b'{"event": "login", "reason": ["x"]}\n',
    b'{"event": "login", "reason": "login_denied", \n',
    b'{"event":"' + b"a" * 100_000 + b'"}\n',
    b"\xff\xfe{\x00\n",
]


def test_every_cause_is_explained():
    """[12.cli]: the words that the audit log tells of what probably happened."""
    assert set(LIKELIEST) == set(Cause)
    assert all(text[0].islower() and not text.endswith(".") for text in LIKELIEST.values())
    assert explained("made_up") == ""


def test_what_a_log_says():
    """[12.cli]: failed logins once each; other lines, other programs' and garbage are passed over."""
    found = failures(LOG)
    assert [each.request_id for each in found] == ["r2", "r3", "r4", "r6", "r7"]
    assert found[0].detail == "invalid_client"
    assert found[2].claim == "exp"
    assert found[-1].known is None
    (one,) = failures(LOG, "r5")
    assert (one.reason, one.known) == ("group_missing", None)
    assert failures(LOG, "r9") == []


def test_a_log_in_logfmt(tmp_path):
    """[12.cli]: as ``log.format: logfmt`` writes it, by the gateway's own writer."""
    lines: list[str] = []
    logs = Logs(LogSettings(format="logfmt"), write=lines.append)
    logs.audit("login", reason="login_refused", request_id="r1", provider="corporate", detail='a "b" = c\n')
    logs.audit("login", reason="login_completed", request_id="r2")
    logs.audit("login", reason="token_expired", request_id="r3", claim="exp")
    assert "event=login" in lines[0]
    found = failures(each.encode() for each in lines)
    assert [(each.request_id, each.known) for each in found] == [
        ("r1", Reason.LOGIN_REFUSED),
        ("r3", Reason.TOKEN_EXPIRED),
    ]
    assert found[0].detail.startswith('a "b" = c')
    assert failures([b'event="', b"event=login reason=", b'event=login reason="\\x" request_id=r']) == []


@pytest.fixture
def doctor(capsys, tmp_path, monkeypatch):
    """Return a function that runs the command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    (tmp_path / "gateway.log").write_bytes(b"".join(LOG))

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.main(["doctor", *words])
        told = capsys.readouterr()
        assert "\x1b" not in told.out + told.err
        return code, told.out, told.err

    return run


def test_by_a_log(doctor):
    """[12.cli]: by kind, the most frequent first, with the last of each; one of them by its request id."""
    code, out, _ = doctor("--log", "gateway.log")
    assert code == 0
    assert out.startswith("2 times, last 2026-11-29T12:00:00.000Z, request id r3, provider corporate")
    assert "detail: invalid_client" in out
    assert DIAGNOSES[Reason.LOGIN_REFUSED].cause in out
    assert "no reason of a login" in out
    code, out, _ = doctor("--log", "gateway.log", "--request-id", "r4")
    assert (code, out.count("once")) == (0, 1)
    assert DIAGNOSES[Reason.TOKEN_EXPIRED].cause in out
    assert f"most likely: {LIKELIEST[Cause.CLOCKS]}" in out
    code, out, _ = doctor("--log", "gateway.log", "--json")
    assert [each["reason"] for each in json.loads(out)][:2] == ["login_refused", "login_refused"]
    code, _, err = doctor("--log", "gateway.log", "--request-id", "r9")
    assert code == 1
    assert "request id r9" in err


def test_by_a_word(doctor):
    """[12.cli]: the word at the foot of the page; a slip is guessed; another's says where to look."""
    code, out, _ = doctor("login_state_unknown")
    assert code == 0
    assert out.splitlines()[0] == f"login_state_unknown: {DIAGNOSES[Reason.LOGIN_STATE_UNKNOWN].cause}"
    assert "did you mean login_loop?" in doctor("login_lop")[2]
    assert "docs/reasons.md" in doctor("upstream_timeout")[2]
    assert json.loads(doctor("login_loop", "--json")[1])[0]["look"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["login_loop", "--log", "x"], "one of them"),
        (["--request-id", "r1"], "--request-id is for --log"),
        (["--log", "nowhere.log"], "cannot be read"),
        (["--url", "app.example.com"], "--url is no absolute URL"),
        ([], "no configuration"),
    ],
)
def test_what_it_cannot_do(doctor, words, told):
    """[12.cli]: a line that says so, and exit code 1."""
    code, out, err = doctor(*words)
    assert (code, out) == (1, "")
    assert told in err


@pytest.mark.parametrize(
    ("field", "url", "told"),
    [
        ("__Host-a=1; Path=/; Secure; HttpOnly; SameSite=Lax", "https://app.example.com/x", None),
        ("gateway-8080-a=1; Path=/; SameSite=Lax", "http://localhost:8080/", None),
        ("__Host-a=1; Path=/; Secure", "http://app.example.com/", "at http"),
        ("__Host-a=1; Path=/; Secure", "http://localhost/", None),
        ("__Host-a=1; Path=/", "https://app.example.com/", "__Host-"),
        ("__Host-a=1; Path=/; Secure; Domain=app.example.com", "https://app.example.com/", "__Host-"),
        ("__Host-a=1; Path=/x; Secure", "https://app.example.com/x/", "__Host-"),
        ("a=1; Domain=example.com", "https://app.example.com/", None),
        ("a=1; Domain=.example.org", "https://app.example.com/", "example.org"),
        ("a=1; Domain=ple.com", "https://app.example.com/", "ple.com"),
        ("a=" + "x" * 4096, "https://app.example.com/", "4097 octets"),
        ("a=1; SameSite=Strict", "https://app.example.com/", "Strict"),
        ("a=1; SameSite=None", "https://app.example.com/", "without Secure"),
        ("a=1; Path=/other", "https://app.example.com/", "another path"),
        ("a=1; Max-Age=0", "https://app.example.com/", "forgotten"),
        ("", "https://app.example.com/", None),
        (";;;=;", "https://app.example.com/", None),
    ],
)
def test_what_a_browser_does_with_a_cookie(field, url, told):
    """[12.cli]: what keeps it, or keeps it from coming back; garbage is survived."""
    found = judge(read(field), url)
    assert (found is None) == (told is None), found
    assert told is None or told in found
