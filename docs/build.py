"""Build the site from docs/: offline, with search, every link and anchor checked.

    python docs/build.py [--into build/site]

A warning of Sphinx (a dead link, an anchor that is not there, a page that nothing leads to) is an error.
The sources are a mirror of the repository's Markdown, so that links work as they do in a checkout; the
navigation is made of docs/index.md, the reference of the code.
"""

import argparse
import re
import shutil
import sys
from functools import partial
from pathlib import Path

import references
from sphinx.cmd.build import build_main

TREE = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "Dockerfile", "Makefile")
FOLDERS = ("docs", "config", "deploy")
SHOWN = frozenset({".md", ".png", ".svg", ".json", ".txt"})
LINK = re.compile(r"(?<=\]\()(?!https?://|mailto:|#)([^)\s#]*)((?:#[^)\s]*)?)(?=\))")
_DECISIONS = "\n```{toctree}\n:hidden:\n:glob:\n\n[0-9]*\n```\n"
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def main(arguments: list[str] | None = None) -> int:
    """Build, and return Sphinx's exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--into", metavar="DIR", type=Path, default=TREE / "build/site")
    into: Path = parser.parse_args(arguments).into
    source, made = into / "source", into / "html"
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(made, ignore_errors=True)
    mirror(source)
    words = ["-b", "html", "-W", "--keep-going", "-q", "-j", "auto", "-d", str(into / "doctrees")]
    code = build_main([*words, "-c", str(TREE / "docs"), str(source), str(made)])
    if code == 0:
        sys.stdout.write(f"{made / 'index.html'}: every page, link and anchor is good\n")
    return code


def mirror(source: Path) -> None:
    """Put together what Sphinx reads. Raises Undocumented of references."""
    source.mkdir(parents=True)
    for name in PAGES:
        if (TREE / name).exists():
            shutil.copy(TREE / name, source / name)
    for folder in FOLDERS:
        for path in sorted((TREE / folder).rglob("*")):
            if path.is_file() and (folder == "config" or path.suffix not in (".py", ".pyc")):
                (target := source / path.relative_to(TREE)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    (source / "reference").mkdir()
    for name, text in references.pages().items():
        (source / "reference" / name).write_text(text, encoding="utf-8")
    listed: set[Path] = set()
    for page in sorted(source.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(LINK.sub(partial(_led, page, listed), text), encoding="utf-8")
    for folder_path in sorted(listed):
        _list(folder_path)
    _navigation(source)


def _led(page: Path, listed: set[Path], match: re.Match[str]) -> str:
    """Return a link's target, with a list of files for a folder and an own page for the index."""
    path, fragment = match[1], match[2]
    target = (page.parent / path).resolve()
    if path.endswith("index.md"):
        up = "../" * (len(page.relative_to(_root(page)).parts) - 1)
        return f"{up}index.md{fragment}"
    if not path or not target.is_dir():
        return f"{path}{fragment}"
    if not (target / "README.md").exists():
        listed.add(target)
        return f"{path.rstrip('/')}/files.md"
    return f"{path.rstrip('/')}/README.md"


def _root(page: Path) -> Path:
    return next(each for each in page.parents if each.name == "source")


def _list(folder: Path) -> None:
    names = sorted(each.name for each in folder.iterdir() if each.is_file() and each.name != "files.md")
    rows = "\n".join(f"- [{name}]({name})" for name in names)
    (folder / "files.md").write_text(
        f"---\norphan: true\n---\n\n# Files of {folder.name}/\n\n{rows}\n", encoding="utf-8"
    )


def _navigation(source: Path) -> None:
    """Make the first page and the navigation of docs/index.md: its headings, and the pages linked below."""
    index = source / "docs/index.md"
    text = index.read_text(encoding="utf-8")
    index.unlink()
    text = LINK.sub(lambda match: _from_above(match[1]) + match[2], text)
    trees: list[str] = []
    listed: set[str] = set()
    parts = HEADING.split(text)[1:]
    for title, body in zip(parts[0::2], parts[1::2], strict=True):
        pages = list(dict.fromkeys(match[1] for match in LINK.finditer(body) if match[1].endswith(".md")))
        if title == "Reference":
            pages += [f"reference/{name}" for name in references.pages()]
        trees.append(_tree(title, pages))
        listed.update(pages)
    readme = (source / "README.md").read_text(encoding="utf-8") if (source / "README.md").exists() else ""
    more = dict.fromkeys(match[1] for match in LINK.finditer(readme) if match[1].startswith("docs/"))
    trees.append(_tree("More", [each for each in more if each.endswith(".md") and each not in listed]))
    decisions = source / "docs/adr/README.md"
    decisions.write_text(decisions.read_text(encoding="utf-8") + _DECISIONS, encoding="utf-8")
    (source / "index.md").write_text(f"{text}\n{''.join(trees)}", encoding="utf-8")


def _tree(title: str, pages: list[str]) -> str:
    if not pages:
        return ""
    return f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n{chr(10).join(pages)}\n```\n"


def _from_above(path: str) -> str:
    return path.removeprefix("../") if path.startswith("../") else f"docs/{path}"


if __name__ == "__main__":
    raise SystemExit(main())
