"""The site is built from the documentation: offline, whole, and with nothing undocumented."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gateway.core.audit.schema import schema as audit_schema
from gateway.core.reasons import Reason
from gateway.edge.admin.openapi import describe
from gateway.edge.configfile.schema import schema
from gateway.edge.telemetry.metric_catalogue import CATALOGUE
from tests.support.configuration import TREE


class Resources(HTMLParser):
    """What a browser fetches by itself to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what is loaded; links are followed by people alone."""
        for name, value in attrs:
            if name == "src" or (tag == "link" and name == "href"):
                self.found.append(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a dead link, a dead anchor or a page that nothing leads to would have failed it."""
    into = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, TREE / "docs/build.py", "--into", into],
        check=False,
        capture_output=True,
        text=True,
        cwd=TREE,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(TREE), "HOME": str(into)},
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return into / "html"


def test_every_page_is_there_and_is_found(site: Path):
    """[12.docs]: each page of docs/ is a page of the site, and of its search."""
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    known = json.loads(index[index.index("(") + 1 : index.rindex(")")])
    for page in (TREE / "docs").rglob("*.md"):
        name = str(page.relative_to(TREE)).removesuffix(".md")
        if name == "docs/index":
            name = "index"
        assert (site / f"{name}.html").exists(), name
        assert name in known["docnames"], name
    assert "denylist" in known["terms"]


def test_nothing_is_fetched_from_elsewhere(site: Path):
    """[12.docs]: the site works without a network, and tells nobody who reads it."""
    for page in site.rglob("*.html"):
        resources = Resources()
        resources.feed(page.read_text(encoding="utf-8"))
        assert not [each for each in resources.found if re.match(r"(?:[a-z]+:)?//", each)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_every_setting_is_in_the_reference(site: Path):
    """[12.docs]: at its section, with its meaning."""
    text = (site / "reference/settings.html").read_text(encoding="utf-8")
    sections = [schema(), *(each for each in schema()["$defs"].values() if "properties" in each)]
    for section in sections:
        for name in section["properties"]:
            assert f">{name}</span>" in text, name


def test_every_reason_and_metric_is_in_the_reference(site: Path):
    """[12.docs]: each word once."""
    reasons = (site / "reference/reason-words.html").read_text(encoding="utf-8")
    for reason in Reason:
        assert f">{reason.value}</span>" in reasons
    metrics = (site / "reference/metric-names.html").read_text(encoding="utf-8")
    for name in CATALOGUE:
        assert f">{name}</span>" in metrics


def test_every_admin_endpoint_is_in_the_reference(site: Path):
    """[12.docs]: each path, from the description that is served."""
    text = (site / "reference/admin-endpoints.html").read_text(encoding="utf-8")
    for path in describe()["paths"]:
        assert f">{path}</span>" in text


def test_every_audit_event_is_in_the_reference(site: Path):
    """[12.docs]: and each of their fields."""
    text = (site / "reference/audit-events.html").read_text(encoding="utf-8")
    for each in audit_schema()["oneOf"]:
        assert f">{each['properties']['event']['const']}</span>" in text
    for name in audit_schema()["properties"]:
        assert f">{name}</span>" in text


def test_what_is_dead_fails_the_build(tmp_path: Path):
    """[12.docs]: a link, an anchor, a page that nothing leads to; seen in a site of few pages."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("build.py", "references.py", "conf.py"):
        (docs / name).write_text((TREE / "docs" / name).read_text(encoding="utf-8"), encoding="utf-8")
    (docs / "adr").mkdir()
    (docs / "adr/README.md").write_text("# Decisions\n\nNone.\n")
    (docs / "adr/0001-none.md").write_text("# 1. None\n")
    for name in ("admin-api.md", "configuration.md", "cli.md", "reasons.md", "metrics.md", "logs.md"):
        (docs / name).write_text(f"# {name}\n")
    (docs / "index.md").write_text(
        "# Site\n\n## Reference\n\n[1](configuration.md) [2](cli.md) [3](reasons.md) [4](metrics.md)"
        " [5](logs.md) [6](adr/README.md) [7](admin-api.md)\n"
    )
    (tmp_path / "config").mkdir()
    (tmp_path / "config/gateway.yaml").write_text("")
    (docs / "logs.md").write_text("# Logs\n\n[one](nowhere.md) [two](metrics.md#no-such-heading)\n")
    (docs / "orphan.md").write_text("# Orphan\n")
    built = subprocess.run(
        [sys.executable, docs / "build.py", "--into", tmp_path / "out"],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(TREE), "HOME": str(tmp_path)},
    )
    assert built.returncode != 0
    for complaint in ("nowhere", "no-such-heading", "orphan"):
        assert complaint in built.stderr
