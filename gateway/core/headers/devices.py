"""What a browser and its system are called, by what it says of itself: words of our own, never any of its.

Anybody writes a User-Agent as they like: this tells people their own devices apart, and nothing rests on it.
"""

from dataclasses import dataclass
from typing import Final

MOST_READ: Final = 512
"""Characters of a User-Agent beyond which nothing is read."""

# each names itself beside those that it is like: the first that is found says it
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("curl/", "curl"),
)
_SYSTEMS: Final = (
    ("Windows NT", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Linux", "Linux"),
    ("FreeBSD", "FreeBSD"),
)


@dataclass(frozen=True, slots=True)
class Device:
    """A browser and its system; each is empty where it is not known."""

    browser: str
    system: str


def device_of(agent: str) -> Device:
    """Return the device of a User-Agent, of whatever length and content."""
    read = agent[:MOST_READ]
    browser = _first(_BROWSERS, read)
    if not browser and "Version/" in read and "Safari/" in read:
        browser = "Safari"
    return Device(browser, _first(_SYSTEMS, read))


def _first(known: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for mark, name in known if mark in text), "")
