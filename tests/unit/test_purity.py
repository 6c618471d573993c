"""The core and the OAuth messages are pure: checked on their syntax, so lazy imports count as well."""

import ast
from pathlib import Path

import pytest

import gateway

ROOT = Path(gateway.__file__).parent
MODULES = sorted(
    each for room in ("core", "oauth", "config", "syntax") for each in ROOT.glob(f"{room}/**/*.py")
)
FORBIDDEN = frozenset(
    {
        "asyncio",
        "aiohttp",
        "redis",
        "prometheus_client",
        "socket",
        "os",
        "time",
        "datetime",
        "random",
        "secrets",
        "logging",
    }
)
WAITS = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)


def impurities(source: str) -> list[str]:
    """Return what makes a module impure: what it awaits, and what it imports."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, WAITS) or (isinstance(node, ast.comprehension) and node.is_async):
            found.append(type(node).__name__)
        elif isinstance(node, ast.Import):
            found.extend(each.name for each in node.names if each.name.partition(".")[0] in FORBIDDEN)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FORBIDDEN:
            found.append(node.module or "")
        elif isinstance(node, ast.Name) and node.id in ("open", "print", "input", "__import__"):
            found.append(node.id)
    return found


def test_there_are_modules_to_check():
    """An empty list would prove nothing."""
    assert len(MODULES) > 20


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pure(module: Path):
    """No module of the core or of the OAuth messages waits, reads a clock, draws or does I/O."""
    assert impurities(module.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "async def f(): pass",
        "async def f():\n    return [x async for x in y]",
        "import os.path",
        "def f():\n    from time import time",
        "from asyncio.tasks import Task",
        "import logging as log",
        "open('x')",
    ],
)
def test_the_check_sees(source: str):
    """The check finds what it looks for."""
    assert impurities(source)


def test_the_check_is_not_blind_to_innocence():
    """Names that merely contain a forbidden one are fine."""
    assert impurities("import timeit_like\nfrom gateway.core import secrets_of\n") == []
