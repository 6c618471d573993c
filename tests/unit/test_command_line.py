"""The command line as a whole: help, examples, documentation and completion know every command and option."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from gateway.cli import main as cli
from gateway.cli.arguments import Parser
from gateway.cli.examples import EXAMPLES
from tests.support.configuration import TREE

DOCS = (TREE / "docs/cli.md").read_text()
# "WHERE" and "WHY" of the synopsis, and the options of commands that docs/cli.md leaves to --help
WORDS = {
    "WHERE": {"--config", "--admin", "--token-file", "--admin-ca"},
    "WHY": {"--reason", "--actor"},
}
LEFT_TO_HELP = {"demo"}


def parsers(parser: Parser) -> Iterator[Parser]:
    """Yield a parser and all those below it."""
    yield parser
    for child in parser.children.values():
        yield from parsers(child)


EVERY = {each.path: each for each in parsers(cli._parser(["demo"]))}
LEAVES = {path: each for path, each in EVERY.items() if not each.children}


def options(parser: Parser) -> set[str]:
    """Return a command's own options, by their long names."""
    return {
        next(each for each in action.option_strings if each.startswith("--"))
        for action in parser._actions
        if action.option_strings
    } - {"--help", "--version"}


def synopsis() -> dict[str, str]:
    """Return the lines of the synopsis, by command."""
    found: dict[str, str] = {}
    for line in re.findall(r"^    gateway (.*)$", DOCS.partition("## Exit codes")[0], re.MULTILINE):
        path = max((each for each in LEAVES if f"{line} ".startswith(f"{each} ")), key=len, default="")
        found[path] = f"{found.get(path, '')} {line.removeprefix(path)}"
    return found


def test_the_synopsis_is_true():
    """[12.cli]: docs/cli.md has every command with exactly its options, and no other."""
    written = synopsis()
    assert written.pop("").split() == ["--version"]
    assert set(written) == set(LEAVES)
    for path, line in written.items():
        told = set(re.findall(r"--[a-z][a-z-]*", line))
        for word, meant in WORDS.items():
            told |= meant if word in line else set()
        if path not in LEFT_TO_HELP:
            assert told == options(LEAVES[path]), path


def test_every_section_is_true():
    """[12.cli]: a section for each command, which names its options and none that are not there."""
    known = set().union(*(options(each) for each in EVERY.values())) | {"--help", "--version"}
    sections = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", DOCS, re.MULTILINE | re.DOTALL))
    for path in LEAVES:
        assert any(path == name or path.startswith(f"{name} ") for name in sections), path
    # of other programs
    foreign = set(re.findall(r"`(?:pip|docker|curl|check-jsonschema) [^`]*`", DOCS))
    text = DOCS
    for each in foreign:
        text = text.replace(each, "")
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) <= known


@pytest.mark.parametrize("path", sorted(EVERY), ids=lambda path: path or "gateway")
def test_examples(path, capsys):
    """[12.cli]: every ``--help`` ends with examples, whose command lines parse as this command's."""
    examples = EXAMPLES.get(path)
    assert examples, f"gateway/cli/examples.py has none for {path!r}"
    for line, text in examples:
        words = shlex.split(line.partition(" > ")[0])
        assert words[0] == "gateway"
        assert words[1:][: len(path.split())] == path.split()
        assert cli._parser(words[1:]).parse_args(words[1:]).command
        assert text[0].islower() or not text[0].isalpha()
        assert not text.endswith(".")
    with pytest.raises(SystemExit) as caught:
        cli.main([*path.split(), "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert all(line in out for line, _ in examples)
    assert max(map(len, out.splitlines())) <= 110


def test_no_example_is_of_nothing():
    """[12.cli]: each key of the table is a command."""
    assert set(EXAMPLES) == set(EVERY)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("chekc", "did you mean check?"),
        ("chek --providers", "did you mean check?"),
        ("check --provdiers", "did you mean --providers?"),
        ("check --provdiers=x", "did you mean --providers?"),
        ("healthcheck --redy", "did you mean --ready?"),
        ("sessions lst", "did you mean list?"),
        ("keys api ls --jsn", "invalid choice"),
        ("keys api list --jsn", "did you mean --json?"),
        ("completion bahs", "did you mean bash?"),
        ("frobnicate", "invalid choice"),
        ("revoke --sub a --before soon", "write 2026-01-31T12:00:00Z"),
        ("healthcheck --timeout 0", "more than 0"),
        ("check extra", "unrecognized arguments: extra"),
        ("check gateway.yaml", "write --config gateway.yaml"),
        ("serve", "did you mean run?"),
        ("status", "did you mean healthcheck?"),
        ("diagnose", "did you mean doctor?"),
        ("init --client-secret hunter2", "did you mean --client-secret-file?"),
        ("init --client-secret=hunter2", "did you mean --client-secret-file?"),
        ("revoke --al", "one of the arguments"),
        ("--online check", "it follows the command: gateway COMMAND --online"),
    ],
)
def test_a_slip_is_guessed(words, told, capsys):
    """[12.cli]: exit code 2, the usage of the command that was meant, and a word that comes near."""
    with pytest.raises(SystemExit) as caught:
        cli.main(words.split())
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert told in err.splitlines()[-1]
    assert err.startswith("usage: gateway ")
    assert "hunter2" not in err
    assert "_" not in err.splitlines()[-1].partition("invalid")[2].partition(" value")[0]


