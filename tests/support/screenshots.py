"""Pictures of every page that people see, light, dark and at 390 pixels: ``make page-pictures``.

Of those at 390 pixels every other one is dark; some are German or branded.
"""

import asyncio
import base64
import sys
from pathlib import Path
from typing import Final

from tests.support.browser import Tab, chromium, somebody
from tests.support.gallery import ANSWERS, served
from tests.support.small_png import shrink

FOLDER: Final = Path(__file__).parents[2] / "docs/images/pages"
WIDE: Final = 800
NARROW: Final = 390
# another scheme may have another logo, which is chosen with the next frame
SETTLED: Final = """
new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
  .then(() => Promise.all([...document.images].map((each) => each.decode()))).then(() => true)
"""
# by the name of the picture: whose page, in which language, and which
SHOWN: Final[dict[str, tuple[str, str, str]]] = {
    **{name: ("shipped", "en", name) for name in ANSWERS},
    "german": ("shipped", "de", "login-failed"),
    "branded": ("branded", "en", "choose"),
    "branded-german": ("branded", "de", "forbidden"),
}


async def picture(tab: Tab, scheme: str, width: int) -> bytes:
    """Return the page that a tab shows as PNG, as long as it is."""
    await tab.command(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    await tab.command(
        "Emulation.setDeviceMetricsOverride", width=width, height=10, deviceScaleFactor=1, mobile=False
    )
    await tab.run(SETTLED)
    size = (await tab.command("Page.getLayoutMetrics"))["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": width, "height": size["height"], "scale": 1}
    shot = await tab.command(
        "Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True, optimizeForSpeed=False
    )
    return base64.b64decode(shot["data"])


async def main(folder: Path) -> None:
    """Take all pictures."""
    taken: dict[str, bytes] = {}
    with chromium() as devtools:
        async with served() as base, somebody(devtools) as person:
            tab = await person.tab()
            for name, parts in SHOWN.items():
                await tab.open(f"{base}/{'/'.join(parts)}")
                for suffix, scheme, width in (
                    ("light", "light", WIDE),
                    ("dark", "dark", WIDE),
                    ("390", "light" if len(name) % 2 else "dark", NARROW),
                ):
                    taken[f"{name}-{suffix}.png"] = await picture(tab, scheme, width)
            await tab.open("about:blank")
            for name, octets in taken.items():
                await asyncio.to_thread((folder / name).write_bytes, await shrink(tab, octets))


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    chosen.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(chosen))
