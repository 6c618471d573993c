"""The version before this one, out of the repository's own history."""

import io
import subprocess
import tarfile
from pathlib import Path

from tests.support.configuration import TREE

_RECORDED = Path(__file__).with_name("recorded") / "version_before.txt"


def version_before(into: Path) -> str | None:
    """Put the package of the version before into a folder; why it cannot be had, None where it is there.

    It is the newest tag before this commit, else the commit that is recorded for as long as there is none.
    """
    tag = _git("describe", "--tags", "--abbrev=0", "HEAD^")
    name = tag.stdout.decode().strip() if tag.returncode == 0 else _RECORDED.read_text().strip()
    archive = _git("archive", name, "gateway")
    if archive.returncode != 0:
        return (
            f"the version before ({name[:12]}) is not in this copy's history (git fetch --unshallow --tags)"
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        # of our own history, so there is nobody to distrust; older patch releases know no filters
        files.extractall(into)  # noqa: S202
    return None


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *words], check=False, capture_output=True, cwd=TREE)
    except FileNotFoundError:
        return subprocess.CompletedProcess(words, 127, b"", b"git is not installed")
