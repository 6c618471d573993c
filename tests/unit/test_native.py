"""The compiled form of the source: which is run, and that none of another source ever is."""

import shutil
from pathlib import Path

import pytest

from gateway.supervision import native


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a package of a few files."""
    folder = tmp_path / "gateway"
    (folder / "core").mkdir(parents=True)
    for name in ("__init__.py", "core/a.py", "core/b.py"):
        (folder / name).write_text(f"NAME = {name!r}\n")
    return folder


def made(package: Path) -> Path:
    """Put a compiled form of this package where one belongs."""
    folder = native.place_of(package) / native.digest(package)
    shutil.copytree(package, folder / package.name)
    return folder


def test_what_is_compiled_is_there():
    """[10.1]: the list names modules that exist, each once."""
    assert len(set(native.HOT)) == len(native.HOT)
    assert [name for name in native.HOT if not (native.PACKAGE / name).is_file()] == []


def test_none_is_found_where_none_was_made(package: Path):
    """Nor where the folder of compiled forms is empty."""
    assert native.find(package) is None
    native.place_of(package).mkdir(parents=True)
    assert native.find(package) is None


def test_the_one_of_this_source_is_found(package: Path):
    """It is named by the source."""
    folder = made(package)
    assert native.find(package) == folder
    # what is no source does not count
    (package / "core" / "page.html").write_text("x")
    assert native.find(package) == folder


@pytest.mark.parametrize("change", ["content", "name", "more", "less", "moved between files"])
def test_none_of_another_source_is_run(package: Path, change: str):
    """[10.hold.4]: whatever has changed, the source is run and no older form of it."""
    made(package)
    first, second = package / "core/a.py", package / "core/b.py"
    if change == "content":
        first.write_text(first.read_text() + "# a comment\n")
    elif change == "name":
        first.rename(package / "core/c.py")
    elif change == "more":
        (package / "core/c.py").write_text("")
    elif change == "less":
        first.unlink()
    else:
        text = first.read_text() + second.read_text()
        first.write_text(text[:-1])
        second.write_text(text[-1:])
    assert native.find(package) is None


def test_a_form_that_is_not_whole_is_not_run(package: Path):
    """A folder of the right name alone is none."""
    (native.place_of(package) / native.digest(package)).mkdir(parents=True)
    assert native.find(package) is None
