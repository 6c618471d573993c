"""Puts new files where none are: all of them or none, and no secret where others could read it."""

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

_PRIVATE = 0o600


class InTheWayError(Exception):
    """A file is there already; the text says which."""


def look(directory: Path, files: Mapping[str, str]) -> None:
    """See that nothing is in the way.

    Raises:
        InTheWayError: a file is there.
    """
    for name in files:
        path = directory / name
        if path.exists() or path.is_symlink():
            raise InTheWayError(f"{path} is there already, and is not written over")


def place(
    directory: Path,
    files: Mapping[str, str],
    is_private: Callable[[str], bool],
    judge: Callable[[Path], None],
) -> None:
    """Write files; whatever interrupts it, afterwards there are all of them or none.

    Args:
        directory: that is there already.
        files: texts by their names within it, which may have a directory of their own.
        is_private: tells which only their owner may read; their directory, too.
        judge: told of a directory with all of them before they are put in their places; raises.

    Raises:
        InTheWayError: one is there already, or a directory where others may put theirs.
        OSError: they cannot be written.
    """
    look(directory, files)
    draft = directory / f".gateway-init-{secrets.token_hex(6)}"
    draft.mkdir(mode=0o700)
    made: list[Path] = []
    try:
        for name, text in files.items():
            _write(draft / name, text, _PRIVATE if is_private(name) else 0o644)
        judge(draft)
        for name in files:
            _put(draft / name, directory / name, made, is_private=is_private(name))
    except BaseException:
        # an interrupt from the keyboard as well
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(path: Path, text: str, mode: int) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor of ours
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _put(draft: Path, final: Path, made: list[Path], *, is_private: bool) -> None:
    if not final.parent.exists():
        # noted first: an interrupt in between leaves a directory that is ours to remove
        made.append(final.parent)
        final.parent.mkdir(mode=0o700 if is_private else 0o777)
    elif is_private and not _is_ours(final.parent):
        raise InTheWayError(
            f"{final.parent} is not yours alone, and others could put their secrets there (chmod 700)"
        )
    try:
        # unlike a renaming it never replaces
        os.link(draft, final)
    except FileExistsError:
        raise InTheWayError(f"{final} is there already, and is not written over") from None
    made.append(final)


def _is_ours(directory: Path) -> bool:
    """Tell whether nobody else may put files into a directory."""
    about = directory.lstat()
    others = stat.S_IWGRP | stat.S_IWOTH
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & others
