"""The faults by which others were broken, as they are known: each is named by a test beside this one."""

import ast
import re
from pathlib import Path
from typing import Final

import pytest

KNOWN: Final = """
CVE-2021-21291 CVE-2021-32701 CVE-2021-32786 CVE-2021-32791 CVE-2021-39191 CVE-2022-23527 CVE-2022-24797
CVE-2022-29226 CVE-2023-27496 CVE-2023-35941 CVE-2024-24814 CVE-2024-39315 CVE-2024-45410 CVE-2024-51987
CVE-2025-3891 CVE-2025-54576 CVE-2025-55162 CVE-2025-64484 CVE-2026-25748 CVE-2026-26998 CVE-2026-29054
CVE-2026-31923 CVE-2026-33494 CVE-2026-33495 CVE-2026-33496 CVE-2026-34454 CVE-2026-34457 CVE-2026-39999
CVE-2026-40574 CVE-2026-40575 CVE-2026-41059 CVE-2026-44087 CVE-2026-47775 CVE-2026-71324 CVE-2026-71326
CVE-2026-76835 GHSA-7r4p-vjf4-gxv4
"""


def words_of(path: Path) -> str:
    """Return what a module of tests says that it tests: in its docstrings and names, and in no comment."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = [
        each
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name.startswith("test_")
    ]
    told = [ast.get_docstring(each) or "" for each in (tree, *tests)]
    return " ".join([*told, *(each.name for each in tests)]) if tests else ""


@pytest.fixture(scope="module")
def told() -> str:
    """What all other modules say, with hyphens in place of underscores."""
    here = Path(__file__)
    words = [words_of(path) for path in here.parent.glob("test_*.py") if path != here]
    return " ".join(words).replace("_", "-").upper()


@pytest.mark.parametrize("fault", re.findall(r"\S+", KNOWN))
def test_it_has_its_test(told: str, fault: str):
    """[11]: a fault that was somebody else's is tried here."""
    assert re.search(rf"{fault.upper()}(?!\d)", told), fault
