"""German for everything on a page that is not a reason's own text, by group and name."""

from typing import Final

from gateway.edge.rendering.pages.texts.german.causes import CAUSES
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
        "go_on": "Weiter",
    },
    "heading": {
        "advice": "Was Sie tun können",
        "more_advice": "Wenn das nicht hilft",
        "missing": "Was fehlt",
        "happened": "Was wahrscheinlich geschehen ist",
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
        "access_token": "das Access-Token, das access_token: jwt prüft",
        "access_token_clock": "das Access-Token, das access_token: jwt prüft: {{clock}}",
        "ask_for": "Fragen Sie nach {{url}}",
        "asked_forged": "Das Feld {{name}} sagt anderswo, wer jemand ist, und der Proxy gäbe es weiter.",
        "asked_here": "Das Gateway antwortet hierauf selbst: Der Proxy muss die Anfrage dorthin senden.",
        "asked_other_host": "Das Original ist für einen anderen Host als den, nach dem dieser Proxy fragt.",
        "asked_preflight": "Ein Proxy, der fragt, lässt keinen Preflight durch: Er antwortet selbst, oder "
        "eine öffentliche Route lässt OPTIONS zu.",
        "characters": "{{number}} Zeichen",
        "clock_ahead": "die Uhr des Anmeldedienstes geht gegenüber dieser {{seconds}} s vor",
        "clock_expired": "nach dieser Uhr ist es vor {{seconds}} s abgelaufen",
        "code_too_long": "sein Code ist zu lang, um ihn zu behalten",
        "forwarding_unreadable": "Was {{what}} sagt, ist nicht lesbar oder fehlt.",
        "no_id_token": "es kam kein ID-Token",
        "raw_path": "Eine Route lässt solche Pfade unverändert durch, mit raw_path: true.",
        "ticket_elsewhere": "es ist kein Ticket für diese Website",
        "ticket_of_other": "es ist nicht für diesen Browser",
        "ticket_used": "es wurde schon benutzt oder ist zu alt",
        "userinfo_other": "UserInfo spricht von jemand anderem",
        "userinfo_refused": "UserInfo hat das Access-Token abgelehnt; der Status steht im Protokoll",
    },
    **SESSIONS,
    **CAUSES,
}
