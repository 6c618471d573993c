"""The runbook has a paragraph for each alert, and names nothing that does not exist."""

import re
import shlex

import pytest
import yaml

from gateway.cli import main as cli
from gateway.config.settings.root import Settings
from gateway.core.reasons import Reason
from gateway.edge.telemetry.metric_catalogue import CATALOGUE
from tests.support.configuration import TREE

RULES = yaml.safe_load((TREE / "deploy/prometheus/rules.yaml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
TEXT = (TREE / "docs/runbook.md").read_text(encoding="utf-8")
PARAGRAPHS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
PARTS = ("**Means**: ", "**People see**: ", "**Do**: ")


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_leads_to_its_paragraph(alert: str):
    """[12.runbook]: what it means, what people see, what to do; by the path that the alert tells."""
    path, _, anchor = ALERTS[alert]["annotations"]["runbook_url"].partition("#")
    assert (TREE / path).read_text(encoding="utf-8") == TEXT
    assert anchor == alert.lower()
    places = [PARAGRAPHS[alert].index(part) for part in PARTS]
    assert places == sorted(places)
    assert all(len(each.strip()) > 10 for each in PARAGRAPHS[alert].strip().split("\n\n"))


def test_no_paragraph_is_of_an_alert_that_is_gone():
    """[12.runbook]: nor is one told twice."""
    told = [name for name in PARAGRAPHS if name.startswith("Gateway")]
    assert sorted(told) == sorted(ALERTS)


@pytest.mark.parametrize(
    "case", ["GatewayStoreDown", "GatewayProviderDown", "GatewayCertificateExpires", "GatewayWorkersRestart",
             "GatewayRefreshTokenReused", "GatewayLoginsFail", "GatewayDenylistStale", "disk full"],
)  # fmt: skip
def test_what_happens_at_three_in_the_morning(case: str):
    """[12.runbook]: the store, a provider, a certificate, workers, theft, logins, the denylist, a disk."""
    assert re.search(rf"^##+ {case}$", TEXT, re.MULTILINE | re.IGNORECASE)


def test_its_commands_are_ours():
    """[12.runbook]: each can be typed as it stands there."""
    lines = re.findall(r"^    (gateway .*)$", TEXT, re.MULTILINE) + re.findall(
        r"`(gateway [a-z][^`]*)`", TEXT
    )
    lines = [line for line in lines if not line.endswith("...")]
    assert len(lines) > 15
    for line in lines:
        words = shlex.split(line, comments=True)[1:]
        if len(words) == 1:
            # a name alone
            assert f"    {words[0]} " in cli._parser(()).format_help()
            continue
        cli._parser(words).parse_args(words)


def test_its_names_are_ours():
    """[12.runbook]: metrics, reasons and settings exist."""
    process = {"gateway_process_start_time_seconds", "gateway_process_cpu_seconds_total"}
    process |= {"gateway_process_resident_memory_bytes"}
    named = {name.removesuffix("_bucket") for name in re.findall(r"\bgateway_[a-z_]+[a-z]\b", TEXT)}
    assert named - {"gateway_workers"} <= CATALOGUE.keys() | process
    words = set(re.findall(r"`((?:login|token|upstream|denylist|issuer|store|internal)_[a-z_]+[a-z])`", TEXT))
    assert words
    assert words <= set(Reason)
    for setting in re.findall(r"`((?:limits|session|denylist|log|audit|admin|telemetry)\.[a-z_.]+)`", TEXT):
        section: object = Settings
        for part in setting.split("."):
            fields = getattr(section, "model_fields", None)
            assert fields is None or part in fields, setting
            section = fields[part].annotation if fields is not None else None
