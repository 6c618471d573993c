"""German texts of logins and logouts."""

from typing import Final

from gateway.core.reasons import Reason
from gateway.edge.rendering.pages.texts.german.words import ANMELDEN, KONTAKT, NUMMER, Words, fine, words

_ADRESSE: Final = (
    "Benutzen Sie die Adresse dieser Website, die Sie sonst benutzen: http statt https, oder ein anderer "
    "Name, ist für Ihren Browser eine andere Website."
)

LOGGED_OUT_EVERYWHERE: Final = words(
    "Sie sind abgemeldet",
    "Ihre Sitzung hier ist in jedem Tab dieses Browsers beendet, und ebenso die Anmeldung des Kontos, mit "
    "dem Sie sich angemeldet hatten.",
)

PAGE_LOST: Final = words(
    "Sie sind angemeldet",
    "Die Adresse der gewünschten Seite war zu lang, um sie sich während der Anmeldung zu merken.",
    "Öffnen Sie die Seite noch einmal: Gehen Sie in diesem Browser zurück, oder folgen Sie dem Link noch "
    "einmal.",
)

LOGINS: Final[dict[Reason, Words]] = {
    Reason.LOGIN_STARTED: fine("Eine Anmeldung hat begonnen."),
    Reason.PROVIDER_CHOICE: words(
        "Wo möchten Sie sich anmelden?", "Wählen Sie den Dienst, bei dem Sie ein Konto haben."
    ),
    Reason.LOGIN_COMPLETED: fine("Sie sind angemeldet."),
    Reason.LOGIN_RETURNED: fine(
        "Der Anmeldedienst hat mit einem Formular geantwortet; die Anmeldung geht weiter."
    ),
    Reason.LOGIN_EVICTED: fine(
        "In diesem Browser wurden so viele Anmeldungen begonnen, dass diese vergessen wurde; sie beginnt von "
        "Neuem."
    ),
    Reason.ALREADY_LOGGED_IN: fine("Sie sind schon angemeldet."),
    Reason.TICKET_GIVEN: words("Sie sind angemeldet", "Es geht weiter zu der Seite, von der Sie kamen."),
    Reason.SITE_JOINED: fine("Sie sind auch bei dieser Website angemeldet."),
    Reason.LOGGED_OUT: words(
        "Sie sind abgemeldet",
        "Ihre Sitzung hier ist in jedem Tab dieses Browsers beendet. Das Konto, mit dem Sie sich angemeldet "
        "hatten, kann noch offen sein: Melden Sie sich an einem gemeinsam genutzten Computer auch dort ab, "
        "oder schließen Sie den Browser.",
    ),
    Reason.LOGOUT_CONFIRM: words("Abmelden?", "Das beendet Ihre Sitzung hier in jedem Tab dieses Browsers."),
    Reason.LOGIN_STATE_UNKNOWN: words(
        "Diese Anmeldung lässt sich nicht abschließen",
        "Sie kommen vom Anmeldedienst zurück, aber dieser Browser weiß nicht, dass er diese Anmeldung "
        "begonnen hat. Sie hat länger gedauert, als sie darf, sie begann anderswo, oder der Browser hat ihr "
        "Cookie nicht behalten.",
        "Melden Sie sich erneut an. Benutzen Sie dafür kein Lesezeichen und keinen Eintrag des Verlaufs, der "
        "zur Anmeldung selbst führt.",
        "Beenden Sie eine Anmeldung in dem Browser, Profil oder privaten Fenster, in dem sie begann.",
        "Geschieht es wieder, so erlauben Sie in Ihrem Browser Cookies für diese Website.",
        _ADRESSE,
    ),
    Reason.LOGIN_STATE_REPLAYED: words(
        "Diese Anmeldung wurde schon benutzt",
        "Eine Anmeldung lässt sich nur einmal abschließen, und bei dieser ist das geschehen. Dazu kommt es "
        "nach der Zurück-Taste, oder wenn die Seite zweimal geöffnet wurde.",
        ANMELDEN,
        "Haben Sie das nicht selbst getan, " + NUMMER,
    ),
    Reason.LOGIN_RESPONSE_MALFORMED: words(
        "Diese Anmeldung lässt sich nicht abschließen",
        "Die Antwort des Anmeldedienstes ist unvollständig. Dazu kommt es, wenn die Adresse unterwegs "
        "gekürzt oder verändert oder von Hand geöffnet wurde.",
        ANMELDEN,
        KONTAKT,
    ),
    Reason.LOGIN_ISSUER_MISMATCH: words(
        "Diese Anmeldung kam von anderswo",
        "Die Antwort kam nicht von dem Anmeldedienst, der gefragt wurde, und wurde zur Sicherheit abgelehnt.",
        "Melden Sie sich von der Startseite aus erneut an, nicht über einen Link, den Ihnen jemand geschickt "
        "hat.",
        KONTAKT,
    ),
    Reason.LOGIN_DENIED: words(
        "Der Anmeldedienst hat die Anmeldung abgelehnt",
        "Sie wurden nicht angemeldet: Die Anmeldung wurde abgebrochen, oder der Anmeldedienst hat sie "
        "abgelehnt. Sein eigenes Wort für den Grund steht unten.",
        "Haben Sie versehentlich abgebrochen, so melden Sie sich erneut an.",
        "Lehnt der Anmeldedienst Sie ab, so nehmen Sie ein anderes Konto, oder bitten Sie dessen Betreiber "
        "um Zugang.",
    ),
    Reason.LOGIN_REFUSED: words(
        "Die Anmeldung ließ sich nicht abschließen",
        "Der Anmeldedienst hat den letzten Schritt der Anmeldung nicht angenommen. Dazu kommt es, wenn zu "
        "viel Zeit vergangen ist.",
        ANMELDEN,
        KONTAKT,
    ),
    Reason.LOGIN_LOOP: words(
        "Die Anmeldung beginnt immer wieder von vorn",
        "Sie haben sich mehrmals nacheinander angemeldet, und jedes Mal kam Ihr Browser ohne die Sitzung "
        "zurück. Hier wurde angehalten, statt Sie für immer im Kreis zu schicken.",
        "Erlauben Sie Cookies für diese Website, und schalten Sie Erweiterungen aus, die sie entfernen.",
        "Prüfen Sie die Uhr Ihres Geräts: Geht sie falsch, laufen Cookies sofort ab.",
        _ADRESSE,
        "Für die Betreiber dieser Seite: public_url muss sein, was der Browser zeigt, die Uhr muss stimmen, "
        "und kein vorgeschalteter Proxy darf Set-Cookie entfernen.",
    ),
    Reason.LOGIN_INSECURE: words(
        "Anmelden können Sie sich nur über https",
        "Diese Anfrage kam allem Anschein nach unverschlüsselt, und so würde Ihr Browser die Anmeldung nicht "
        "behalten.",
        "Setzen Sie https:// statt http:// vor die Adresse.",
        "Für die Betreiber dieser Seite: Der vorgeschaltete Proxy muss für alles, was über TLS kam, "
        "X-Forwarded-Proto: https senden (in nginx: proxy_set_header X-Forwarded-Proto $scheme), oder "
        "forwarding.scheme nennt das Feld, in dem er es tut.",
    ),
    Reason.TICKET_REFUSED: words(
        "Diese Anmeldung lässt sich nicht abschließen",
        "Sie kamen mit einer Anmeldung hierher, die anderswo begann, schon benutzt wurde oder unterwegs zu "
        "lange brauchte.",
        "Öffnen Sie die gewünschte Seite noch einmal: Sie werden von selbst angemeldet oder danach gefragt.",
        "Benutzen Sie keinen Link zu einer Anmeldung, den Ihnen jemand geschickt hat.",
        "Geschieht es wieder, so erlauben Sie in Ihrem Browser Cookies für diese Website.",
    ),
    Reason.LOGIN_COOKIE_TOO_LARGE: words(
        "Ihr Konto passt nicht in eine Sitzung",
        "Sie wurden erkannt, aber was der Anmeldedienst über Sie sagt (oft eine lange Liste von Gruppen), "
        "passt nicht in das, was ein Browser behalten kann. Die Größe steht unten. Eine neue Anmeldung hilft "
        "nicht.",
        "Haben Sie ein Konto mit weniger Gruppen, so benutzen Sie dieses.",
        "Sagen Sie den Betreibern dieser Seite: Weniger Gruppen im ID-Token helfen, oder Sitzungen im "
        "Speicher des Gateways.",
    ),
}
