"""The directory of the embedded store: private, and with nothing in it that somebody else put there (R83).

Whoever can write in it decides what the store's files are, and with them who is revoked. ``state_dir`` itself
is the operator's choice and may be reached by links; from ``store`` on no link is followed.
"""

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

NAME: Final = "store"
FORMER_NAME: Final = "valkey"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# a pipe in its place must not hold us up
_FILE: Final = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MOST_DEPTH: Final = 4
_TRIES: Final = 20
_BETWEEN_TRIES: Final = 0.01


def prepare(state_dir: Path, tell: Callable[..., None] = lambda _, **__: None) -> Path:
    """Return the store's own directory, made if need be, ours alone.

    Args:
        state_dir: where it is to be; made with mode 0700 where it does not exist.
        tell: takes a message and its fields where ``state_dir`` can be written by others.

    Raises:
        RuntimeError: it is not private, or cannot be used; says what to do.
    """
    directory = state_dir.absolute() / NAME
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        parent = os.open(state_dir, _DIRECTORY)
        try:
            _warn(state_dir, os.fstat(parent), tell)
            _take_over(state_dir, parent)
            _make_private(directory, parent)
        finally:
            os.close(parent)
    except OSError as error:
        raise RuntimeError(
            f"state_dir cannot be used: {directory}: {error.strerror}; choose another, or set redis.url"
        ) from None
    return directory


def look(state_dir: Path) -> list[str]:
    """Return what ``prepare`` would refuse or warn of, as far as a look tells that changes nothing.

    Of a directory that is not there, or is another user's, nothing is said: the gateway may run elsewhere.
    """
    found: list[str] = []
    with contextlib.suppress(OSError):
        _warn(state_dir, state_dir.stat(), lambda message, detail: found.append(f"{message}: {detail}"))
        store = (state_dir / NAME).stat(follow_symlinks=False)
        if store.st_uid == os.geteuid():
            try:
                _judge(state_dir / NAME, store)
                _refuse_others(state_dir / NAME, store)
            except RuntimeError as error:
                found.append(str(error))
    return found


def open_file(directory: Path, name: str, flags: int) -> int:
    """Return a descriptor of a regular file of ours in the store's directory, made with mode 0600.

    Raises:
        OSError: it cannot be opened. RuntimeError: it is a link, or somebody else's.
    """
    place = os.open(directory, _DIRECTORY | os.O_NOFOLLOW)
    try:
        # judged before it is cut: another name of some other file must not lose that file's content
        descriptor = os.open(name, (flags & ~os.O_TRUNC) | _FILE, 0o600, dir_fd=place)
    except OSError:
        _judge(directory / name, os.stat(name, dir_fd=place, follow_symlinks=False))
        raise
    finally:
        os.close(place)
    try:
        _judge(directory / name, os.fstat(descriptor))
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _warn(state_dir: Path, status: os.stat_result, tell: Callable[..., None]) -> None:
    if status.st_uid not in (0, os.geteuid()):
        tell(
            "state_dir belongs to somebody else, who can replace the store",
            detail=f"{state_dir} belongs to user {status.st_uid}; give it to user {os.geteuid()}",
        )
    # with the sticky bit others may add names but not replace ours
    elif status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        tell(
            "others can write in state_dir, and so replace the store",
            detail=f"{state_dir} has mode {stat.S_IMODE(status.st_mode):04o}; make it 0700",
        )


def _take_over(state_dir: Path, parent: int) -> None:
    """Rename what the version before had, so that its revocations go on holding."""
    try:
        former = os.open(FORMER_NAME, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except OSError:
        return
    try:
        if _exists(NAME, parent) or os.fstat(former).st_uid != os.geteuid():
            return
        lock = os.open("lock", os.O_RDWR | _FILE, 0o600, dir_fd=former)
        try:
            if not _locks(lock):
                if _exists(NAME, parent):
                    return
                raise RuntimeError(
                    f"the store of an earlier version runs in {state_dir / FORMER_NAME};"
                    " stop that gateway first"
                )
            # another gateway that starts now may have been faster
            with contextlib.suppress(FileNotFoundError):
                os.rename(FORMER_NAME, NAME, src_dir_fd=parent, dst_dir_fd=parent)
        finally:
            os.close(lock)
    finally:
        os.close(former)


def _locks(descriptor: int) -> bool:
    """Take a lock that a gateway which is about to rename holds for a moment, and a server for good."""
    for _ in range(_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_BETWEEN_TRIES)
    return False


def _exists(name: str, parent: int) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _make_private(directory: Path, parent: int) -> None:
    """Make the directory, or see that it is ours and private, and everything in it as well."""
    try:
        os.mkdir(NAME, 0o700, dir_fd=parent)
    except FileExistsError:
        _judge(directory, os.stat(NAME, dir_fd=parent, follow_symlinks=False))
    descriptor = os.open(NAME, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        status = os.fstat(descriptor)
        _judge(directory, status)
        _refuse_others(directory, status)
        # a volume with a group of its own (fsGroup) gives that group every right at each mount; from here on
        # nobody else can put anything there, and what is there already is looked at
        os.fchmod(descriptor, 0o700)
        for path, found in _walk(directory, descriptor, _MOST_DEPTH):
            _judge(path, found)
    finally:
        os.close(descriptor)


def _refuse_others(directory: Path, status: os.stat_result) -> None:
    if status.st_mode & stat.S_IRWXO:
        raise RuntimeError(
            f"{directory} has mode {stat.S_IMODE(status.st_mode):04o}: others may have put something"
            " there; look at what is in it, make it 0700, or choose another state_dir"
        )


def _walk(directory: Path, descriptor: int, depth: int) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield everything below a directory; what vanishes meanwhile is the server's own doing."""
    with os.scandir(descriptor) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        try:
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield directory / name, status
        if stat.S_ISDIR(status.st_mode) and depth:
            inner = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            try:
                yield from _walk(directory / name, inner, depth - 1)
            finally:
                os.close(inner)


def _judge(path: Path, status: os.stat_result) -> None:
    kind = status.st_mode
    if status.st_uid != os.geteuid():
        what = "belongs to somebody else"
    elif stat.S_ISLNK(kind):
        what = "is a symbolic link"
    elif stat.S_ISREG(kind) and status.st_nlink > 1:
        what = "has a second name elsewhere"
    elif not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISSOCK(kind)):
        what = "is neither a file nor a directory"
    else:
        return
    raise RuntimeError(
        f"{path} {what}: the store would not be ours alone; remove it, or choose another state_dir"
    )
