"""Recipes fit together: each provider's section takes the place of the one in each application's file."""

from itertools import product
from pathlib import Path

import pytest
import yaml

from gateway.cli.main import main
from gateway.edge.configfile.load import load
from tests.support.configuration import TREE, environment, with_secrets

RECIPES = TREE / "config/recipes"
PROVIDERS = sorted(path.stem for path in (RECIPES / "providers").glob("*.yaml"))
APPLICATIONS = [
    path.stem
    for path in sorted((RECIPES / "apps").glob("*.yaml"))
    if "bearer_only" not in path.read_text(encoding="utf-8")
]


def plain(path: Path, directory: Path) -> dict:
    """Return a recipe as plain data, its secrets made up."""
    return yaml.safe_load(with_secrets(path, directory).read_text(encoding="utf-8"))


@pytest.mark.parametrize(("provider", "application"), list(product(PROVIDERS, APPLICATIONS)))
def test_they_fit_together(provider: str, application: str, tmp_path: Path):
    """[12.recipes]: an application's file with a provider's section is good, and is not warned of."""
    data = plain(RECIPES / "apps" / f"{application}.yaml", tmp_path)
    given = plain(RECIPES / "providers" / f"{provider}.yaml", tmp_path)
    ((name, section),) = given["providers"].items()
    # where the file speaks of its own site, so does the other
    text = yaml.safe_dump({name: section}).replace("https://app.example.com", data["public_url"])
    data["providers"] = yaml.safe_load(text)
    if "session" in given:
        data["session"] = given["session"]
    path = tmp_path / "together.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    loaded = load(path, environment())
    assert loaded.warnings == []
    (found,) = loaded.settings.providers.values()
    assert found.issuer == section["issuer"]


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*/*.yaml")), ids=lambda path: path.stem)
def test_the_command_finds_nothing(path: Path, tmp_path: Path, capsys, monkeypatch):
    """[12.recipes]: ``gateway check`` says good, and what to register where."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    assert main(["check", "--config", str(with_secrets(path, tmp_path))]) == 0
    written = capsys.readouterr()
    assert written.err == ""
    lines = written.out.splitlines()
    assert lines[0].endswith(": good")
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    expected = [] if "bearer_only" in path.read_text() else [f"{data['public_url']}/.gateway/callback"]
    assert all(any(url in line for line in lines[1:]) for url in expected)


def test_each_says_what_to_set_up():
    """[12.recipes]: a provider's file begins with what to click, and holds the redirect URI to register."""
    for name in PROVIDERS:
        text = (RECIPES / "providers" / f"{name}.yaml").read_text(encoding="utf-8")
        comment = text.partition("\npublic_url")[0]
        assert comment.startswith("# yaml-language-server: $schema=../../gateway.schema.json\n# ")
        assert "https://app.example.com/.gateway/callback" in comment
        secrets = yaml.safe_load(text)["providers"]
        assert all(each["client_secret"].startswith("${file:") for each in secrets.values())
