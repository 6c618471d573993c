"""The command ``import``: takes the parsed options and returns the exit code; raises CommandError."""

import argparse
from pathlib import Path

from gateway.cli.terminal import CommandError, complain, say


def import_oauth2_proxy(options: argparse.Namespace) -> int:
    """Translate a configuration of oauth2-proxy, or say of each option why that cannot be."""
    from gateway.cli.oauth2_proxy.alpha import read_alpha  # noqa: PLC0415 - only this command needs them
    from gateway.cli.oauth2_proxy.draft import printable  # noqa: PLC0415 - the same
    from gateway.cli.oauth2_proxy.options import Unreadable, read_file  # noqa: PLC0415 - the same
    from gateway.cli.oauth2_proxy.translate import translate  # noqa: PLC0415 - the same

    path = Path(options.file)
    try:
        alpha = None if options.alpha_config is None else read_alpha(_read(Path(options.alpha_config)))
        read = read_file(_read(path), {} if alpha is None else alpha.options)
    except Unreadable as unreadable:
        raise CommandError("\n".join(f"{path}: {printable(each)}" for each in unreadable.problems)) from None
    base = path.parent
    draft = translate(read, options.public_url, lambda name: (base / name).read_text(), alpha)
    if draft.errors:
        raise CommandError("\n".join(f"{path}: {printable(each)}" for each in draft.errors))
    text = draft.to_yaml(path.name)
    if options.output is None:
        say(text.rstrip("\n"))
    else:
        _write(Path(options.output), text)
    for note in draft.notes:
        complain(f"{path}: {printable(note)} (not as it was)")
    for name, what in draft.variables.items():
        complain(f"set {name}: {printable(what)}")
    return 0


def _read(path: Path) -> bytes:
    from gateway.cli.oauth2_proxy.options import MOST_FILE  # noqa: PLC0415 - only this command needs it

    try:
        with path.open("rb") as file:
            return file.read(MOST_FILE + 1)
    except OSError as error:
        raise CommandError(f"{path}: it cannot be read: {error.strerror}") from None


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CommandError(f"{path}: it is there already, and is not written over") from None
    except OSError as error:
        raise CommandError(f"{path}: it cannot be written: {error.strerror}") from None
