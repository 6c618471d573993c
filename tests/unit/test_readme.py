"""What README and docs promise is there: the configuration, the files, the commands."""

import re
from pathlib import Path

import pytest

from gateway.cli import main as cli
from tests.support.configuration import TREE

PAGES = sorted(str(path.relative_to(TREE)) for path in [*TREE.glob("*.md"), *(TREE / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
README = (TREE / "README.md").read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_minimal_configuration_is_the_real_one():
    """Between its markers, README shows config/minimal.yaml to the letter."""
    shown = re.search(
        r"<!-- minimal\.yaml -->\n```yaml\n(.*?)```\n<!-- /minimal\.yaml -->", README, re.DOTALL
    )
    assert shown is not None
    assert shown[1] == (TREE / "config/minimal.yaml").read_text(encoding="utf-8")
    assert shown[1].count("\n") == 10, "ten lines are enough"


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str):
    """Relative links lead to files, and their fragments to headings."""
    page = TREE / name
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        path, _, fragment = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if fragment:
            assert fragment in anchors(target), link


def test_every_page_of_the_docs_is_in_the_readme_or_the_index():
    """A page that nothing leads to is not read."""
    index = (TREE / "docs/index.md").read_text(encoding="utf-8")
    linked = {link.partition("#")[0] for link in LINK.findall(README)}
    linked |= {f"docs/{link.partition('#')[0]}" for link in LINK.findall(index)}
    for page in (TREE / "docs").glob("*.md"):
        assert f"docs/{page.name}" in linked


def test_every_decision_is_in_their_list():
    """No two have one number, each is titled by its own, and the list says the title."""
    decisions = sorted((TREE / "docs/adr").glob("[0-9]*.md"))
    listed = (TREE / "docs/adr/README.md").read_text(encoding="utf-8")
    numbers = [int(page.name[:4]) for page in decisions]
    assert numbers == list(range(1, len(decisions) + 1))
    for number, page in zip(numbers, decisions, strict=True):
        title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix(f"# {number}. ")
        assert f"{number}. [{title}]({page.name})" in listed


@pytest.mark.parametrize("name", PAGES)
def test_no_line_is_there_twice(name: str):
    """Neither one after the other nor as the same sentence elsewhere, tables and pictures aside."""
    text = re.sub(r"```.*?```", "", (TREE / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line for line in text.splitlines() if len(line) > 60 and not line.startswith("|")]
    assert sorted(set(lines)) == sorted(lines)
    headings = re.findall(r"^#+ .+$", text, re.MULTILINE)
    assert name == "CHANGELOG.md" or sorted(set(headings)) == sorted(headings)


def test_the_changelog_is_in_order():
    """Each version has each kind of change once, in the usual order."""
    versions = (TREE / "CHANGELOG.md").read_text(encoding="utf-8").split("\n## ")[1:]
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for version in versions:
        found = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert found == [kind for kind in kinds if kind in found]


def test_every_key_of_the_store_is_documented():
    """docs/store.md says of each kind of key and each channel that the code names what it holds."""
    page = (TREE / "docs/store.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z]+)", page, re.MULTILINE))
    source = "".join(path.read_text(encoding="utf-8") for path in (TREE / "gateway/edge").rglob("*.py"))
    assert set(re.findall(r'\bkey\("([a-z]+)"', source)) == documented


def test_every_command_and_make_target_is_known():
    """README names no command that does not exist."""
    commands = set(
        re.findall(r"\bgateway (run|demo|check|explain|revoke|sessions|keys|schema|reload)\b", README)
    )
    usage = cli._parser(()).format_help()
    assert {"run", "check", "keys", "revoke", "explain"} <= commands
    assert all(command in usage for command in commands)
    makefile = (TREE / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^    |`)make ([a-z]+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_variables_of_the_minimal_configuration_are_exported():
    """Who follows README to the letter gets no error about a variable that is not set."""
    for variable in re.findall(r"\$\{env:(\w+)\}", README):
        assert re.search(rf"export .*{variable}=", README)


def test_what_is_not_code_is_packaged():
    """An installed package has its pages and the demo's configuration (setuptools adds no data itself)."""
    import fnmatch
    import tomllib

    project = tomllib.loads((TREE / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["gateway"]
    package = TREE / "gateway"
    for file in package.rglob("*"):
        if file.is_file() and file.suffix not in (".py", ".pyc"):
            name = str(file.relative_to(package))
            assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name


def test_every_module_that_the_docs_name_exists():
    """A tour that names a file which has moved leads nowhere."""
    named = re.compile(r"`(?:gateway/)?((?:core|oauth|edge|http|supervision|demo)/[a-z_/]+\.py)`")
    for page in (TREE / "docs").rglob("*.md"):
        for module in named.findall(page.read_text(encoding="utf-8")):
            assert (TREE / "gateway" / module).is_file(), f"{page.name}: {module}"
