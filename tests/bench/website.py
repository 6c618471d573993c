"""The site that people visit: documents, assets and an API, the same in every run. Pure but for ``write``."""

import os
import random
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from tests.bench.people import DOCUMENT, FONT, IMAGE, SCRIPT, STYLE

LEAST_FILE, MOST_FILE = 2 * 1024, 48 * 1024
DOCUMENTS, ASSETS = 64, 640
DOCUMENT_FOLDER, ASSET_FOLDER = "/articles/", "/assets/"
_WRITTEN = 1_760_000_000
# out of ten assets
_KINDS = (
    (STYLE, "css"), (SCRIPT, "js"), (SCRIPT, "js"), (SCRIPT, "js"), (IMAGE, "webp"), (IMAGE, "webp"),
    (IMAGE, "webp"), (IMAGE, "png"), (IMAGE, "svg"), (FONT, "woff2"),
)  # fmt: skip
TYPES = {
    "css": "text/css",
    "js": "text/javascript",
    "webp": "image/webp",
    "png": "image/png",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
# what the API answers, by the path that it lies at: bytes of JSON
ANSWERS = {
    "/api/articles": 640,
    "/api/orders": 1900,
    "/api/search": 3600,
    "/api/profile": 410,
    "/api/cart": 320,
    "/api/events": 64,
}
READ = ("/api/articles", "/api/orders", "/api/search", "/api/profile")
WRITTEN = ("/api/cart", "/api/events")


@dataclass(frozen=True, slots=True)
class File:
    """A file that the upstream serves, and the validators that nginx gives it."""

    path: str
    destination: str
    size: int

    @property
    def etag(self) -> str:
        """The entity tag: nginx makes it of the time and the size."""
        return f'"{_WRITTEN:x}-{self.size:x}"'

    @property
    def last_modified(self) -> str:
        """The time of the last change, as a date of HTTP."""
        return formatdate(_WRITTEN, usegmt=True)


@dataclass(frozen=True, slots=True)
class Site:
    """Its files."""

    documents: tuple[File, ...]
    assets: tuple[File, ...]

    def write(self, folder: Path) -> None:
        """Write the files below a folder, for nginx to serve."""
        noise = os.urandom(MOST_FILE)
        for file in (*self.documents, *self.assets):
            path = folder / file.path.removeprefix("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(noise[: file.size])
            os.utime(path, (_WRITTEN, _WRITTEN))


def site(seed: int = 2) -> Site:
    """Return the site."""
    draw = random.Random(seed)
    documents = [
        File(
            f"{DOCUMENT_FOLDER}{draw.getrandbits(28):07x}-page-{number}",
            DOCUMENT,
            draw.randint(LEAST_FILE, MOST_FILE),
        )
        for number in range(DOCUMENTS)
    ]
    assets: list[File] = []
    for number in range(ASSETS):
        destination, ending = _KINDS[number % len(_KINDS)]
        path = f"{ASSET_FOLDER}{ending}/{destination}-{number}.{draw.getrandbits(32):08x}.{ending}"
        assets.append(File(path, destination, draw.randint(LEAST_FILE, MOST_FILE)))
    return Site(tuple(documents), tuple(assets))


def answer(path: str) -> str:
    """Return the JSON that the API answers at a path, of just the length that ANSWERS says."""
    head, tail = '{"status":"ok","data":"', '"}'
    return head + "x" * (ANSWERS[path] - len(head) - len(tail)) + tail
