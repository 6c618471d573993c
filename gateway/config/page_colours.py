"""The colours of pages: what stands on what, in light and in dark."""

from dataclasses import dataclass
from typing import Final

from gateway.config.settings.pages import PagesSettings
from gateway.syntax import colours

_SOFT: Final = 0.1


@dataclass(frozen=True, slots=True)
class Ground:
    """What an accent stands on.

    Attributes:
        card: the colour of the ground itself.
        words: what such pages are called.
        way: how a colour differs that can be read better here.
        towards: what it is mixed with to be so.
    """

    card: str
    words: str
    way: str
    towards: str

    def soft(self, accent: str) -> str:
        """Return the accent's own soft ground."""
        return colours.mixed(self.card, accent, _SOFT)

    def behind(self, accent: str) -> tuple[str, str]:
        """Return everything that an accent stands on."""
        return self.card, self.soft(accent)


LIGHT: Final = Ground("#ffffff", "light", "darker", "#000000")
DARK: Final = Ground("#1a2029", "dark", "lighter", "#ffffff")


@dataclass(frozen=True, slots=True)
class Accent:
    """An accent with what goes with it: the text on it, and its soft ground."""

    colour: str
    text: str
    soft: str


def accents(pages: PagesSettings) -> tuple[Accent, Accent] | None:
    """Return the accents of light and of dark pages, None where the configuration names none."""
    light, dark = pages.accent, pages.accent_dark
    if light is None and dark is None:
        return None
    return _accent(light or str(dark), LIGHT), _accent(dark or str(light), DARK)


def _accent(colour: str, ground: Ground) -> Accent:
    for step in range(21):
        found = colours.mixed(colour, ground.towards, step / 20)
        if all(colours.contrast(found, each) >= colours.READABLE for each in ground.behind(found)):
            break
    return Accent(found, colours.text_on(found), ground.soft(found))
