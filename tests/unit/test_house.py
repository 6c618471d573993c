"""The house is as it is drawn: no circle of files, and the documents name what there is."""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import gateway
from gateway.core.reasons import Reason

ROOT = Path(gateway.__file__).parent
REPOSITORY = ROOT.parent
FILES = {
    ".".join(("gateway", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}
DOCUMENTS = [REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
ROOMS = "app|cli|config|core|demo|edge|http|oauth|pipeline|supervision|syntax"
MODULE = re.compile(rf"`(?:gateway/)?((?:{ROOMS})/[\w/]+\.py)`")
QUOTED = re.compile(rf"``((?:{ROOMS})(?:\.\w+)+)``")
FRAMING = (
    ".binding",
    ".chunked",
    ".fields",
    ".mending",
    ".request_head",
    ".response_head",
    ".serialise",
)


def imported(source: str, known: Mapping[str, object]) -> Iterator[str]:
    """Yield the modules that a source imports, for its types alone or within functions as well."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for each in node.names:
                below = f"{node.module}.{each.name}"
                yield below if below in known else node.module


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Return every set of modules that reach one another."""
    reached: dict[str, set[str]] = {}
    for start in arrows:
        seen, ahead = set(), [start]
        while ahead:
            for target in arrows.get(ahead.pop(), set()) - seen:
                seen.add(target)
                ahead.append(target)
        reached[start] = seen
    found = {
        tuple(sorted(each for each in seen if start in reached.get(each, set())))
        for start, seen in reached.items()
        if start in seen
    }
    return [list(each) for each in sorted(found)]


def test_no_files_import_each_other():
    """[10.2]: straight or by a detour, anywhere."""
    arrows = {
        name: {each for each in imported(path.read_text(), FILES) if each in FILES and each != name}
        for name, path in FILES.items()
    }
    assert circles(arrows) == []


def test_the_check_sees_circles():
    """One by a detour, one straight, none where an arrow goes one way."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": {"f"}, "f": {"e"}, "g": set()}) == [
        ["a", "b", "c"],
        ["e", "f"],
    ]
    source = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from x import y\ndef f():\n    import z\n"
    )
    assert set(imported(source, {"x.y": 0, "z": 0})) >= {"x.y", "z"}


def test_framing_is_known_to_the_connections_alone():
    """[10.2]: how HTTP/1 frames a message the messages and the two connections know, and nobody else.

    So a stream of HTTP/2 can take a connection's place without a change to exchange, pool or pipeline.
    """
    messages = {"gateway.http.messages" + each for each in ("", *FRAMING)}
    known = {
        name
        for name, path in FILES.items()
        if not name.startswith("gateway.http.messages") and messages & {*imported(path.read_text(), FILES)}
    }
    assert known == {
        "gateway.edge.admin.explain",
        "gateway.http.downstream.connection",
        "gateway.http.downstream.reader",
        "gateway.http.downstream.writer",
        "gateway.http.upstream.connection",
        "gateway.http.upstream.health",
        "gateway.http.upstream.request",
    }


def test_contributors_are_told_the_layers_that_are_checked():
    """[10.2]: those of the package, and those of the core."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    text = (REPOSITORY / "CONTRIBUTING.md").read_text()
    for contract in settings["tool"]["importlinter"]["contracts"][:2]:
        assert "    " + " > ".join(contract["layers"]) + "\n" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_modules_that_exist(document: Path):
    """A tour through rooms that are gone leads nowhere."""
    named = MODULE.findall(document.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def is_named(words: list[str]) -> bool:
    """Tell whether dotted words are a module or folder, or a name that stands at a module's top."""
    path = ROOT.joinpath(*words)
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    above = path.parent.with_suffix(".py")
    return (
        above.exists()
        and re.search(rf"^(?:def|class)? ?{words[-1]}\b", above.read_text(), re.MULTILINE) is not None
    )


def test_docstrings_name_modules_that_exist():
    """Whoever reads one and goes there finds it."""
    lost = [
        f"{name}: {quoted}"
        for name, path in FILES.items()
        for quoted in QUOTED.findall(path.read_text())
        if not is_named(quoted.split("."))
    ]
    assert lost == []


def test_every_place_where_a_request_can_end_is_told():
    """[10.3]: each reason stands where a module says it, and that module says it in the code."""
    page = (REPOSITORY / "docs/life-of-a-request.md").read_text(encoding="utf-8")
    section = page.partition("## Every place where a request can end")[2].partition("\n## ")[0]
    rows = [row.split("|")[1:4] for row in section.splitlines() if row.startswith("| ") and "`" in row]
    told: set[str] = set()
    for where, _, reasons in rows:
        named = set(re.findall(r"`([a-z_]+)`", reasons))
        told |= named
        modules = re.findall(r"`([a-z_]+/[a-z_./]*)`", where)
        paths = [ROOT / each for each in modules]
        source = "".join(
            file.read_text(encoding="utf-8")
            for path in paths
            for file in (path.rglob("*.py") if path.is_dir() else [path])
        )
        for reason in named if modules else ():
            assert f"Reason.{reason.upper()}" in source, (where, reason)
    assert told == {reason.value for reason in Reason}
