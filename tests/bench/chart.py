"""A bar chart as SVG, written by hand. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, LABEL, VALUE = 860, 210, 110
BAR, GAP, TITLE, MARGIN = 18, 6, 30, 16
_OURS, _THEIRS, _LIMIT = "#2563a8", "#9aa5b1", "#d08c2e"

# readable on a light and on a dark page
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; }
  .note { fill: #6a737d; font-size: 12px; }
  .ground { fill: #ffffff; }
  .spread { stroke: #57606a; stroke-width: 2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .note { fill: #9aa5b1; } .ground { fill: #0d1117; }
  }
"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; ``low`` and ``high`` are the spread around the median. ``kind`` chooses the colour."""

    label: str
    value: float
    low: float
    high: float
    kind: str = "peer"


@dataclass(frozen=True, slots=True)
class Group:
    """Bars that share a title and a scale."""

    title: str
    unit: str
    bars: Sequence[Bar]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _bar(bar: Bar, top: int, scale: float) -> list[str]:
    colour = {"gateway": _OURS, "limit": _LIMIT}.get(bar.kind, _THEIRS)
    middle = top + BAR // 2
    width = max(1.0, bar.value * scale)
    low, high = LABEL + bar.low * scale, LABEL + bar.high * scale
    return [
        f'<text x="{LABEL - 8}" y="{top + 14}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect x="{LABEL}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
        f'<line class="spread" x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}"/>',
        f'<text x="{max(LABEL + width, high) + 8:.1f}" y="{top + 14}">{_number(bar.value)}</text>',
    ]


def render(groups: Sequence[Group], caption: str) -> str:
    """Return the SVG document; a group without bars is left out."""
    shown = [group for group in groups if group.bars]
    top, parts = MARGIN, [f'<text class="note" x="{MARGIN}" y="{MARGIN + 6}">{escape(caption)}</text>']
    top += TITLE
    for group in shown:
        parts.append(
            f'<text class="title" x="{MARGIN}" y="{top}">{escape(group.title)}'
            f'<tspan class="note" dx="8">{escape(group.unit)}</tspan></text>'
        )
        top += 12
        most = max(max(bar.value, bar.high) for bar in group.bars)
        scale = (WIDTH - LABEL - VALUE) / most if most > 0 else 0.0
        for bar in group.bars:
            parts += _bar(bar, top, scale)
            top += BAR + GAP
        top += TITLE
    height = top
    body = "\n".join(f"  {part}" for part in parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(caption, {chr(34): "&quot;"})}">\n'
        f"  <style>{_STYLE}  </style>\n"
        f'  <rect class="ground" width="{WIDTH}" height="{height}"/>\n{body}\n</svg>\n'
    )
