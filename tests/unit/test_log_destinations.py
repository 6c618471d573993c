"""Where logs go: syslog, the journal and files, with real sockets, and read by others' rules."""

import json
import os
import re
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from gateway.config.changes import needs_restart
from gateway.config.checks.every import check
from gateway.config.settings.logs import LogSettings, SyslogSettings
from gateway.config.settings.root import Settings
from gateway.core.audit.chain import Chain, Keys, name_chain
from gateway.core.audit.lines import read_line
from gateway.core.audit.verify import Anchors, Walk
from gateway.edge.telemetry import shipping
from gateway.edge.telemetry.audit_file import AuditFile
from gateway.edge.telemetry.journal import JournalCarrier
from gateway.edge.telemetry.log_writer import Writer
from gateway.edge.telemetry.logs import Logs
from gateway.edge.telemetry.outlet_watch import OutletWatch
from gateway.edge.telemetry.outlets import open_logs
from gateway.edge.telemetry.shipping import Record, Shipper
from gateway.edge.telemetry.syslog import Formatter, SyslogCarrier
from tests.support.certificates import Authority
from tests.support.log_receivers import Datagrams, Streams, read_journal, read_syslog
from tests.support.ports import free_port

SEED = bytes(32)
KEYS = Keys({"k": SEED})
HOSTILE = 'a"b\\c]d\n<0>1 - - - - - - forged\r\x00\u202e é'


def syslog(address: str, **settings) -> Shipper:
    """Return what sends to a syslog daemon."""
    told = SyslogSettings(address=address, **settings)
    return Shipper(SyslogCarrier(told, told.audit_facility, 3), "test")


def logs_to(shipper: Shipper) -> Logs:
    """Return logs whose audit events go there."""
    return Logs(LogSettings(), sink=shipper, audit=shipper)


