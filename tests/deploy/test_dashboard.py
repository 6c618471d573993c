"""The Grafana dashboard asks for metrics that exist, and every panel says something."""

import json
import re

from tests.support.configuration import TREE

BOARD = json.loads((TREE / "deploy/grafana/token-gateway.json").read_text(encoding="utf-8"))
DOCUMENTED = set(
    re.findall(r"^\| `(gateway_[a-z_]+)` \|", (TREE / "docs/metrics.md").read_text(), re.MULTILINE)
)


def test_every_expression_names_documented_metrics():
    """Names of histograms may end in _bucket; nothing else is made up, and brackets are closed."""
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            named = re.findall(r"\bgateway_[a-z_]+", expression)
            assert named, panel["title"]
            assert {name.removesuffix("_bucket") for name in named} <= DOCUMENTED, panel["title"]
            for opening, closing in ("()", "{}", "[]"):
                assert expression.count(opening) == expression.count(closing)
            assert 'instance=~"$instance"' in expression


def test_the_panels_do_not_overlap():
    """Each has an id and a place of its own on the 24 columns, and a title."""
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"]
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_no_data_source_of_somebody_is_named():
    """The data source is the reader's choice."""
    assert {panel["datasource"]["uid"] for panel in BOARD["panels"]} == {"${datasource}"}
