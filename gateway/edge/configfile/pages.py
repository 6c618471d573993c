"""The files of pages that the configuration names: logos, texts, templates, as what they hold.

They stand in the settings from then on, so that all workers have the same, and none reads a file later.
"""

from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path as FilePath
from typing import Any, Final

from gateway.config.checks.problems import Path, Problem
from gateway.config.settings.pages import INLINE, MOST_LOGO, MOST_TEMPLATE
from gateway.edge.configfile import images
from gateway.edge.configfile.references import resolve
from gateway.edge.configfile.yaml import MOST_OCTETS, Document, read
from gateway.edge.rendering.pages import catalogue, layouts

_KINDS: Final = (".html", ".css")
_MOST_TOLD: Final = 20


def find_page_files(document: Document, base: FilePath, environment: Mapping[str, str]) -> None:
    """Put what the files hold in the place of their paths, and tell which cannot be used."""
    data = document.data if isinstance(document.data, dict) else {}
    pages = data.get("pages")
    if not isinstance(pages, dict):
        return
    for setting in ("logo", "logo_dark"):
        at: Path = ("pages", setting)
        if isinstance(written := pages.get(setting), str) and written and at not in document.broken:
            _put(document, pages, at, _logo(written, base))
    texts = pages.get("texts")
    if isinstance(texts, dict):
        _find_texts(document, texts, base, environment)
    at = ("pages", "templates")
    if isinstance(written := pages.get("templates"), str) and written and at not in document.broken:
        _put(document, pages, at, _templates(written, base))


def _find_texts(
    document: Document, texts: dict[Any, Any], base: FilePath, environment: Mapping[str, str]
) -> None:
    for language, written in texts.items():
        at: Path = ("pages", "texts", language)
        if at in document.broken:
            continue
        if isinstance(written, str):
            _put(document, texts, at, _texts(written, base, environment))
        elif written is not None:
            for inner, message in catalogue.problems(written):
                _tell(document, (*at, *inner), message)


def _put(document: Document, section: dict[Any, Any], at: Path, found: object) -> None:
    """Put what was found into the section; a list is what is wrong instead."""
    if isinstance(found, list):
        for message in found[:_MOST_TOLD]:
            _tell(document, at, message)
    else:
        section[at[-1]] = found


def _tell(document: Document, path: Path, message: str) -> None:
    document.problems.append(Problem(path, message))
    document.broken.add(path)


def _read(path: FilePath, most: int) -> bytes | str:
    """Return what a file holds, or why that cannot be had."""
    try:
        if not path.is_file():
            return "there is no such file"
        with path.open("rb") as file:
            octets = file.read(most + 1)
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or 'not a path'}"
    return f"larger than {most // 1024} KiB" if len(octets) > most else octets


def _logo(written: str, base: FilePath) -> str | list[str]:
    if written.startswith(INLINE):
        # what a file of this configuration said already
        try:
            octets = b64decode(written.partition(";base64,")[2], validate=True)
        except (BinasciiError, ValueError):
            return ["write the path of a file, or a data URL in base64"]
        if len(octets) > MOST_LOGO:
            return [f"larger than {MOST_LOGO // 1024} KiB"]
    else:
        found = _read(base / written, MOST_LOGO)
        if isinstance(found, str):
            return [f"{written}: {found}"]
        octets = found
    media_type = images.media_type_of(octets)
    if media_type is None:
        return ["no image that pages can show: SVG, PNG, JPEG or WebP"]
    if media_type == images.SVG and (message := images.judge_svg(octets)) is not None:
        return [f"this SVG {message}"]
    return f"{INLINE}{media_type};base64,{b64encode(octets).decode()}"


def _texts(written: str, base: FilePath, environment: Mapping[str, str]) -> dict[Any, Any] | list[str]:
    found = _read(base / written, MOST_OCTETS)
    if isinstance(found, str):
        return [f"{written}: {found}"]
    document = read(found, partial(resolve, environment=environment, base=(base / written).parent))
    problems = list(document.problems)
    if not problems:
        problems = [Problem(path, message) for path, message in catalogue.problems(document.data)]
    if problems:
        return [_located(written, each, document) for each in problems]
    assert isinstance(document.data, dict)
    return document.data


def _located(name: str, problem: Problem, document: Document) -> str:
    line = problem.line or document.line_of(problem.path)
    return f"{name}:{line}: {problem}" if line else f"{name}: {problem}"


def _templates(written: str, base: FilePath) -> dict[str, str] | list[str]:
    directory = base / written
    try:
        if not directory.is_dir():
            return [f"{written}: there is no such directory"]
        files = sorted(each for each in directory.iterdir() if each.suffix in _KINDS)
    except (OSError, ValueError) as error:
        return [f"{written}: cannot be read: {getattr(error, 'strerror', None) or 'not a path'}"]
    if not files:
        return [f"{written}: holds no template: write page.html"]
    found: dict[str, str] = {}
    problems: list[str] = []
    for file in files:
        octets, name = _read(file, MOST_TEMPLATE), f"{written.rstrip('/')}/{file.name}"
        try:
            text = octets if isinstance(octets, str) else octets.decode("utf-8-sig")
        except UnicodeDecodeError:
            octets = text = "no UTF-8 text"
        if isinstance(octets, str):
            problems.append(f"{name}: {octets}")
        else:
            found[file.name] = text
            problems += _template_problems(name, file.name, text)
    return problems or found


def _template_problems(shown: str, name: str, text: str) -> Iterator[str]:
    for line, message in layouts.problems(name, text):
        yield f"{shown}:{line}: {message}" if line else f"{shown}: {message}"
