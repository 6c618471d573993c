"""The diagrams of docs/life-of-a-request.md, drawn from the tables of the data plane's states.

Run as ``python -m tests.support.diagrams`` to draw them anew in the page.
"""

import ast
import inspect
import re
from pathlib import Path

from gateway.http import states

PAGE = Path(states.__file__).parents[2] / "docs" / "life-of-a-request.md"
_PLACE = "<!-- states: {} -->\n```mermaid\n{}```\n"


def said(holder: type) -> dict[str, str]:
    """Return what stands below each name of a class."""
    (tree,) = ast.parse(inspect.getsource(holder)).body
    found, name = {}, ""
    for node in tree.body[1:]:
        if isinstance(node, ast.AnnAssign):
            name = node.target.id
        elif name and isinstance(node, ast.Expr):
            found[name], name = node.value.value.removesuffix("."), ""
    return found


def names_of(kind: type) -> dict[int, str]:
    """Return the names of states by their numbers."""
    return {value: name for name, value in vars(kind).items() if isinstance(value, int)}


def events_of(moves: type) -> list[states.Event]:
    """Return the events in their order."""
    return [value for value in vars(moves).values() if isinstance(value, states.Event)]


def diagram(kind: type, moves: type) -> str:
    """Return a state diagram of Mermaid: each arrow with the events that take it."""
    names, arrows = names_of(kind), {}
    for event in events_of(moves):
        for start, end in event.items():
            arrows.setdefault((start, end), []).append(event.name)
    lines = ["stateDiagram-v2", f"    [*] --> {names[0]}"]
    # what would end a label is a comma in it
    lines += [f"    {name}: {name}<br>{re.sub('[;:]', ',', text)}" for name, text in said(kind).items()]
    lines += [f"    {names[start]} --> {names[end]}: {', '.join(on)}" for (start, end), on in arrows.items()]
    return "".join(f"{line}\n" for line in lines)


def drawn(page: str) -> str:
    """Return a page with its diagrams as the tables have them."""
    for name, (kind, moves) in states.MACHINES.items():
        place = re.compile(re.escape(f"<!-- states: {name} -->") + r"\n```mermaid\n.*?```\n", re.DOTALL)
        fresh = _PLACE.format(name, diagram(kind, moves))
        page, count = place.subn(lambda _, fresh=fresh: fresh, page)
        if count != 1:
            raise LookupError(f"no one place for the states of the {name}")
    return page


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))
