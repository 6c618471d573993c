"""Texts in German that have much in common."""

from typing import Final, TypeAlias

Words: TypeAlias = "dict[str, str | tuple[str, ...]]"

KONTAKT: Final = (
    "Wenn es dabei bleibt, nennen Sie den Betreibern dieser Seite die unten stehende Anfragenummer."
)
WARTEN: Final = (
    "Warten Sie {{moment}} und versuchen Sie es erneut. Waren Sie angemeldet, so sind Sie es noch immer."
)
PROXY: Final = (
    "Für die Betreiber eines vorgeschalteten Proxys: Er muss den Host senden, den der Browser gefragt hat "
    "(in nginx: proxy_set_header Host $host), oder forwarding.host nennt das Feld, in dem er ihn sendet."
)
NOCHMAL: Final = "Melden Sie sich erneut an. Was Sie gespeichert haben, geht nicht verloren."
NUMMER: Final = "nennen Sie den Betreibern dieser Seite die unten stehende Anfragenummer."
ANMELDEN: Final = "Melden Sie sich erneut an."


def words(title: str, message: str, *advice: str) -> Words:
    """Return the texts of a page."""
    return {"title": title, "message": message, "advice": advice}


def fine(message: str) -> Words:
    """Return the text of what is no refusal."""
    return words("Alles in Ordnung", message)


def log_in() -> Words:
    """Return the text that asks for a login."""
    return words("Bitte melden Sie sich an", "Diese Seite ist nur für angemeldete Personen.")


def bad_request(message: str, *advice: str) -> Words:
    """Return the text of a request that cannot be understood."""
    return words(
        "Diese Anfrage ist nicht verständlich",
        message,
        "Prüfen Sie die Adresse auf Tippfehler, oder beginnen Sie auf der Startseite.",
        *advice,
        KONTAKT,
    )


def over(message: str, *advice: str) -> Words:
    """Return the text of a session that is over."""
    return words("Ihre Sitzung ist beendet", message, *(advice or (NOCHMAL,)))


def bad_token() -> Words:
    """Return the text of a token that does not hold."""
    return words(
        "Die Anmeldung konnte nicht bestätigt werden",
        "Der Nachweis, wer Sie sind, hat nicht jede Prüfung bestanden; deshalb wurde niemand angemeldet. "
        "Meist liegt es an einer Einstellung dieser Seite oder des Anmeldedienstes, nicht an Ihnen.",
        "Melden Sie sich erneut an: Oft hilft eine neue Anmeldung.",
        KONTAKT,
    )


def bad_key() -> Words:
    """Return the text of an API key that does not hold."""
    return words(
        "Der Schlüssel dieses Programms gilt nicht",
        "Das anfragende Programm hat sich mit einem Schlüssel ausgewiesen, der für diese Seite nicht oder "
        "nicht mehr gilt.",
        "Wenn Sie das Programm betreiben, bitten Sie die Betreiber dieser Seite um einen neuen Schlüssel.",
        KONTAKT,
    )


def bad_time() -> Words:
    """Return the text of a token whose times do not hold."""
    return words(
        "Die Anmeldung konnte nicht bestätigt werden",
        "Der Nachweis, wer Sie sind, trägt ein Datum in der Vergangenheit oder in der Zukunft. Meist geht "
        "die Uhr dieser Seite oder des Anmeldedienstes falsch.",
        ANMELDEN,
        "Für die Betreiber dieser Seite: Vergleichen Sie die Uhren beider Server.",
        KONTAKT,
    )


def forbidden(message: str) -> Words:
    """Return the text for somebody who may not."""
    return words(
        "Sie dürfen diese Seite nicht öffnen",
        message,
        "Haben Sie ein anderes Konto, das es darf, so melden Sie sich damit an; melden Sie sich vorher ab, "
        "wenn Sie nicht nach dem Konto gefragt werden.",
        "Sonst bitten Sie die Betreiber dieser Seite um Zugang, und nennen Sie ihnen die unten stehende "
        "Anfragenummer.",
    )


def step_up(message: str) -> Words:
    """Return the text that asks for another authentication."""
    return words(
        "Bitte bestätigen Sie, dass Sie es sind",
        message,
        "Melden Sie sich noch einmal an.",
        "Haben Sie das gerade getan, so kann Ihr Konto nicht, was hier verlangt wird: Nehmen Sie ein "
        "anderes, oder " + NUMMER,
    )


def busy(title: str, message: str) -> Words:
    """Return the text of what may work in a moment."""
    return words(title, message, WARTEN, KONTAKT)


def no_provider() -> Words:
    """Return the text of a provider that is no use at the moment."""
    return words(
        "Der Anmeldedienst ist nicht verfügbar",
        "Der Dienst, der prüft, wer Sie sind, antwortet gerade nicht oder nicht so, wie er sollte.",
        WARTEN,
        "Hilft Warten nicht und wird Ihnen eine Anmeldung angeboten, so nutzen Sie sie: Sie ersetzt Ihre "
        "Sitzung.",
        KONTAKT,
    )


def too_large(message: str) -> Words:
    """Return the text of what is larger than allowed."""
    return words("Das war zu viel auf einmal", message, KONTAKT)
