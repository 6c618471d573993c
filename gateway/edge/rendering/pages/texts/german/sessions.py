"""German for the page on which people see where they are logged in."""

from typing import Final

SESSIONS: Final[dict[str, dict[str, str | tuple[str, ...]]]] = {
    "session": {
        "device": "{{browser}} auf {{system}}",
        "system": "Ein Browser auf {{system}}",
        "unknown": "Ein unbekanntes Gerät",
        "this": "dieser Browser",
        "from": "Angemeldet aus",
        "since": "Seit",
        "seen": "Zuletzt benutzt",
        "sites": "Seiten",
        "here": "diesem Netz",
        "private": "einem privaten Netz",
        "other": "einem anderen Netz",
        "nowhere": "nicht bekannt",
        "list": "Ihre Sitzungen",
        "end": "Diese Sitzung beenden",
        "end_others": "Alle anderen beenden",
        "only": "Sie sind sonst nirgends angemeldet.",
        "ended_one": "Eine Sitzung ist beendet.",
        "ended_many": "{{count}} Sitzungen sind beendet.",
        "more": "Es gibt weitere, die vor diesen zuletzt benutzt wurden.",
        "where": "Wo Sie angemeldet sind",
    },
    "ago": {
        "now": "gerade eben",
        "minute": "vor einer Minute",
        "minutes": "vor {{count}} Minuten",
        "hour": "vor einer Stunde",
        "hours": "vor {{count}} Stunden",
        "day": "vor einem Tag",
        "days": "vor {{count}} Tagen",
    },
}
