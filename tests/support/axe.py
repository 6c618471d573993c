"""axe-core in a page of a real browser: what of it keeps somebody out."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.support.browser import Tab

# each is found in nothing that a person meets: best practices are held to as well
_RUN = """
axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(each =>
  each.id + ': ' + each.help + ' at ' + each.nodes.slice(0, 3).map(node => node.target.join(' ')).join('; ')))
"""


@cache
def source() -> str:
    """Return axe-core's own script."""
    spec = find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    return (Path(spec.origin).parent / "axe.min.js").read_text("utf-8")


async def violations(tab: Tab) -> list[str]:
    """Return what axe finds in the page that is shown; the page's own policy does not hold DevTools back."""
    if await tab.run("typeof axe === 'undefined'"):
        await tab.run(f"{source()}; true")
    return [str(each) for each in await tab.run(_RUN)]
