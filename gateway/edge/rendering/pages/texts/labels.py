"""English for everything on a page that is not a reason's own text, by group and name.

``{{name}}`` is a slot. What belongs to one feature alone stands in a module of its own beside this one.
"""

from typing import Final

from gateway.core.phrases import PHRASES
from gateway.edge.rendering.pages.texts.causes import CAUSES
from gateway.edge.rendering.pages.texts.sessions import SESSIONS

LABELS: Final[dict[str, dict[str, str | tuple[str, ...]]]] = {
    "button": {
        "login": "Log in",
        "retry": "Try again",
        "home": "Start page",
        "account": "Use another account",
        "logout": "Log out",
        "logout_everywhere": "Log out everywhere",
        "stay": "Stay logged in",
        "go_on": "Go on",
    },
    "heading": {
        "advice": "What you can do",
        "more_advice": "If that does not help",
        "missing": "What is missing",
        "happened": "What probably happened",
    },
    "label": {
        "reason": "Reason",
        "detail": "Detail",
        "request_id": "Request ID",
        "choices": "Ways to log in",
        "used_before": "used here before",
    },
    "sentence": {
        "person": "You are logged in as {{person}}.",
        "contact": "Whom to ask: {{contact}}",
    },
    "moment": {
        "soon": "a moment",
        "one": "1 second",
        "many": "{{seconds}} seconds",
    },
    "phrase": dict(PHRASES),
    **SESSIONS,
    **CAUSES,
}
