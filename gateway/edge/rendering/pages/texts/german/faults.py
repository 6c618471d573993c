"""German texts of requests that cannot be served, whoever asks."""

from typing import Final

from gateway.core.reasons import Reason
from gateway.edge.rendering.pages.texts.german.words import (
    KONTAKT,
    PROXY,
    WARTEN,
    Words,
    bad_request,
    busy,
    no_provider,
    too_large,
    words,
)

FAULTS: Final[dict[Reason, Words]] = {
    Reason.REQUEST_MALFORMED: bad_request("Was Ihr Browser gesendet hat, ist keine vollständige Anfrage."),
    Reason.PATH_AMBIGUOUS: bad_request(
        "Die Adresse dieser Seite lässt sich auf mehr als eine Art lesen und wurde zur Sicherheit abgelehnt."
    ),
    Reason.HOST_INVALID: bad_request("Der Name der Website in der Anfrage ist ungültig."),
    Reason.TLS_EXPECTED: words(
        "Diese Seite erreichen Sie über https",
        "Ihr Browser hat unverschlüsselt an einer Adresse gefragt, die verschlüsselt ist.",
        "Setzen Sie https:// statt http:// vor die Adresse.",
        KONTAKT,
    ),
    Reason.FORWARDING_UNREADABLE: bad_request(
        "Was der vorgeschaltete Proxy von dieser Anfrage sagt, ist nicht lesbar.",
        "Für die Betreiber dieser Seite: Der Abschnitt forwarding muss die Felder nennen, die der Proxy "
        "schreibt.",
    ),
    Reason.ROUTE_UNKNOWN: words(
        "Diese Seite gibt es nicht",
        "Unter dieser Adresse ist nichts veröffentlicht.",
        "Prüfen Sie die Adresse auf Tippfehler, oder beginnen Sie auf der Startseite.",
        PROXY,
    ),
    Reason.METHOD_UNSUPPORTED: bad_request("Diese Adresse nimmt Anfragen dieser Art nicht an."),
    Reason.METHOD_UNKNOWN: bad_request("Dieser Server kennt Anfragen dieser Art nicht."),
    Reason.HOST_UNKNOWN: words(
        "Diese Website gibt es nicht",
        "Unter diesem Namen ist hier keine Website zu finden.",
        "Prüfen Sie die Adresse auf Tippfehler.",
        "Für die Betreiber dieser Seite: Der Name muss einer von public_url sein, oder einer von hosts einer "
        "Route.",
        PROXY,
    ),
    Reason.LOOP_DETECTED: words(
        "Diese Seite führt zu sich selbst zurück",
        "Die Adresse wurde im Kreis gefragt, und hier wurde angehalten.",
        "Für die Betreiber dieser Seite: Ein Upstream führt zum Gateway selbst zurück.",
        KONTAKT,
    ),
    Reason.REQUEST_TIMEOUT: busy(
        "Das hat zu lange gedauert",
        "Ihr Browser hat eine Anfrage begonnen, aber nicht rechtzeitig beendet.",
    ),
    Reason.HEAD_TOO_LARGE: too_large(
        "Die Adresse oder die Cookies, die Ihr Browser gesendet hat, sind zu groß. Oft hilft es, die Cookies "
        "dieser Website zu löschen."
    ),
    Reason.BODY_TOO_LARGE: too_large("Was Sie gesendet haben, ist größer, als diese Seite annimmt."),
    Reason.EXPECTATION_FAILED: bad_request("Ihr Browser erwartet etwas, das diese Seite nicht bietet."),
    Reason.RATE_LIMITED: busy(
        "Das ging ein wenig zu schnell",
        "Von dieser Seite wurde in kurzer Zeit mehr verlangt, als jemand allein verlangen darf.",
    ),
    Reason.CLIENT_ABORTED: bad_request(
        "Die Verbindung wurde geschlossen, bevor die Anfrage vollständig war."
    ),
    Reason.OVERLOADED: busy(
        "Gerade ist sehr viel los",
        "Im Moment fragen mehr Menschen, als diese Seite zugleich bedienen kann.",
    ),
    Reason.DECIDED_ANEW: busy(
        "Bitte fragen Sie noch einmal",
        "Ihre Anfrage wurde eben abgelehnt und würde jetzt durchgelassen.",
    ),
    Reason.UPSTREAM_UNREACHABLE: busy(
        "Die Anwendung ist nicht verfügbar",
        "Die Anwendung hinter dieser Adresse antwortet nicht.",
    ),
    Reason.UPSTREAM_UNAVAILABLE: busy(
        "Die Anwendung ist nicht verfügbar",
        "Die Anwendung hinter dieser Adresse antwortet im Moment nicht.",
    ),
    Reason.UPSTREAM_TIMEOUT: busy(
        "Die Anwendung braucht zu lange",
        "Die Anwendung hinter dieser Adresse hat nicht rechtzeitig geantwortet.",
    ),
    Reason.UPSTREAM_MALFORMED: busy(
        "Die Anwendung hat nicht richtig geantwortet",
        "Was die Anwendung hinter dieser Adresse geantwortet hat, lässt sich nicht weitergeben.",
    ),
    Reason.UPSTREAM_ABORTED: busy(
        "Die Anwendung hat abgebrochen",
        "Die Anwendung hinter dieser Adresse hat die Verbindung geschlossen, bevor ihre Antwort vollständig "
        "war.",
    ),
    Reason.ISSUER_UNAVAILABLE: no_provider(),
    Reason.ISSUER_MISCONFIGURED: words(
        "Die Anmeldung ist nicht richtig eingerichtet",
        "Diese Seite und ihr Anmeldedienst passen nicht zusammen. Ändern können das allein die Betreiber "
        "dieser Seite.",
        "Nennen Sie den Betreibern dieser Seite die unten stehende Anfragenummer. Ihr Protokoll sagt, was "
        "nicht passt.",
    ),
    Reason.KEYS_UNAVAILABLE: no_provider(),
    Reason.STORE_UNAVAILABLE: busy(
        "Bitte versuchen Sie es gleich noch einmal",
        "Ein Teil dieser Seite, der Sitzungen prüft, antwortet im Moment nicht.",
    ),
    Reason.DENYLIST_STALE: busy(
        "Bitte versuchen Sie es gleich noch einmal",
        "Diese Seite kann im Moment nicht prüfen, ob Ihr Zugang entzogen wurde, und lässt niemanden ein, bis "
        "sie es kann.",
    ),
    Reason.INTERNAL_ERROR: words(
        "Etwas ist schiefgegangen",
        "Das ist ein Fehler des Gateways vor dieser Seite, nicht Ihrer.",
        WARTEN,
        KONTAKT,
    ),
}
