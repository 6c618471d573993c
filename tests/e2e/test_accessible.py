"""axe-core finds nothing on any page: in both colour schemes, on a phone and on a desk, in both languages."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from gateway.core.decision.answers import Refuse, Respond
from gateway.edge.rendering.pages.edition import Edition
from tests.support.browser import NEEDS_CHROMIUM, Tab
from tests.support.gallery import ANSWERS, BRANDED, OWN, SHIPPED, every_refusal, render, served

_FOUND = find_spec("axe_playwright_python")
AXE = Path(_FOUND.origin).parent / "axe.min.js" if _FOUND is not None and _FOUND.origin else None
pytestmark = [
    pytest.mark.asyncio,
    *NEEDS_CHROMIUM,
    pytest.mark.skipif(AXE is None, reason="axe-core is not installed (requirements-tools.lock)"),
]
NARROW, WIDE = 390, 1280
LOOKS = (("dark", WIDE), ("light", NARROW), ("dark", NARROW))
# names, roles and structure do not depend on the look
OF_LOOKS = "runOnly: ['color-contrast', 'target-size']"
RUN = """
axe.run(document, {resultTypes: ['violations'], %s}).then((found) =>
  found.violations.map((each) => [each.id, ...each.nodes.map((node) => node.html.slice(0, 200))]))
"""
# the same document all along, so that axe-core is read once; its policy is that of every such page
SHOW = """
(() => {
  const page = new DOMParser().parseFromString(%s, 'text/html');
  document.documentElement.lang = page.documentElement.lang;
  document.head.innerHTML = page.head.innerHTML;
  document.body.innerHTML = page.body.innerHTML;
})()
"""


async def begin(tab: Tab, url: str) -> None:
    """Open a page, and read axe-core there: past its policy, by the protocol."""
    assert AXE is not None
    await tab.open(url)
    await tab.run(AXE.read_text() + ";0")


async def show(tab: Tab, answer: Refuse | Respond, edition: Edition) -> None:
    """Show another page in this document."""
    await tab.run(SHOW % json.dumps(render(answer, edition)[2].decode()))


async def judge(tab: Tab, name: str, width: int, rules: str = "") -> None:
    """Fail where axe-core finds something on the page that a tab shows, or it has to be scrolled sideways."""
    assert await tab.run(RUN % rules) == [], name
    assert await tab.run("document.documentElement.scrollWidth") <= width, name


async def test_axe_finds_nothing(tab: Tab):
    """R95 [12.pages]: every kind of page, light and dark, at 390 pixels and at desktop width."""
    async with served() as base:
        await begin(tab, f"{base}/shipped/en/choose")
        for name, answer in ANSWERS.items():
            await show(tab, answer, SHIPPED.default)
            await tab.emulate("light", WIDE)
            await judge(tab, name, WIDE)
            for scheme, width in LOOKS:
                await tab.emulate(scheme, width)
                await judge(tab, f"{name} {scheme} {width}", width, OF_LOOKS)
    assert [each for each in tab.complaints if "security" in each.lower()] == []


async def test_axe_finds_nothing_under_a_brand_in_german(tab: Tab):
    """[12.pages]: with a name, a logo and an accent; the logo is loaded, and the policy lets it through."""
    german = BRANDED.edition(b"de")
    async with served() as base:
        await begin(tab, f"{base}/branded/de/sign-out")
        for name in ("choose", "forbidden", "login-failed"):
            await show(tab, ANSWERS[name], german)
            await tab.until("document.querySelector('.logo').naturalWidth > 0")
            for scheme in ("light", "dark"):
                await tab.emulate(scheme, NARROW)
                await judge(tab, f"{name} {scheme}", NARROW)
    assert [each for each in tab.complaints if "security" in each.lower()] == []


async def test_a_template_of_ones_own_under_its_policy(tab: Tab):
    """[12.pages]: both of its styles pass, by their hashes; nothing is found on it, in either language."""
    async with served() as base:
        await begin(tab, f"{base}/own/en/login-failed")
        assert await tab.run("getComputedStyle(document.querySelector('.house')).letterSpacing") == "2px"
        assert await tab.run("getComputedStyle(document.body).marginLeft") == "7px"
        await tab.emulate("light", NARROW)
        for language in (b"en", b"de"):
            for name in ("login-failed", "forbidden", "choose", "sign-out"):
                await show(tab, ANSWERS[name], OWN.edition(language))
                await judge(tab, name, NARROW)
    assert [each for each in tab.complaints if "security" in each.lower()] == []


async def test_axe_finds_nothing_on_any_refusal(tab: Tab):
    """R95 [12.pages]: of each reason, with a nasty detail and every button that it may have."""
    refusals = every_refusal()
    async with served(refusals) as base:
        await begin(tab, f"{base}/shipped/en/route_unknown")
        await tab.emulate("dark", NARROW)
        for number, (name, answer) in enumerate(refusals.items()):
            await show(tab, answer, SHIPPED.edition(b"de" if number % 2 else b"en"))
            await judge(
                tab, name, NARROW, "runOnly: ['heading-order', 'link-name', 'list', 'definition-list']"
            )
    assert [each for each in tab.complaints if "security" in each.lower()] == []
