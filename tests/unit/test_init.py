"""``gateway init``: what is asked, what is written, and that nothing is written over or left half-done."""

import contextlib
import fcntl
import json
import os
import re
import stat
import subprocess
import sys
import termios
import time
from pathlib import Path

import jsonschema
import pytest
import yaml

from gateway.cli import main as cli
from gateway.cli.init import files
from gateway.cli.init.answers import (
    judge_client_id,
    judge_public_url,
    judge_secret,
    judge_upstream,
    judge_who,
)
from gateway.cli.init.document import scalar
from gateway.cli.init.providers import GENERIC, KNOWN, judge_issuer
from gateway.core.runtime import redirect_uris
from gateway.edge.configfile.load import load
from gateway.edge.configfile.yaml import read
from tests.support.configuration import TREE
from tests.support.ports import free_port

SCHEMA = json.loads((TREE / "config/gateway.schema.json").read_text())
SECRET = 's3cret "x" ${env:HOME}'
WHERE = {
    "keycloak": "https://login.example.com/realms/corporate",
    "entra": "11111111-1111-1111-1111-111111111111",
    "okta": "https://example.okta.com/oauth2/default",
    "auth0": "https://example.eu.auth0.com",
    "authentik": "https://auth.example.com/application/o/app/",
    "dex": "https://dex.example.com/dex",
}
WRITTEN = {
    "gateway.yaml",
    "gateway.schema.json",
    "secrets/admin-token",
    "secrets/client-secret",
    "secrets/secret-key",
}


def present(directory: Path) -> set[str]:
    """Return the names of all files in a directory, and of its directories that are empty."""
    return {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() or not any(path.iterdir())
    }


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory, with a client secret in a file elsewhere."""
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    (tmp_path / "elsewhere").write_text(f"{SECRET}\n")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    # the whole takes a second to make, and one test sees it
    monkeypatch.setattr("gateway.cli.init.command._schema", lambda: "{}")
    return work


def words(provider: str = "https://login.example.com", who: str = "everybody", **more: str) -> list[str]:
    """Return the command line that asks nothing."""
    issuer = {"issuer": WHERE[provider]} if provider in WHERE else {}
    given = {
        "public-url": "https://app.example.com",
        "provider": provider,
        **issuer,
        "client-id": "app",
        "client-secret-file": "../elsewhere",
        "upstream": "http://127.0.0.1:3000",
        "who": who,
        **more,
    }
    return ["init", *(f"--{name}={value}" for name, value in given.items())]


@pytest.mark.parametrize("provider", [*KNOWN, "https://login.example.com"])
def test_every_provider(here, capsys, provider):
    """[12.cli]: what is written is good without a warning, by the loader and by the schema; steps follow."""
    assert cli.main(words(provider, "@example.com")) == 0
    out, err = capsys.readouterr()
    assert present(here) == WRITTEN
    loaded = load(here / "gateway.yaml")
    assert loaded.warnings == []
    jsonschema.Draft202012Validator(SCHEMA).validate(yaml.safe_load((here / "gateway.yaml").read_text()))
    ((name, uris),) = redirect_uris(loaded.settings).items()
    assert all(uri in out for uri in uris)
    assert all(uri in (here / "gateway.yaml").read_text() for uri in uris)
    assert name == (provider if provider in KNOWN else "oidc")
    assert "gateway check --online" in out
    assert loaded.settings.providers[name].client_secret.get_secret_value() == SECRET
    (route,) = loaded.settings.routes
    assert (route.access, route.unauthenticated) == ("required", "login")
    assert route.require is not None
    assert SECRET not in out + err + (here / "gateway.yaml").read_text()


@pytest.mark.parametrize("provider", KNOWN)
def test_as_the_recipes_have_it(provider):
    """[12.cli]: what a provider's section says here is what its recipe says, whole and tested."""
    recipe = yaml.safe_load((TREE / f"config/recipes/providers/{provider}.yaml").read_text())
    (section,) = recipe["providers"].values()
    # of these a recipe says more: an API of one's own, and what belongs to that
    own = {"scopes", "claims"} if provider in ("entra", "auth0") else set()
    for name, text in KNOWN[provider].settings.items():
        wanted = yaml.safe_load(text)
        if isinstance(wanted, dict):
            assert name in own or wanted.items() <= section[name].items(), name
        else:
            assert name in own or wanted == section[name], name