def test_help_without_hyphens(capsys):
    """[12.cli]: ``gateway`` alone shows the commands, ``gateway help check`` one of them."""
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2
    assert "healthcheck" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        cli.main(["help", "check"])
    assert caught.value.code == 0
    assert "--providers" in capsys.readouterr().out


@pytest.fixture(scope="module")
def completed(tmp_path_factory):
    """Return a function that completes a command line in a real bash."""
    directory = tmp_path_factory.mktemp("completion")
    (directory / "a-file.yaml").touch()
    script = directory / "gateway.bash"
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("gateway.cli.completion.say", lines.append)
        assert cli.main(["completion", "bash"]) == 0
    script.write_text("\n".join(lines))

    def complete(*lines: str) -> list[set[str]]:
        told = [f"source {script}", "how=$(complete -p gateway); how=${how#*-F }; how=${how%% *}"]
        for line in lines:
            words = line.split(" ")
            told += [
                f"COMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}",
                f"COMP_LINE={shlex.quote(line)}; COMP_POINT={len(line)}; COMPREPLY=(); $how",
                'printf "%s " "${COMPREPLY[@]}"; echo',
            ]
        done = subprocess.run(
            ["bash", "--norc", "-c", "\n".join(told)],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            cwd=directory,
        )
        assert done.stderr == ""
        return [set(each.split()) for each in done.stdout.splitlines()]

    return complete


def test_bash_completes(completed):
    """[12.cli]: commands, actions, choices and files, asked of bash itself."""
    expected = {
        "gateway ": {path for path in EVERY if path and " " not in path},
        "gateway che": {"check"},
        "gateway keys api ": {"create", "list", "revoke"},
        "gateway completion z": {"zsh"},
        "gateway run --config a-f": {"a-file.yaml"},
    }
    found = completed(*expected)
    for (line, words), told in zip(expected.items(), found, strict=True):
        assert words <= told, line


def test_bash_completes_every_option(completed):
    """[12.cli]: of each command, every option that it has."""
    paths = sorted(set(LEAVES) - LEFT_TO_HELP)
    for path, told in zip(paths, completed(*(f"gateway {path} --" for path in paths)), strict=True):
        assert options(LEAVES[path]) <= told, path


@pytest.mark.parametrize(("shell", "check"), [("zsh", ["-n"]), ("fish", ["-n"]), ("tcsh", ["-n"])])
def test_other_shells_read_theirs(shell, check, capsys, tmp_path):
    """[12.cli]: what is printed for another shell names every command; where it is installed, it reads it."""
    assert cli.main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    assert all(path.split()[-1] in script.read_text() for path in LEAVES)
    if shutil.which(shell):
        subprocess.run([shell, *check, script], check=True, timeout=30)


def commands_in(text: str) -> Iterator[str]:
    """Yield the command lines of this command that a page shows at a prompt, continued lines as one."""
    text = re.sub(r"\\\n\s*", "", text)
    for line in re.findall(r"^\s*\$ gateway (.*)$", text, re.MULTILINE):
        yield re.split(r"\s+[|>#](?:\s|$)|\s+2?>", line)[0]


@pytest.mark.parametrize("page", sorted((TREE / "docs").glob("*.md")), ids=lambda page: page.name)
def test_commands_in_the_documentation_parse(page):
    """[12.cli]: what a page shows at a prompt is understood by the command."""
    for line in commands_in(page.read_text(encoding="utf-8")):
        words = shlex.split(line)
        assert cli._parser(words).parse_args(words).command, line
