"""What a person reads for each reason, and the one sentence that a developer reads."""

from typing import Final

from gateway.core.reasons import Reason
from gateway.edge.rendering.pages.texts.access import ACCESS
from gateway.edge.rendering.pages.texts.faults import FAULTS
from gateway.edge.rendering.pages.texts.logins import LOGGED_OUT_EVERYWHERE, LOGINS, PAGE_LOST
from gateway.edge.rendering.pages.texts.text import Action, Text

__all__ = ["LOGGED_OUT_EVERYWHERE", "PAGE_LOST", "TEXTS", "Action", "Text"]

TEXTS: Final[dict[Reason, Text]] = ACCESS | LOGINS | FAULTS
