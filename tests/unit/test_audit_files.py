"""gateway audit on files, without any gateway: verify, and forget somebody."""

import json
import stat

import pytest
import yaml

from gateway.cli.main import main
from gateway.config.settings.root import Settings
from gateway.core.audit.chain import Chain, name_chain
from gateway.core.audit.lines import link
from gateway.core.runtime import ring_of
from gateway.edge.audit.places import keys_of

SETTINGS = {
    "public_url": "http://localhost:8080",
    "secret_keys": ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
    "providers": {
        "p": {"issuer": "https://idp.example", "client_id": "c", "client_secret": "s", "audiences": ["a"]}
    },
    "upstreams": {"app": {"servers": ["http://127.0.0.1:1"]}},
    "routes": [{"path": "/", "upstream": "app", "access": "public"}],
}


@pytest.fixture
def file(tmp_path):
    """A chained file of four events, beside a configuration that has its key."""
    data = SETTINGS | {"audit": {"to": f"file:{tmp_path}/audit.log"}, "admin": {"token": "x" * 40}}
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(data))
    keys = keys_of(ring_of(Settings.model_validate(data)))
    chain = Chain(name_chain(1_700_000_000.0, bytes(8)), keys.newest, keys.seeds[keys.newest])
    path = tmp_path / "audit.log.1"
    lines = []
    for subject in ("alice", "bob", "alice", "carol"):
        event = {"time": "2023-11-14T22:13:20.000Z", "level": "info", "event": "login", "subject": subject}
        lines.append(link(chain, event | {"client": "192.0.2.7", "issuer": "https://idp.example"}, "5a17"))
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def audit(file, capsys, *words: str) -> tuple[int, str, str]:
    """Run the command; return its exit code and both outputs."""
    code = main(["audit", *words, "--config", str(file.parent / "gateway.yaml")])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_forget_in_a_file(file, capsys):
    """[12.logs] What is personal is gone, the rest stays, and the chain holds."""
    code, out, _ = audit(file, capsys, "forget", "--sub", "alice", "--file", str(file))
    assert (code, out) == (0, "forgotten: what is personal in 2 events\n")
    text = file.read_text()
    assert "alice" not in text
    assert text.count("192.0.2.7") == 2
    assert text.count("\n") == 4
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    code, out, _ = audit(file, capsys, "verify", "--offline", "--json", str(file))
    account = json.loads(out)
    assert code == 3
    assert (account["entries"], account["forgotten"]) == (4, 2)
    assert [each["text"] for each in account["findings"]] == ["nothing anchors its end"]
    # again there is nothing to forget
    assert "in 0 events" in audit(file, capsys, "forget", "--sub", "alice", "--file", str(file))[1]
    assert file.read_text() == text
    code, out, _ = audit(
        file, capsys, "forget", "--sub", "bob", "--issuer", "https://elsewhere", "--file", str(file)
    )
    assert "in 0 events" in out


def test_a_file_that_is_written_to(file, capsys):
    """[12.logs] Lines that came meanwhile would be lost: it has to be moved away first."""
    current = file.with_name("audit.log")
    file.rename(current)
    for name in (current, current.parent / "." / "audit.log"):
        code, _, err = audit(file, capsys, "forget", "--sub", "alice", "--file", str(name))
        assert code == 1
        assert "is being written to" in err
    assert "alice" in current.read_text()


def test_altered_and_strange_lines(file, capsys):
    """[12.logs] Exit code 1 where one is altered; lines that are no events are counted, however long."""
    lines = file.read_text().splitlines()
    file.write_text("\n".join([lines[0], "x" * 200_000, "{}", '{"torn', *lines[1:]]) + "\n")
    code, _, err = audit(file, capsys, "verify", "--offline", str(file))
    assert code == 3
    assert "lines are no entries of a chain" in err
    file.write_text("\n".join([lines[0], lines[1].replace("bob", "eve"), *lines[2:]]) + "\n")
    code, out, _ = audit(file, capsys, "verify", "--offline", str(file))
    assert code == 1
    assert "altered: entry 2: is not as it was written" in out
    assert out.endswith("1 chains, 4 entries: something is missing or altered\n")


def test_what_cannot_be_read(file, capsys):
    """Each is one line that says why."""
    assert "No such file" in audit(file, capsys, "verify", "--offline", "absent")[2]
    assert "Is a directory" in audit(file, capsys, "verify", "--offline", str(file.parent))[2]
    assert "--offline is for files" in audit(file, capsys, "verify", "--offline")[2]
    (file.parent / "audit.log.1.forgetting").touch()
    assert "File exists" in audit(file, capsys, "forget", "--sub", "a", "--file", str(file))[2]


@pytest.mark.parametrize("text", ["", "\n", "no event\n", '{"event":"login"}\n'])
@pytest.mark.parametrize("words", [["--offline"], []])
def test_where_nothing_is_left_nothing_is_good(file, capsys, monkeypatch, text, words):
    """[12.logs] A file that was emptied, or whose every line was made unreadable, is never called good."""
    monkeypatch.setattr("gateway.cli.audit.ask_admin", lambda *_, **__: {"files": {}})
    file.write_text(text)
    code, out, _ = audit(file, capsys, "verify", *words, str(file))
    assert code == 3
    assert out == "0 chains, 0 entries: not all of it can be told\n"
