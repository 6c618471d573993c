"""Sparklines: a line of numbers as a small picture, drawn without script or style."""

from collections.abc import Callable, Sequence
from typing import Final

from gateway.edge.admin.console.html import h
from gateway.edge.rendering.pages.template import Markup

_WIDTH: Final = 240
_HEIGHT: Final = 44
_EDGE: Final = 2


def sparkline(name: str, values: Sequence[float | None], shown: Callable[[float | None], str]) -> Markup:
    """Return the picture of ``values``, the newest last; None is a gap. ``shown`` writes a value.

    Who cannot see it is told the lowest, the highest and the newest.
    """
    known = [each for each in values if each is not None]
    if len(known) < 2:
        return h("p", "Not enough readings yet.", class_="spark soft")
    highest = max(known) or 1.0
    step = (_WIDTH - 2 * _EDGE) / max(len(values) - 1, 1)
    lines: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            lines.append([])
            continue
        height = _HEIGHT - _EDGE - (value / highest) * (_HEIGHT - 2 * _EDGE)
        lines[-1].append((_EDGE + place * step, height))
    pieces = []
    for line in lines:
        if len(line) < 2:
            continue
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line)
        ground = f"{line[-1][0]:.1f},{_HEIGHT} {line[0][0]:.1f},{_HEIGHT}"
        pieces.append(h("polygon", points=f"{points} {ground}", class_="under"))
        pieces.append(h("polyline", points=points, class_="line"))
    told = f"{name}: lowest {shown(min(known))}, highest {shown(max(known))}, newest {shown(known[-1])}"
    box = f"0 0 {_WIDTH} {_HEIGHT}"
    return h(
        "svg", *pieces, viewBox=box, preserveAspectRatio="none", role="img", aria_label=told, class_="spark"
    )