def test_secrets_are_private(here):
    """[12.cli]: 0600 in a directory of 0700, whatever the umask; new ones each time."""
    before = os.umask(0)
    try:
        assert cli.main(words()) == 0
    finally:
        os.umask(before)
    for path in (here / "secrets").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((here / "secrets").stat().st_mode) == 0o700
    keys = {(here / "secrets/secret-key").read_text()}
    (here / "other").mkdir()
    assert cli.main([*words(), "--output", "other/gateway.yaml"]) == 0
    assert len(keys | {(here / "other/secrets/secret-key").read_text()}) == 2
    first = (here / "gateway.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=gateway.schema.json"


@pytest.mark.parametrize("name", sorted(WRITTEN - {"gateway.schema.json"}))
@pytest.mark.parametrize("kind", ["file", "link"])
def test_nothing_is_written_over(here, capsys, name, kind):
    """[12.cli]: a file or a dangling link in the way is named, and nothing else is written either."""
    path = here / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine") if kind == "file" else path.symlink_to(here / "nowhere")
    assert cli.main(words()) == 1
    assert f"{name} is there already" in capsys.readouterr().err
    assert [each for each in here.rglob("*") if not each.is_dir()] == [path]
    assert not (here / "nowhere").exists()


@pytest.mark.parametrize("kind", ["writable by all", "writable by a group", "a link", "somebody else's"])
def test_no_secret_is_put_where_others_may_replace_it(here, capsys, monkeypatch, kind):
    """[12.cli]: a directory of secrets that was there before, and is not this user's alone, is refused."""
    folder = here / "secrets"
    if kind == "a link":
        (here / "theirs").mkdir(mode=0o700)
        folder.symlink_to(here / "theirs")
    else:
        folder.mkdir()
        folder.chmod({"writable by all": 0o777, "writable by a group": 0o770}.get(kind, 0o700))
    if kind == "somebody else's":
        monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert cli.main(words()) == 1
    assert "secrets is not yours alone" in capsys.readouterr().err
    assert not [each for each in here.rglob("*") if each.is_file()]


def test_nobody_else_may_write_the_configuration(here):
    """[12.cli]: whatever the umask."""
    before = os.umask(0)
    try:
        assert cli.main(words()) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((here / "gateway.yaml").stat().st_mode) == 0o644


def test_a_schema_that_is_there_is_left(here):
    """[12.cli]: it may be another's, and newer."""
    (here / "gateway.schema.json").write_text("{}")
    assert cli.main(words()) == 0
    assert (here / "gateway.schema.json").read_text() == "{}"


@pytest.mark.parametrize("at", range(5))
def test_an_interrupt_leaves_nothing(here, monkeypatch, at):
    """[12.cli]: at any of the files that are put in their places; nor does one that came in between."""
    real, count = os.link, []

    def link(*arguments):
        count.append(1)
        if len(count) > at:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr("os.link", link)
    assert cli.main(words()) == 130
    assert present(here) == set()


def test_somebody_else_s_file_in_between(here, monkeypatch, capsys):
    """[12.cli]: what appears while it works is not replaced, and what it has put is taken back."""
    real = files._put

    def put(draft, final, made, *, is_private):
        if final.name == "gateway.yaml":
            final.write_text("theirs")
        real(draft, final, made, is_private=is_private)

    monkeypatch.setattr(files, "_put", put)
    assert cli.main(words()) == 1
    assert "is there already" in capsys.readouterr().err
    assert (here / "gateway.yaml").read_text() == "theirs"
    assert present(here) == {"gateway.yaml"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"public-url": "app.example.com"}, "--public-url: write an absolute URL"),
        ({"public-url": "http://app.example.com"}, "--public-url: plain http"),
        ({"public-url": "https://app.example.com/path"}, "--public-url: no path"),
        ({"provider": "keycloack"}, "did you mean keycloak?"),
        ({"provider": "entra", "issuer": "common"}, "--issuer"),
        ({"provider": "keycloak", "issuer": "https://login.example.com/"}, "/realms/"),
        (
            {"provider": "https://login.example.com/.well-known/openid-configuration"},
            "without /.well-known",
        ),
        ({"client-id": ""}, "--client-id: the provider gave one"),
        ({"client-id": "ü"}, "--client-id"),
        ({"client-secret-file": "nowhere"}, "--client-secret-file nowhere cannot be read"),
        ({"client-secret-file": "/dev/null"}, "holds no client secret"),
        ({"upstream": "127.0.0.1:3000"}, "--upstream"),
        ({"upstream": "http://127.0.0.1:3000/app"}, "--upstream"),
        ({"who": ""}, "--who: write everybody"),
        ({"who": "@"}, "--who: write @ and a domain"),
        ({"who": "group:"}, "--who"),
        ({"provider": "google", "who": "group:staff"}, "Google tells no groups"),
        ({"output": "nowhere/gateway.yaml"}, "is no directory"),
    ],
)
def test_wrong_answers(here, capsys, change, told):
    """[12.cli]: each is named by its option, exit code 1, and nothing is written."""
    assert cli.main(words(**change)) == 1
    out, err = capsys.readouterr()
    assert told in err
    assert (out, present(here)) == ("", set())