@pytest.fixture
def short(tmp_path_factory):
    """A directory with a short path: those of Unix sockets are limited."""
    path = Path(tempfile.mkdtemp(prefix="gw-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=["unix", "udp", "tcp", "tls"])
def receiver(request, short, tmp_path):
    """Something that takes syslog, and how it is trusted."""
    if request.param == "unix":
        made, trust = Datagrams(short / "log"), {}
    elif request.param == "udp":
        made, trust = Datagrams(), {}
    elif request.param == "tcp":
        made, trust = Streams(), {}
    else:
        authority = Authority(tmp_path)
        own = authority.issue("localhost")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own.certificate, own.key)
        made, trust = Streams(context), {"ca_file": str(authority.file)}
    yield made, trust
    made.close()


def test_syslog_by_its_rules(receiver):
    """[12.logs] RFC 5424 by every transport: priority, time, structured data, and nothing forged."""
    where, trust = receiver
    shipper = syslog(where.address, sd_id="gateway@32473", **trust)
    logs = logs_to(shipper)
    try:
        logs.audit("login", subject=HOSTILE, reason="login_completed", claims={'na]m="e ': HOSTILE})
        logs.error("something broke")
        logs.warning("something may break")
        logs.info("something is")
        found = [read_syslog(where.take()) for _ in range(4)]
    finally:
        shipper.close()
    assert [each["facility"] for each in found] == [10] * 4
    assert [each["severity"] for each in found] == [5, 3, 4, 6]
    assert [each["msgid"] for each in found] == ["login", "error", "message", "message"]
    assert [each["data"]["meta"]["sequenceId"] for each in found] == ["1", "2", "3", "4"]
    assert {each["app"] for each in found} == {"gateway"}
    assert {each["pid"] for each in found} == {f"{os.getpid()}.3"}
    assert json.loads(found[0]["message"])["subject"] == HOSTILE
    told = found[0]["data"]["gateway@32473"]
    assert told["subject"] == 'a"b\\c]d\\n<0>1 - - - - - - forged\\r\\u0000\\u202e \\u00e9'
    assert told["claims.na_m__e_"] == told["subject"]
    assert told["reason"] == "login_completed"


def test_a_daemon_that_nobody_vouches_for(tmp_path):
    """[12.logs] TLS with another authority, or for another name: nothing is sent, and the reason is told."""
    (tmp_path / "other").mkdir()
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    for own, trusted in ((authority.issue("localhost"), other), (authority.issue("elsewhere"), authority)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own.certificate, own.key)
        where = Streams(context)
        shipper = syslog(where.address, ca_file=str(trusted.file))
        try:
            logs_to(shipper).audit("login", subject="alice")
            with pytest.raises(ssl.SSLError):
                where.take()
            _until(lambda shipper=shipper: shipper.trouble is not None)
        finally:
            shipper.close()
            where.close()


def test_a_message_has_a_bound(short):
    """[12.logs] What is longer loses its end, is counted, and stays a message."""
    where = Datagrams(short / "log")
    shipper = syslog(where.address, most=480)
    try:
        logs_to(shipper).audit("login", detail="x" * 5000)
        message = where.take()
    finally:
        shipper.close()
        where.close()
    assert len(message) == 480
    assert read_syslog(message)["message"].startswith('{"time":')
    assert shipper.stats()["cut_lines_total"] == 1


def test_trouble_is_told_once():
    """[12.logs] A line when a destination does not take lines, and one when it does again."""
    lines: list[str] = []
    troubles: dict[str, str] = {}
    watch = OutletWatch(lambda: troubles, Logs(LogSettings(), write=lines.append))
    for each in ({}, {"audit": "full"}, {"audit": "full"}, {"audit": "gone"}, {}, {}):
        troubles.clear()
        troubles.update(each)
        watch.look()
    told = [json.loads(line) for line in lines]
    assert [(each["level"], each["what"], each.get("detail")) for each in told] == [
        ("error", "audit", "full"),
        ("error", "audit", "gone"),
        ("info", "audit", None),
    ]


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_daemon_that_is_away(short, kind):
    """[12.logs] Lines wait and come in their order once it is back; nobody waits for it meanwhile."""
    path, port = short / "log", free_port()
    shipper = syslog(f"unix:{path}" if kind == "unix" else f"tcp://127.0.0.1:{port}")
    logs = logs_to(shipper)
    try:
        for number in range(5):
            logs.audit("refresh", generation=number)
        _until(lambda: shipper.trouble is not None)
        assert logs.troubles().keys() == {"log", "audit"}
        where = Datagrams(path) if kind == "unix" else Streams(port=port)
        numbers = [json.loads(read_syslog(where.take())["message"])["generation"] for _ in range(5)]
        assert numbers == [0, 1, 2, 3, 4]
        where.close()
        _until(lambda: shipper.trouble is None)
    finally:
        shipper.close()


def test_what_nobody_takes_is_bounded_and_counted(short, monkeypatch):
    """[12.logs] The newest are dropped beyond a bound, and a line says how many once there is room."""
    monkeypatch.setattr(shipping, "MOST_RECORDS", 10)
    path = short / "log"
    shipper = syslog(f"unix:{path}")
    logs = logs_to(shipper)
    try:
        began = time.monotonic()
        for number in range(1000):
            logs.audit("refresh", generation=number)
        assert time.monotonic() - began < 5
        assert shipper.stats()["dropped_lines_total"] == 990
        where = Datagrams(path)
        told = [json.loads(read_syslog(where.take())["message"]) for _ in range(11)]
        where.close()
    finally:
        shipper.close()
    assert [each.get("generation") for each in told[:10]] == list(range(10))
    assert (told[10]["event"], told[10]["count"]) == ("log_lines_dropped", 990)


def test_the_journal_by_its_rules(short):
    """[12.logs] Fields, line feeds behind a length, long entries in a sealed file; none of its own fields."""
    where = Datagrams(short / "journal")
    shipper = Shipper(JournalCarrier(SyslogSettings(), "authpriv", str(where.path)), "test")
    logs = logs_to(shipper)
    try:
        logs.audit("login", subject=HOSTILE, claims={"_PRIORITY": "0", "x\nMESSAGE": "forged"}, count=3)
        logs.error(
            "broken",
            names=["x" * 512] * 32,
            more=["y" * 512] * 32,
            **{f"f{n}": ["z" * 512] * 32 for n in range(14)},
        )
        first, second = read_journal(where.take()), read_journal(where.take())
    finally:
        shipper.close()
        where.close()
    assert (first["PRIORITY"], first["SYSLOG_IDENTIFIER"], first["SYSLOG_FACILITY"]) == (
        b"5",
        b"gateway",
        b"10",
    )
    assert first["GATEWAY_SUBJECT"].decode() == HOSTILE
    assert (first["GATEWAY_EVENT"], first["GATEWAY_COUNT"]) == (b"login", b"3")
    assert first["GATEWAY_CLAIMS__PRIORITY"] == b"0"
    assert first["GATEWAY_CLAIMS_X_MESSAGE"] == b"forged"
    assert json.loads(first["MESSAGE"])["event"] == "login"
    assert second["PRIORITY"] == b"3"
    assert len(second["MESSAGE"]) > 200_000


def test_standard_error_that_is_the_journal(tmp_path, monkeypatch):
    """[12.logs] Lines that are more than information say so, as sd-daemon(3) has it; elsewhere none does."""
    path = tmp_path / "out"
    for is_journal in (True, False):
        with path.open("wb") as file:
            about = os.fstat(file.fileno())
            monkeypatch.setenv("JOURNAL_STREAM", f"{about.st_dev}:{about.st_ino if is_journal else 1}")
            logs = Logs(LogSettings(), sink=Writer(file.fileno()))
            logs.info("a")
            logs.warning("b")
            logs.error("c")
            logs.close()
        begins = [line.partition("{")[0] for line in path.read_text().splitlines()]
        assert begins == (["", "<4>", "<3>"] if is_journal else ["", "", ""])


@pytest.mark.skipif(shutil.which("rsyslogd") is None, reason="rsyslog is not installed")
def test_a_real_rsyslog(short):
    """[12.logs] rsyslogd itself reads what is sent, by its socket and by TCP, and finds every part."""
    port = free_port()
    (short / "conf").write_text(
        f'module(load="imuxsock" SysSock.Use="off")\nmodule(load="imtcp")\n'
        f'input(type="imuxsock" Socket="{short}/log" UseSpecialParser="off" ParseHostname="on")\n'
        f'input(type="imtcp" port="{port}")\n'
        'template(name="t" type="string" string='
        '"%syslogfacility-text%|%syslogseverity-text%|%app-name%|%msgid%|%structured-data%|%msg:::json%\\n")\n'
        f'action(type="omfile" file="{short}/out" template="t")\n'
    )
    process = subprocess.Popen(
        ["rsyslogd", "-n", "-f", str(short / "conf"), "-i", str(short / "pid")], stderr=subprocess.DEVNULL
    )
    try:
        _until((short / "log").exists)
        for address in (f"unix:{short}/log", f"tcp://127.0.0.1:{port}"):
            shipper = syslog(address, sd_id="gateway@32473")
            logs_to(shipper).audit("login", subject='al"ice]\n')
            assert shipper.drain(10)
            shipper.close()
        _until(lambda: (short / "out").exists() and (short / "out").read_text().count("\n") == 2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    for line in (short / "out").read_text().splitlines():
        facility, severity, app, msgid, data, message = line.split("|")
        assert (facility, severity, app, msgid) == ("authpriv", "notice", "gateway", "login")
        assert 'subject="al\\"ice\\]\\\\n"' in data
        assert json.loads(json.loads(f'"{message.strip()}"'))["subject"] == 'al"ice]\n'


def audit_file(path: Path, sync: str = "never", at: float = 1_700_000_000.0) -> Shipper:
    """Return what appends to an audit file."""
    return Shipper(
        AuditFile(str(path), Chain(name_chain(at, os.urandom(8)), "k", SEED), sync), "test", "audit_lost"
    )


def verdicts(files: list[Path], shippers: list[Shipper]) -> list[str]:
    """Return what a walk of files tells of their chains."""
    heads = {each.carrier.anchor.chain: each.carrier.anchor.encode() for each in shippers}
    walk = Walk(KEYS, Anchors(heads, {}, has_firsts=False))
    for file in files:
        for line in file.read_bytes().splitlines():
            if (found := read_line(line)) is not None:
                walk.see(*found)
    return [each.verdict for each in walk.end(Anchors(heads, {}, has_firsts=False))]


@pytest.mark.parametrize("sync", ["never", "second", "each"])
def test_several_processes_write_one_file(tmp_path, sync):
    """[12.logs] No line is torn, each chain is whole, and nobody but the owner reads it."""
    path = tmp_path / "audit.log"
    shippers = [audit_file(path, sync) for _ in range(3)]
    for number in range(100):
        for each in shippers:
            each.tell(
                "info", "login", json.dumps({"event": "login", "subject": f"s{number}", "detail": "x" * 3000})
            )
    assert all(each.drain(20) for each in shippers)
    lines = path.read_bytes().splitlines()
    assert len(lines) == 300
    assert all(json.loads(line)["event"] == "login" for line in lines)
    assert verdicts([path], shippers) == ["good"] * 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for each in shippers:
        each.close()


def test_a_rotated_file_is_opened_anew(tmp_path):
    """[12.logs] Moved away or removed: the next line goes to a new file of that name; the chain goes on."""
    path, old = tmp_path / "audit.log", tmp_path / "audit.log.1"
    shipper = audit_file(path)
    logs = Logs(LogSettings(), write=lambda _: None, audit=shipper)
    for number in range(6):
        if number == 2:
            path.rename(old)
        if number == 4:
            # logrotate's copytruncate
            (tmp_path / "copy").write_bytes(path.read_bytes())
            os.truncate(path, 0)
        logs.audit("refresh", generation=number)
        assert shipper.drain(10)
    copy = tmp_path / "copy"
    told = [
        [json.loads(line)["generation"] for line in each.read_text().splitlines()]
        for each in (old, copy, path)
    ]
    assert told == [[0, 1], [2, 3], [4, 5]]
    assert verdicts([old, copy, path], [shipper]) == ["good"]
    assert verdicts([copy, path], [shipper]) == ["cannot be told"]
    assert verdicts([old, path], [shipper]) == ["gap"]
    assert verdicts([old, copy], [shipper]) == ["cut off"]
    shipper.close()


FULL = """
import json, resource, sys, time
from pathlib import Path
from gateway.core.audit.chain import Chain
from gateway.edge.telemetry.audit_file import AuditFile
from gateway.edge.telemetry.shipping import Record, Shipper
path = Path(sys.argv[1])
shipper = Shipper(AuditFile(str(path), Chain("chain", "k", bytes(32)), "never"), "test", "audit_lost")
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))
for number in range(10):
    event = {"event": "login", "subject": f"s{number}", "detail": "x" * 300}
    shipper.tell("info", "login", json.dumps(event))
end = time.monotonic() + 20
while shipper.trouble is None and time.monotonic() < end:
    time.sleep(0.01)
print(shipper.trouble, shipper.stats()["waiting_bytes"] > 0, path.stat().st_size, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(shipper.drain(20), shipper.carrier.anchor.seq, shipper.carrier.anchor.encode(), flush=True)
shipper.close()
"""


def test_a_disk_that_is_full(tmp_path):
    """[12.logs] Lines wait and the reason is told; once there is room each is whole, the torn one too."""
    path = tmp_path / "audit.log"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, timeout=60, check=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    first, second = done.stdout.splitlines()
    assert first == "File too large True 2000"
    assert second.startswith("True 10 ")
    lines = [found for line in path.read_bytes().splitlines() if (found := read_line(line)) is not None]
    assert [json.loads(personal)["subject"] for _, personal, _ in lines] == [
        f"s{number}" for number in range(10)
    ]
    chain = lines[0][0].chain
    anchors = Anchors({chain: second.split(" ", 2)[2]}, {}, has_firsts=False)
    walk = Walk(KEYS, anchors)
    for each in lines:
        walk.see(*each)
    assert [each.verdict for each in walk.end(anchors)] == ["good"]


SETTINGS = {
    "public_url": ["http://localhost:8080"],
    "secret_keys": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
    "providers": {
        "p": {"issuer": "https://idp.example", "client_id": "c", "client_secret": "s", "audiences": ["a"]}
    },
    "upstreams": {"app": {"servers": ["http://127.0.0.1:1"]}},
    "routes": [{"path": "/", "upstream": "app", "access": "public"}],
}


def test_hostile_places(tmp_path):
    """[12.logs] A link, a pipe, a directory, a device, a file of others: none becomes the audit log."""
    target = tmp_path / "target"
    target.write_text("not ours")
    (tmp_path / "link").symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    os.link(target, tmp_path / "hard")
    (tmp_path / "shared").touch()
    (tmp_path / "shared").chmod(0o666)
    places = {
        "link": "it is a symbolic link",
        "pipe": "it is no regular file",
        "directory": "Is a directory",
        "hard": "it has other names as well (hard links)",
        "shared": "others may write to it",
        "absent/x": "No such file or directory",
        "../../../../../../../../../../../dev/full": "it is no regular file",
    }
    for place, why in places.items():
        settings = Settings.model_validate(SETTINGS | {"audit": {"to": f"file:{tmp_path}/{place}"}})
        with pytest.raises(RuntimeError, match=r"^audit\.to ") as caught:
            open_logs(settings)
        assert why in str(caught.value)
    assert target.read_text() == "not ours"


def test_a_file_that_becomes_a_link_is_not_followed(tmp_path):
    """[12.logs] Whoever may rename it leads no line elsewhere: lines wait, and the reason is told."""
    path, target = tmp_path / "audit.log", tmp_path / "target"
    target.touch()
    shipper = audit_file(path)
    path.unlink()
    path.symlink_to(target)
    shipper.tell("info", "login", '{"event":"login"}')
    _until(lambda: shipper.trouble == "it is a symbolic link")
    path.unlink()
    assert shipper.drain(10)
    assert target.read_bytes() == b""
    assert path.read_bytes().count(b"\n") == 1
    shipper.close()


def test_each_destination_is_opened(tmp_path, short):
    """[12.logs] Each word of log.to and audit.to is something that takes lines; a change needs a restart."""
    where = Datagrams(short / "log")
    base = {"log": {"syslog": {"address": where.address}}}
    for to in ("syslog", "journald", "stdout", "stderr", f"file:{tmp_path}/audit.log"):
        settings = Settings.model_validate(SETTINGS | base | {"audit": {"to": to}})
        logs = open_logs(settings, worker=2)
        if to == "syslog":
            logs.audit("login", subject="alice")
            found = read_syslog(where.take())
            assert (found["facility"], found["severity"]) == (10, 5)
            assert json.loads(found["message"])["worker"] == 2
        if to.startswith("file:"):
            logs.audit("login", subject="alice")
            logs.audited.drain(10)
            (line,) = (tmp_path / "audit.log").read_text().splitlines()
            assert json.loads(line)["subject"] == "alice"
        logs.close()
    where.close()
    for section, changed in (
        ("audit", {"to": "syslog"}),
        ("log", {"to": "syslog"}),
        ("audit", {"sync": "each"}),
    ):
        old, new = (Settings.model_validate(SETTINGS | {section: each}) for each in ({}, changed))
        (name,) = changed
        assert needs_restart(old, new) == [f"{section}.{name}: this change needs a restart"]


@pytest.mark.parametrize("to", ["file:relative", "file:", "nowhere", "", "FILE:/x", "log\n"])
def test_what_is_no_destination(to):
    """The configuration refuses it."""
    with pytest.raises(ValueError, match="audit"):
        Settings.model_validate(SETTINGS | {"audit": {"to": to}})


@pytest.mark.parametrize(
    "address", ["/dev/log", "unix:log", "udp://", "http://h", "tcp://h/x", "tcp://u@h:1", "udp://h:99999"]
)
def test_what_is_no_syslog_daemon(address):
    """The same of its address."""
    try:
        settings = Settings.model_validate(SETTINGS | {"log": {"syslog": {"address": address}}})
    except ValueError:
        return
    assert [each.path for each in check(settings)] == [("log", "syslog", "address")]


def _until(is_so) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "al\ud800ice"},
        {"detail": "\udfff\ud800"},
        {"claims": {"name": "\ud83d"}},
        {"changed": [{"a": ["é" * 512] * 32}] * 32},
        {f"f{number}": "é" * 512 for number in range(32)},
        {"detail": "é" * 512, "claims": {f"c{number}": "é" * 340 for number in range(30)}},
    ],
    ids=range(6),
)
def test_no_event_is_lost_without_a_word(tmp_path, fields):
    """[12.logs] Whatever an event holds, however long: it is in the file, or one that says it was lost."""
    path = tmp_path / "audit.log"
    shipper = audit_file(path)
    logs = Logs(LogSettings(), write=lambda _: None, audit=shipper)
    logs.audit("login", **fields)
    logs.audit("logout", subject="alice")
    assert shipper.drain(10)
    shipper.close()
    events = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [each["event"] for each in events] in (["login", "logout"], ["audit_lost", "logout"])
    assert all(each.get("count", 1) == 1 for each in events)
    assert verdicts([path], [shipper]) == ["good"]
    if len(repr(fields)) < 100:
        assert events[0]["event"] == "login"


