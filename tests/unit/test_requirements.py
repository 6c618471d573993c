"""Every requirement is proven by a test that names it, and docs/requirements.md says truly by which."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
TABLE = ROOT / "docs" / "requirements.md"
NUMBERS = range(1, 97)
NUMBER = re.compile(r"\bR(\d{1,2})\b", re.ASCII)
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def names_by_file() -> dict[str, dict[str, str]]:
    """Return, by file and name, what each test says of itself: docstring and parametrisation."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found[str(path.relative_to(TESTS))] = {
            node.name: " ".join([ast.get_docstring(node) or "", *_ids(node)])
            for node in tree.body
            if isinstance(node, FUNCTION) and node.name.startswith("test_")
        }
    return found


def _ids(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the texts given as ``id=`` or ``ids=`` to the function's decorators."""
    return [
        constant.value
        for decorator in function.decorator_list
        for keyword in ast.walk(decorator)
        if isinstance(keyword, ast.keyword) and keyword.arg in ("id", "ids")
        for constant in ast.walk(keyword.value)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    ]


@cache
def rows() -> dict[int, list[str]]:
    """Return the table's rows by their number: requirement, source, modules, tests."""
    found: dict[int, list[str]] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        match = re.match(r"\| R(\d+) \|", line)
        if match is not None:
            assert int(match[1]) not in found, f"R{match[1]} is there twice"
            found[int(match[1])] = [cell.strip() for cell in line.strip("|").split(" | ")][1:]
    return found


def test_every_requirement_is_named_by_a_test():
    """A number that no docstring and no parametrisation names is proven by nothing."""
    named = {
        int(number)
        for tests in names_by_file().values()
        for text in tests.values()
        for number in NUMBER.findall(text)
    }
    assert not set(rows()) - named
    assert not named - set(rows()), "a number that no requirement has"


def test_the_table_lists_every_requirement_once_and_in_order():
    """R1 to R96, each with a wording, a source, modules and tests."""
    assert list(rows()) == list(NUMBERS)
    assert all(len(cells) == 4 and all(cells) for cells in rows().values())


@pytest.mark.parametrize("number", rows())
def test_the_table_names_modules_and_tests_that_exist(number: int):
    """Each module is a file of the package; each test exists, and names the requirement itself."""
    _, _, modules, tests = rows()[number]
    for module in re.findall(r"`([^`]+)`", modules):
        assert (ROOT / "gateway" / module).exists(), module
    named = re.findall(r"`([^`]+)::([^`]+)`", tests)
    assert named
    for file, name in named:
        assert name in names_by_file().get(file, {}), f"{file} has no {name}"
        assert str(number) in NUMBER.findall(names_by_file()[file][name]), (
            f"{name} does not speak of R{number}"
        )


def test_every_test_that_the_document_names_exists():
    """Also those of the properties, which belong to no single number."""
    for file, name in re.findall(r"`([^`]+)::([^`]+)`", TABLE.read_text(encoding="utf-8")):
        assert name in names_by_file().get(file, {}), f"{file} has no {name}"