def test_without_a_terminal_every_answer_is_an_option(here, capsys, monkeypatch):
    """[12.cli]: nothing is asked where nobody can answer, and a default lets nobody in."""
    with open(os.devnull) as nothing:  # noqa: PTH123 - a file that is no terminal
        monkeypatch.setattr("sys.stdin", nothing)
        for name in (
            "--public-url",
            "--provider",
            "--client-id",
            "--client-secret-file",
            "--upstream",
            "--who",
        ):
            given = [each for each in words() if not each.startswith(f"{name}=")]
            assert cli.main(given) == 1
            assert "without a terminal every answer is an option" in capsys.readouterr().err
    assert present(here) == set()


def test_public_accounts_are_warned_of(here, capsys):
    """[12.cli]: everybody at Google is everybody on earth."""
    assert cli.main(words("google")) == 0
    assert "any account of Google comes in" in capsys.readouterr().err


def test_online_asks_first(here, capsys):
    """[12.cli]: with --online nothing is written where the provider is not there."""
    assert cli.main([*words(f"http://127.0.0.1:{free_port()}"), "--online"]) == 1
    assert "cannot be reached" in capsys.readouterr().err
    assert present(here) == set()


@pytest.mark.parametrize(
    "text",
    [
        *("app", "https://x/y?z#a", "true", "No", "1e5", "007", "a: b", "a #b", "'", '"', "\\", "- x", "@x"),
        *("${env:A}", "ü", "{a}", "a,b", "x:"),
    ],
)
def test_a_text_is_read_as_that_text(text):
    """[12.cli]: whatever an answer holds, it is that very text in the configuration, and no reference."""
    from functools import partial

    from gateway.edge.configfile.references import resolve

    document = read(
        f"a: {scalar(text)}\nb: [{scalar(text)}, x]\n".encode(), partial(resolve, environment={}, base=Path())
    )
    assert document.problems == []
    assert document.data == {"a": text, "b": [text, "x"]}