@pytest.mark.parametrize("most", [480, 600, 2000])
def test_a_message_that_is_cut_is_a_message(short, most):
    """[12.logs] However long what a client sends: the structured data stays whole, or is left out."""
    formatter = Formatter(SyslogSettings(sd_id="gateway@32473", most=most), "local0", 1)
    told = []
    for length in range(0, 600, 7):
        lines: list[str] = []
        Logs(LogSettings(), write=lines.append).audit("login", detail='"]' * length, path="/" + "é" * length)
        told.append(formatter.message(Record(1.7e9, "info", "login", lines[0])))
    for message in told:
        assert len(message) <= most
        assert re.match(
            rb'<\d+>1 \S+ \S+ \S+ \S+ login (?:\[[^ ="\]]+(?: [^ ="\]]+="(?:[^"\\\]]|\\.)*")*\])+ ', message
        ), message
    assert b"[gateway@32473 " in told[0]


def test_whatever_goes_wrong_on_the_way_is_tried_again():
    """[12.logs] No error of a destination, of whatever kind, ends the way of all lines to come."""

    class Odd:
        def __init__(self) -> None:
            self.errors = [ValueError("label too long"), OSError("away"), UnicodeError("x"), KeyError("y")]
            self.taken: list[str] = []

        def send(self, records) -> int:
            if self.errors:
                raise self.errors.pop()
            self.taken += [each.line for each in records]
            return len(records)

        def rest(self) -> None:
            return

        def close(self) -> None:
            return

        def stats(self):
            return {}

    carrier = Odd()
    shipper = Shipper(carrier, "test")
    shipper.tell("info", "login", "one")
    assert shipper.drain(10)
    shipper.close()
    assert carrier.taken == ["one"]
