"""What a person reads for each reason, and the one sentence that a developer reads."""

from typing import Final

from gateway.core.reasons import Reason
from gateway.edge.rendering.pages.texts.access import ACCESS
from gateway.edge.rendering.pages.texts.faults import FAULTS
from gateway.edge.rendering.pages.texts.labels import LABELS
from gateway.edge.rendering.pages.texts.logins import LOGGED_OUT_EVERYWHERE, LOGINS, PAGE_LOST
from gateway.edge.rendering.pages.texts.text import Action, Text

__all__ = ["ENGLISH", "LOGGED_OUT_EVERYWHERE", "PAGES", "PAGE_LOST", "TEXTS", "Action", "Text"]

TEXTS: Final[dict[Reason, Text]] = ACCESS | LOGINS | FAULTS

PAGES: Final[dict[str, Text]] = {
    **{reason.value: text for reason, text in TEXTS.items()},
    "logged_out_everywhere": LOGGED_OUT_EVERYWHERE,
    "page_lost": PAGE_LOST,
}
"""Every page that has a text of its own, by name: reasons, and what is said instead of one."""

ENGLISH: Final[dict[str, dict[str, str | tuple[str, ...]]]] = {
    **{
        name: {"title": text.title, "message": text.message, "advice": text.advice}
        for name, text in PAGES.items()
    },
    **LABELS,
}
"""All that pages say, by group and name."""
