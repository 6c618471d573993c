"""The Grafana dashboard asks for metrics that exist, misses none, and every panel says something."""

import json
import re

import pytest

from gateway.edge.telemetry.metric_catalogue import CATALOGUE
from tests.support.configuration import TREE

BOARD = json.loads((TREE / "deploy/grafana/token-gateway.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
DOCUMENTED = set(
    re.findall(r"^\| `(gateway_[a-z_]+)` \|", (TREE / "docs/metrics.md").read_text(), re.MULTILINE)
)
VARIABLES = {"instance", "datasource", "__rate_interval"}


def named_in(expression: str) -> set[str]:
    """Return the metrics of an expression; those of histograms without their endings."""
    return {name.removesuffix("_bucket") for name in re.findall(r"\bgateway_[a-z_]+", expression)}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_expression_names_documented_metrics(panel):
    """[12.rules]: nothing is made up, brackets are closed, and variables are the board's own or Grafana's."""
    assert [target["refId"] for target in panel["targets"]] == list("ABCDEFGH"[: len(panel["targets"])])
    for target in panel["targets"]:
        expression = target["expr"]
        assert named_in(expression)
        assert named_in(expression) <= DOCUMENTED
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing)
        assert 'instance=~"$instance"' in expression
        assert set(re.findall(r"\$\{?(\w+)", expression)) <= VARIABLES
        labels = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
        grouped = {each for part in re.findall(r"by \(([^)]*)\)", expression) for each in part.split(", ")}
        assert labels <= grouped


def test_every_metric_is_on_it():
    """[12.rules]: whoever adds a metric shows it as well."""
    shown = {name for panel in PANELS for target in panel["targets"] for name in named_in(target["expr"])}
    assert CATALOGUE.keys() <= shown


def test_the_panels_do_not_overlap():
    """Each has an id and a place of its own on the 24 columns, and a title; rows stand between."""
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
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_no_data_source_of_somebody_is_named():
    """The data source is the reader's choice, in panels, their targets, variables and annotations."""
    told = [panel["datasource"]["uid"] for panel in PANELS]
    told += [target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]]
    told += [each["datasource"]["uid"] for each in BOARD["annotations"]["list"] if not each.get("builtIn")]
    told += [each["datasource"]["uid"] for each in BOARD["templating"]["list"] if "datasource" in each]
    assert set(told) == {"${datasource}"}


def test_it_is_a_board_of_the_version_that_it_says():
    """[12.rules]: what Grafana 10 and later read: variables, time, panels with their options."""
    assert BOARD["schemaVersion"] >= 39
    assert BOARD["uid"]
    assert "id" not in BOARD
    assert [each["name"] for each in BOARD["templating"]["list"]] == ["datasource", "instance"]
    for panel in PANELS:
        assert panel["type"] in {"stat", "timeseries"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["options"]
