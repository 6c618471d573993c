"""What a provider's claims become: the names that routes, headers and logs use.

A mapped name has the value that its source leads to, and no other: a claim that the provider sends under that
very name counts only where the source leads there. What nothing is mapped to stays as the provider sent it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gateway.config.settings.claims import ClaimSettings
from gateway.config.settings.providers import EMAIL, ProviderSettings
from gateway.core import email
from gateway.core.identity import Claims
from gateway.syntax.claim_paths import Path, Piece, parse_path, parse_template
from gateway.syntax.encoding import Json

Shape: TypeAlias = "dict[str, Shape] | None"
"""What is kept of an object, or of each object of a list, by its members' names; None: all of it."""


@dataclass(frozen=True, slots=True)
class _Source:
    """How one claim is made. ``paths`` have their whole text, which may be a claim's own name."""

    kind: str
    paths: tuple[tuple[str, Path], ...] = ()
    pieces: tuple[Piece, ...] = ()
    value: Json = None
    default: Json = None


@dataclass(frozen=True, slots=True)
class ClaimMapping:
    """The sources of the mapped claims by name. ``inputs`` are the provider's claims that they read."""

    sources: Mapping[str, _Source]
    inputs: frozenset[str]
    tells_unverified: bool = False

    def kept(self, names: Iterable[str]) -> frozenset[str]:
        """Return the provider's claims that a session keeps, of which these names are used."""
        own = {name for name in names if name.partition(".")[0] not in self.sources}
        return frozenset((own - self.sources.keys()) | self.inputs)

    def shapes(self, names: Iterable[str]) -> dict[str, Shape]:
        """Return what of a kept claim is enough, by the claims of which not all is, with these names used."""
        whole = {name for name in names if name.partition(".")[0] not in self.sources}
        shapes: dict[str, Shape] = {}
        for text, steps in (path for each in self.sources.values() for path in _paths(each)):
            whole.add(text)
            _outline(shapes, [name for name, _ in steps])
        return {name: shape for name, shape in shapes.items() if shape is not None and name not in whole}

    def apply(self, claims: Claims) -> dict[str, Json]:
        """Return the claims with the mapped ones in place of what the provider calls by their names."""
        made = {name: value for name, value in claims.items() if name not in self.sources}
        told = claims if self.tells_unverified else _without_doubtful(claims)
        for name, source in self.sources.items():
            value = _evaluate(source, told)
            if value is not None:
                made[name] = value
        # what was said of one address says nothing of another
        is_another = EMAIL in self.sources and made.get(EMAIL) != claims.get(EMAIL)
        if is_another and email.VERIFIED not in self.sources:
            made.pop(email.VERIFIED, None)
        return made


def compile_mapping(settings: ProviderSettings) -> ClaimMapping | None:
    """Compile the ``claims`` of a provider, None where it has none.

    Raises:
        ValueError: a path or template that is none.
    """
    if not settings.claims:
        return None
    sources = {name: _compile(source) for name, source in settings.claims.items()}
    inputs = {name for each in sources.values() for name in _inputs(each)}
    if EMAIL in sources and email.VERIFIED not in sources:
        inputs |= {EMAIL, email.VERIFIED}
    return ClaimMapping(sources, frozenset(inputs), settings.email_verified == "ignore")


def _compile(source: str | ClaimSettings) -> _Source:
    if isinstance(source, str):
        return _Source("path", (_path(source),))
    if source.template is not None:
        pieces = parse_template(source.template)
        if pieces is None:
            raise ValueError("claims: a template that is none")
        return _Source("template", pieces=pieces, default=source.default)
    if source.value is not None:
        value: Json = list(source.value) if isinstance(source.value, tuple) else source.value
        return _Source("value", value=value)
    for kind, paths in (("list_of", source.list_of), ("first_of", source.first_of)):
        if paths is not None:
            return _Source(kind, tuple(map(_path, paths)), default=source.default)
    if source.keys_of is not None:
        return _Source("keys_of", (_path(source.keys_of),), default=source.default)
    return _Source("path", (_path(source.path or ""),), default=source.default)


def _path(text: str) -> tuple[str, Path]:
    steps = parse_path(text)
    if steps is None:
        raise ValueError("claims: a path that is none")
    return text, steps


def cut(value: Json, shape: Shape) -> Json:
    """Return what a shape has of a value."""
    if shape is None:
        return value
    if isinstance(value, list):
        return [cut(each, shape) for each in value]
    if not isinstance(value, dict):
        return None
    return {name: cut(value[name], below) for name, below in shape.items() if name in value}


def _outline(shapes: dict[str, Shape], steps: list[str]) -> None:
    name, rest = steps[0], steps[1:]
    if name == EMAIL:
        # whether an address is one that may be told
        shapes[email.VERIFIED] = None
    if not rest:
        shapes[name] = None
        return
    below = shapes.setdefault(name, {})
    if below is not None:
        _outline(below, rest)


def _paths(source: _Source) -> list[tuple[str, Path]]:
    return [*source.paths, *(piece for piece in source.pieces if not isinstance(piece, str))]


def _inputs(source: _Source) -> Iterable[str]:
    for name in (name for text, steps in _paths(source) for name in (text, steps[0][0])):
        yield name
        if email.is_address(name):
            yield email.verified_beside(name)


def _evaluate(source: _Source, claims: Claims) -> Json:
    found: Json
    match source.kind:
        case "value":
            return source.value
        case "template":
            found = _filled(source.pieces, claims)
        case "list_of":
            found = _listed(_lookup(claims, *path) for path in source.paths)
        case "keys_of":
            members = _lookup(claims, *source.paths[0])
            found = _listed(members) if isinstance(members, dict) else None
        case _:
            # the only path, or the first that leads anywhere
            found = next((value for path in source.paths if _is_told(value := _lookup(claims, *path))), None)
    return source.default if found is None else found


def _is_told(value: Json) -> bool:
    return value is not None and value not in ("", [])


def _without_doubtful(claims: Claims) -> dict[str, Json]:
    # an address that is not told is not told under another name either, wherever it stands (R80)
    return {name: _scrubbed(value) for name, value in claims.items() if not email.is_doubtful(claims, name)}


def _scrubbed(value: Json) -> Json:
    if isinstance(value, dict):
        return _without_doubtful(value)
    return [_scrubbed(each) for each in value] if isinstance(value, list) else value


def _lookup(claims: Claims, text: str, steps: Path) -> Json:
    return claims[text] if text in claims else _walk(dict(claims), steps)


def _walk(value: Json, steps: Path) -> Json:
    for place, (name, is_each) in enumerate(steps):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
        if is_each:
            if not isinstance(value, list):
                return None
            rest = steps[place + 1 :]
            return _listed(_walk(each, rest) if rest else each for each in value)
    return value


def _listed(values: Iterable[Json]) -> Json:
    """Return the members of all lists and single values, each once; None for none. Objects have no place."""
    members: dict[tuple[type, Json], Json] = {}
    for value in values:
        for member in value if isinstance(value, list) else (value,):
            # True is no 1 (R26)
            if isinstance(member, str | int | float) and member != "":
                members.setdefault((type(member), member), member)
    return list(members.values()) or None


def _filled(pieces: tuple[Piece, ...], claims: Claims) -> str | None:
    parts: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            parts.append(piece)
            continue
        value = _lookup(claims, *piece)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            return None
        parts.append(str(value))
    return "".join(parts)
