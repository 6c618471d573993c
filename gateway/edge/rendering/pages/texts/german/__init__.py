"""German: the same groups and names as English."""

from typing import Final

from gateway.edge.rendering.pages.texts.german.access import ACCESS
from gateway.edge.rendering.pages.texts.german.faults import FAULTS
from gateway.edge.rendering.pages.texts.german.labels import LABELS
from gateway.edge.rendering.pages.texts.german.logins import LOGGED_OUT_EVERYWHERE, LOGINS, PAGE_LOST
from gateway.edge.rendering.pages.texts.german.words import Words

GERMAN: Final[dict[str, Words]] = {
    **{reason.value: words for reason, words in (ACCESS | LOGINS | FAULTS).items()},
    "logged_out_everywhere": LOGGED_OUT_EVERYWHERE,
    "page_lost": PAGE_LOST,
    **LABELS,
}
