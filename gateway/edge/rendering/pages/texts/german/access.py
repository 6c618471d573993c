"""German texts of who may and who may not: credentials, tokens, sessions, policies."""

from typing import Final

from gateway.core.reasons import Reason
from gateway.edge.rendering.pages.texts.german.words import (
    ANMELDEN,
    NUMMER,
    Words,
    bad_key,
    bad_request,
    bad_time,
    bad_token,
    fine,
    forbidden,
    log_in,
    over,
    step_up,
    words,
)

ACCESS: Final[dict[Reason, Words]] = {
    Reason.PUBLIC: fine("Diese Seite steht allen offen."),
    Reason.AUTHENTICATED: fine("Sie sind angemeldet."),
    Reason.ANONYMOUS: fine("Diese Seite steht auch Personen offen, die nicht angemeldet sind."),
    Reason.PREFLIGHT: fine("Der Browser darf diese Anfrage senden."),
    Reason.SERVER_OPTIONS: fine("Diese Methoden sind hier bekannt."),
    Reason.KEYS_PUBLISHED: fine("Dies sind die Schlüssel, an denen man diese Seite erkennt."),
    Reason.METADATA_PUBLISHED: fine("Das müssen Programme von dieser Adresse wissen."),
    Reason.LOGO_SHOWN: fine("Dies ist das Logo dieser Seite."),
    Reason.USERINFO: fine("Als diese Person sind Sie angemeldet."),
    Reason.SESSIONS_SHOWN: words(
        "Wo Sie angemeldet sind", "Auf diesen Geräten sind Sie mit diesem Konto angemeldet."
    ),
    Reason.SESSIONS_ENDED: fine("Die Sitzungen sind beendet."),
    Reason.NO_SUCH_SESSION: words(
        "Diese Sitzung gibt es nicht", "Sie ist inzwischen beendet, oder sie war nie eine von Ihren."
    ),
    Reason.LOGIN_REQUIRED: log_in(),
    Reason.CREDENTIALS_MISSING: log_in(),
    Reason.CREDENTIALS_CONFLICT: bad_request(
        "Die Anfrage sagt auf zwei Arten, wer Sie sind, und beide widersprechen einander."
    ),
    **dict.fromkeys(
        (
            Reason.TOKEN_MALFORMED,
            Reason.TOKEN_ALGORITHM,
            Reason.TOKEN_SIGNATURE,
            Reason.TOKEN_KEY_UNKNOWN,
            Reason.TOKEN_ISSUER,
            Reason.TOKEN_AUDIENCE,
            Reason.TOKEN_TYPE,
            Reason.TOKEN_CLAIMS,
            Reason.TOKEN_NONCE,
            Reason.TOKEN_HASH,
            Reason.TOKEN_INACTIVE,
            Reason.TOKEN_UNBOUND,
            Reason.PROOF_MISSING,
            Reason.PROOF_INVALID,
            Reason.PROOF_EXPIRED,
            Reason.PROOF_NONCE,
            Reason.PROOF_REPLAYED,
        ),
        bad_token(),
    ),
    Reason.TOKEN_EXPIRED: bad_time(),
    Reason.TOKEN_NOT_YET_VALID: bad_time(),
    Reason.KEY_UNKNOWN: bad_key(),
    Reason.KEY_EXPIRED: bad_key(),
    Reason.SESSION_INVALID: over("Die Sitzung, die Ihr Browser sich gemerkt hat, gilt hier nicht mehr."),
    Reason.SESSION_EXPIRED: over(
        "Sie waren eine Weile nicht hier, oder Ihre Sitzung hat die längste erlaubte Dauer erreicht."
    ),
    Reason.SESSION_ENDED: over(
        "Der Anmeldedienst hat Ihre Sitzung beendet, zum Beispiel weil Sie sich anderswo abgemeldet oder Ihr "
        "Passwort geändert haben."
    ),
    Reason.SESSION_REUSED: over(
        "Eine alte Kopie Ihrer Sitzung wurde noch einmal benutzt. Das kann heißen, dass jemand anderes eine "
        "Kopie hat; zu Ihrem Schutz wurde die Sitzung überall beendet.",
        ANMELDEN,
        "Falls Sie nicht selbst eine alte Sicherung dieses Browsers eingespielt haben, ändern Sie Ihr "
        "Passwort und sagen Sie den Betreibern dieser Seite Bescheid.",
    ),
    Reason.SESSION_TOO_LARGE: over(
        "Ihr Konto hat mehr Angaben oder Gruppen, als diese Seite in einer Sitzung behalten kann; deshalb "
        "musste sie enden.",
        "Melden Sie sich erneut an. Gelingt auch das nicht, " + NUMMER,
    ),
    Reason.CLAIMS_TOO_OLD: over(
        "Der Anmeldedienst hat Ihre Rechte hier vor längerer Zeit bestätigt und muss es noch einmal tun."
    ),
    Reason.ACCESS_TOKEN_MISSING: over(
        "Diese Seite arbeitet mit dem, was der Anmeldedienst bei Ihrer Anmeldung ausgestellt hat, und das "
        "ist abgelaufen."
    ),
    Reason.REFRESH_LOST: over(
        "Ihre Sitzung konnte nicht erneuert werden, weil eine Antwort des Anmeldedienstes verloren ging."
    ),
    Reason.REVOKED: over(
        "Ihr Zugang wurde entzogen: Sie haben sich abgemeldet, oder Ihre Sitzung wurde beendet.",
        "Dürfen Sie diese Seite weiterhin nutzen, so melden Sie sich erneut an.",
        "Haben Sie das nicht erwartet, " + NUMMER,
    ),
    Reason.SCOPE_MISSING: forbidden("Ihre Anmeldung enthält nicht das Recht, das diese Seite verlangt."),
    Reason.GROUP_MISSING: forbidden(
        "Diese Seite ist für Mitglieder einer Gruppe, zu der Ihr Konto nicht gehört."
    ),
    Reason.ROLE_MISSING: forbidden("Diese Seite ist für Personen mit einer Rolle, die Ihr Konto nicht hat."),
    Reason.NETWORK_FORBIDDEN: forbidden(
        "Diese Seite lässt sich nur aus bestimmten Netzen öffnen, und Sie sind in keinem davon."
    ),
    Reason.POLICY_UNMET: forbidden("Ihr Konto erfüllt die Bedingungen dieser Seite nicht."),
    Reason.CLAIM_MISMATCH: forbidden("Ihr Konto erfüllt eine Bedingung dieser Seite nicht."),
    Reason.EXCHANGE_REFUSED: forbidden(
        "Der Anmeldedienst lässt Ihr Konto die Anwendung hinter dieser Seite nicht benutzen."
    ),
    Reason.METHOD_FORBIDDEN: forbidden("Ihr Konto darf hier nichts ändern."),
    Reason.AUTHENTICATION_TOO_WEAK: step_up(
        "Diese Seite verlangt eine stärkere Anmeldung als die Ihre, zum Beispiel mit einem zweiten Faktor."
    ),
    Reason.AUTHENTICATION_TOO_OLD: step_up(
        "Diese Seite verlangt eine frische Anmeldung, und Ihre liegt eine Weile zurück."
    ),
    Reason.ASKER_UNTRUSTED: forbidden(
        "Diese Adresse ist für den vorgeschalteten Proxy bestimmt, und als solcher sind Sie nicht bekannt."
    ),
    Reason.ORIGINAL_UNREADABLE: forbidden(
        "Was der vorgeschaltete Proxy von dieser Anfrage sagt, fehlt oder ist nicht lesbar."
    ),
    Reason.IDENTITY_FORGED: bad_request(
        "Die Anfrage sagt auf eigene Weise, wer Sie sind, und wurde zur Sicherheit abgelehnt."
    ),
    Reason.ORIGIN_FORBIDDEN: words(
        "Das kam von einer anderen Website",
        "Die Anfrage kam von einer Seite einer anderen Website und wurde zur Sicherheit abgelehnt.",
        "Wollten Sie das tun, so gehen Sie auf die Startseite und tun Sie es von dort aus.",
    ),
}
