"""A YAML file read strictly: plain data, the line of every path, and every problem on the way.

YAML 1.2's core schema without tags, merge keys and repeated keys: ``no`` and ``on`` are words, a number
is decimal. Aliases are followed within a bound, so no file is larger than it looks.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import yaml

from gateway.config.checks.problems import Path, Problem, shown_key

MOST_OCTETS = 1 << 18
MOST_NODES = 20_000
MOST_DEPTH = 24
UNRESOLVED = "unresolved"

# ${...} as it is would end a plain value within brackets; these stand for its ends while YAML is parsed
_REFERENCE = re.compile(r"\$\{((?:env|file):[^{}\r\n]*)\}")
_BEGIN, _END = "\ue000", "\ue001"

# the one list whose values have lines: keys in PEM form
_PEM_TEXTS = "signing_keys"
_LINE_BREAKS = {ord("\r"): None, ord("\n"): None}

_TAG = "tag:yaml.org,2002:"
_SHAPES = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
)
# what the parser says, and what to do about it; its own words may hold pieces of the file
_EXPLAINED = (
    (
        "mapping values are not allowed",
        "a colon where none can be: put the value in quotes, or mind the indentation",
    ),
    ("could not find expected ':'", "a key without its colon, or a line that is indented wrongly"),
    ("expected <block end>", "this line is indented differently from those that it belongs to"),
    ("cannot start any token", "a value cannot begin so: put it in quotes"),
    ("undefined alias", "* begins an alias, and there is no such anchor: put the value in quotes"),
    ("duplicate anchor", "the same anchor twice"),
    ("unknown escape", "in double quotes a backslash begins an escape: use single quotes"),
    ("unexpected end of stream", "a quote is opened and not closed"),
    ("expected ',' or", "a list or mapping in brackets is not closed, or a comma is missing"),
    ("another document", "one file is one document: remove the --- in between"),
    ("special characters", "a control character"),
)


class _Loader(yaml.SafeLoader):
    """Composes nodes with YAML 1.2's few plain types, to a bounded depth."""

    yaml_implicit_resolvers = {}
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise yaml.MarkedYAMLError(None, None, "nested too deeply", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _name, _pattern, _first in _SHAPES:
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), list(_first))


@dataclass(slots=True)
class Document:
    """What a file holds. ``broken`` are the paths whose values could not be had; ``lines`` count from 1.

    ``warnings`` tell of what can be used and is hardly meant.
    """

    data: object = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)

    def line_of(self, path: Path) -> int | None:
        """Return the line of a path, or of the nearest section around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def read(octets: bytes, resolve: Callable[[str], str]) -> Document:
    """Read a file. Whatever it holds, the result is a document, with problems where it is none.

    Args:
        octets: of the file.
        resolve: replaces the references in a text value; raises ValueError with a message to show.
    """
    document = Document()
    try:
        text = octets.decode("utf-8-sig")
        node = _Loader(_REFERENCE.sub(rf"{_BEGIN}\1{_END}", text)).get_single_node()
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        document.problems.append(Problem((), "not UTF-8 text", line))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.problems.append(_explain(text, error.problem or "", mark.line if mark else None))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.problems.append(Problem((), "a control character", line))
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        # an escape beyond Unicode, among others
        document.problems.append(Problem((), "no well-formed YAML"))
    else:
        if node is not None:
            document.data = _Builder(document, resolve).build(node, (), 0)
    return document


def _explain(text: str, problem: str, line: int | None) -> Problem:
    lines = text.splitlines()
    at = lines[line] if line is not None and line < len(lines) else ""
    number = line + 1 if line is not None else None
    if "\t" in at[: len(at) - len(at.lstrip())]:
        return Problem((), "a tab: YAML is indented with spaces", number)
    if problem == "nested too deeply":
        return Problem((), problem, number)
    for words, advice in _EXPLAINED:
        if words in problem:
            return Problem((), advice, number)
    return Problem((), "no well-formed YAML", number)


class _Builder:
    """Turns nodes into plain data, remembering the line of every path."""

    def __init__(self, document: Document, resolve: Callable[[str], str]) -> None:
        self.document = document
        self.resolve = resolve
        self.nodes = 0

    def build(self, node: yaml.Node, path: Path, depth: int) -> object:
        self.nodes += 1
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        if self.nodes > MOST_NODES or depth > MOST_DEPTH:
            if self.nodes != MOST_NODES + 2:
                self._problem(path, node, "too much, or an alias within its own anchor")
            self.nodes = MOST_NODES + 1
            return UNRESOLVED
        kind = node.tag.removeprefix(_TAG)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return [self.build(each, (*path, index), depth + 1) for index, each in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(kind, node, path)
        return self._problem(path, node, "tags (!) are not supported")

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = _restored(key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str) or key_node.tag != _TAG + "str" or not _is_clean(key):
                self._problem(path, key_node, "a key is a plain text: put it in quotes", broken=False)
            elif key == "<<":
                self._problem(
                    path, key_node, "merge keys (<<) are not supported, an alias (*name) is", broken=False
                )
            elif key in found:
                self._problem((*path, key), key_node, f"{shown_key(key)} is here twice")
            else:
                self.document.lines[(*path, key)] = key_node.start_mark.line + 1
                found[key] = self.build(value_node, (*path, key), depth + 1)
        return found

    def _scalar(self, kind: str, node: yaml.ScalarNode, path: Path) -> object:
        text = _restored(node.value)
        if kind == "str":
            return self._text(text, node, path)
        if kind == "null" and text.lower() in ("", "~", "null"):
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        try:
            number = int(text) if kind == "int" and len(text) < 20 else float(text)
        except ValueError:
            number = math.nan
        if kind not in ("int", "float"):
            return self._problem(path, node, "tags (!) are not supported")
        if not math.isfinite(number):
            return self._problem(path, node, "not a number of reasonable size")
        return number

    def _text(self, text: str, node: yaml.ScalarNode, path: Path) -> object:
        try:
            resolved = self.resolve(text)
        except ValueError as error:
            return self._problem(path, node, str(error))
        is_pem = path[-2:-1] == (_PEM_TEXTS,)
        if not _is_clean(resolved.translate(_LINE_BREAKS) if is_pem else resolved):
            return self._problem(path, node, "a line break or another control character within a value")
        return resolved

    def _problem(self, path: Path, node: yaml.Node, message: str, *, broken: bool = True) -> str:
        self.document.problems.append(Problem(path, message, node.start_mark.line + 1))
        if broken:
            self.document.broken.add(path)
        return UNRESOLVED


def _restored(text: str) -> str:
    return text.replace(_BEGIN, "${").replace(_END, "}")


def _is_clean(text: str) -> bool:
    return not any(sign < " " or sign == "\x7f" or "\ud800" <= sign <= "\udfff" for sign in text)