HOSTILE = [
    "\x1b[2J",
    "a\nb: c",
    "a" * 5000,
    "\u202egnp",
    "\x00",
    " ",
    "${file:/etc/passwd}\n",
    "]: {",
    "\ud800",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answers(text):
    """[12.cli]: line breaks, controls, what is too long: no answer, or one that stays within its quotes."""
    for judge in (judge_public_url, judge_upstream, lambda each: judge_issuer("oidc", each)):
        assert judge(text) is not None
    assert judge_who(text, GENERIC) is not None
    if text != "]: {":
        assert judge_client_id(text) is not None
        assert judge_secret(text) is not None
    if text != " ":
        assert judge_who(f"@{text}", GENERIC) is not None


class Terminal:
    """A person at a terminal; ``shown`` is what that has shown so far."""

    def __init__(self, directory: Path, *more: str) -> None:
        self.master, slave = os.openpty()
        self.shown = ""

        def controlled() -> None:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "init", *more],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(TREE)},
            preexec_fn=controlled,  # noqa: PLW1509 - a terminal to be interrupted from
        )
        os.close(slave)
        os.set_blocking(self.master, False)

    def until(self, words: str) -> None:
        """Wait until this is shown."""
        end = time.monotonic() + 60
        while words not in self.shown:
            assert time.monotonic() < end, self.shown
            try:
                self.shown += os.read(self.master, 65536).decode()
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                # it has ended
                assert words in self.shown, self.shown

    def answer(self, question: str, text: str) -> None:
        """Wait for a question and answer it."""
        self.until(question)
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Return its exit code."""
        code = self.process.wait(60)
        with contextlib.suppress(OSError):
            while piece := os.read(self.master, 65536):
                self.shown += piece.decode()
        os.close(self.master)
        return code


def test_at_a_terminal(here):
    """[12.cli]: six questions, a wrong answer asked for anew, a secret that is never shown, next steps."""
    person = Terminal(here)
    person.answer("1/6", "app.example.com\n")
    person.until("write an absolute URL")
    os.write(person.master, b"https://app.example.com/\n")
    person.answer("2/6", "keycloack\n")
    person.answer("did you mean keycloak?", "keycloak\n")
    person.answer("the realm's issuer", "https://login.invalid/realms/corporate\n")
    person.answer("Ask it now", "n\n")
    person.answer("3/6", "app\n")
    person.answer("4/6", f"{SECRET}\n")
    person.answer("5/6", "\n")
    person.answer("6/6", "group:staff,admins\n")
    assert person.end() == 0
    assert SECRET not in person.shown
    assert "group membership mapper" in person.shown
    loaded = load(here / "gateway.yaml").settings
    assert loaded.public_url == ("https://app.example.com",)
    assert loaded.providers["keycloak"].client_secret.get_secret_value() == SECRET
    assert loaded.routes[0].require.groups == ("staff", "admins")
    assert loaded.upstreams["app"].servers == ("http://127.0.0.1:3000",)
    assert (here / "gateway.schema.json").read_text() == (TREE / "config/gateway.schema.json").read_text()


def test_an_interrupt_at_a_question(here):
    """[12.cli]: Ctrl-C, also where the secret is asked for, and the end of the input: nothing is written."""
    given = ["--public-url=https://app.example.com", "--provider=google", "--client-id=app", "--online"]
    person = Terminal(here, *given)
    person.answer("4/6", "\x03")
    assert person.end() == 130
    assert "Traceback" not in person.shown
    person = Terminal(here)
    person.answer("1/6", "\x04")
    assert person.end() == 1
    assert "nothing was written" in person.shown
    assert present(here) == set()


def test_the_provider_is_asked_if_agreed(here):
    """[12.cli]: what is not there is said, and whether to go on is a question of its own."""
    port = free_port()
    person = Terminal(here, "--public-url=https://app.example.com", f"--provider=http://127.0.0.1:{port}")
    person.answer("Ask it now", "\n")
    person.until("cannot be reached")
    person.answer("Go on with it all the same?", "\n")
    assert person.end() == 1
    assert re.search("nothing was written", person.shown)
    assert present(here) == set()
