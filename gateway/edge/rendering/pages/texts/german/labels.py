"""German for everything on a page that is not a reason's own text, by group and name."""

from typing import Final

from gateway.edge.rendering.pages.texts.german.sessions import SESSIONS

LABELS: Final[dict[str, dict[str, str | tuple[str, ...]]]] = {
    "button": {
        "login": "Anmelden",
        "retry": "Erneut versuchen",
        "home": "Startseite",
        "account": "Anderes Konto verwenden",
        "logout": "Abmelden",
        "logout_everywhere": "Überall abmelden",
        "stay": "Angemeldet bleiben",
    },
    "heading": {
        "advice": "Was Sie tun können",
        "missing": "Was fehlt",
    },
    "label": {
        "reason": "Grund",
        "detail": "Einzelheit",
        "request_id": "Anfragenummer",
        "choices": "Wege zur Anmeldung",
        "used_before": "hier schon benutzt",
    },
    "sentence": {
        "person": "Sie sind angemeldet als {{person}}.",
        "contact": "Hier können Sie fragen: {{contact}}",
    },
    "moment": {
        "soon": "einen Moment",
        "one": "1 Sekunde",
        "many": "{{seconds}} Sekunden",
    },
    "phrase": {
        "or": "oder",
        "and": "und",
        "group": "die Gruppe {{names}}",
        "groups": "eine der Gruppen {{names}}",
        "role": "die Rolle {{names}}",
        "roles": "eine der Rollen {{names}}",
        "email_domains": "eine bestätigte E-Mail-Adresse bei {{names}}",
        "scope": "der Scope {{names}}",
        "scopes": "die Scopes {{names}}",
        "claim": "der Claim {{names}}, wie er hier verlangt wird",
        "claims": "die Claims {{names}}, wie sie hier verlangt werden",
        "networks": "eine Verbindung aus einem Netz, das hier eingelassen wird",
        "methods": "das Recht, etwas zu ändern und nicht nur zu lesen",
        "acr": "eine stärkere Anmeldung",
        "max_age": "eine frischere Anmeldung",
        "not_kept_out": "ein Konto, das hier nicht ausgeschlossen ist",
    },
    **SESSIONS,
}
