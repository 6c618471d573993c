"""German for what probably happened to a login that failed, and what whoever can mend it has to do."""

from typing import Final

MENDERS: Final[dict[str, str | tuple[str, ...]]] = {
    "you": "Beheben können Sie das selbst:",
    "operator": "Beheben können das die Betreiber dieser Seite:",
    "provider": "Beheben können das die Betreiber des Anmeldedienstes:",
}

HAPPENED: Final[dict[str, str | tuple[str, ...]]] = {
    "no_cookies": "Ihr Browser kam ohne jedes Cookie dieser Website zurück. Er behält sie nicht, oder die "
    "Anmeldung begann in einem anderen Browser, in einem privaten Fenster oder unter einer anderen Adresse "
    "dieser "
    "Website.",
    "other_login": "Ihr Browser kennt diese Website, aber nicht diese Anmeldung. Sie hat länger gedauert, "
    "als sie "
    "darf, oder Sie kamen über ein Lesezeichen oder den Verlauf.",
    "too_late": "Die Anmeldung hat länger gedauert, als sie darf.",
    "unreadable_cookie": "Ihr Browser brachte das Cookie dieser Anmeldung mit, aber es ist hier nicht "
    "lesbar. Ein "
    "Server mit anderen Schlüsseln hat es gemacht, oder die Schlüssel wurden inzwischen gewechselt.",
    "provider_gone": "Der Anmeldedienst, von dem Sie kommen, wurde inzwischen aus den Einstellungen dieser "
    "Website genommen.",
    "used_twice": "Die Antwort des Anmeldedienstes kam zweimal: durch die Zurück-Taste, einen zweiten Tab "
    "oder "
    "eine neu geladene Seite.",
    "shortened": "Die Adresse, über die Sie zurückkamen, wurde unterwegs gekürzt oder verändert oder von "
    "Hand "
    "eingegeben.",
    "mixed_up": "Die Antwort gehört zu einer anderen Anmeldung oder einem anderen Anmeldedienst als dem, "
    "bei dem "
    "sie begann.",
    "foreign_link": "Sie sind einem Link zu einer Anmeldung gefolgt, die in einem anderen Browser begann "
    "oder "
    "vorbei ist.",
    "cancelled": "Die Anmeldung wurde beim Anmeldedienst abgebrochen, oder er lässt Ihr Konto hier nicht "
    "ein.",
    "more_at_provider": "Der Anmeldedienst will von Ihnen noch etwas, wonach er bei dieser Anmeldung nicht "
    "fragen "
    "durfte.",
    "provider_trouble": "Der Anmeldedienst hat im Moment selbst eine Störung.",
    "client_setup": "Der Anmeldedienst nimmt nicht an, wie diese Website fragt: Was dort für sie "
    "eingetragen ist, "
    "unterscheidet sich von dem, was sie sendet.",
    "scope_setup": "Diese Website bittet den Anmeldedienst um Rechte, die er ihr nicht gibt.",
    "setup": "Der Anmeldedienst nimmt nicht an, wie diese Website sich ausweist, oder diese Website kann dem "
    "Zertifikat des Anmeldedienstes oder dem, was er von sich sagt, nicht trauen.",
    "code_refused": "Der letzte Schritt dauerte zu lange oder geschah zweimal, oder der Anmeldedienst "
    "erwartet "
    "eine andere Rückkehradresse, als diese Website sendet.",
    "clocks": "Die Uhren dieser Website und des Anmeldedienstes gehen verschieden.",
    "claims_missing": "In dem, was der Anmeldedienst über Sie sagte, fehlt etwas, oder es hat eine Form, "
    "die nicht "
    "zu gebrauchen ist.",
    "wrong_client": "Was der Anmeldedienst ausgestellt hat, war für eine andere Anwendung bestimmt.",
    "wrong_issuer": "Der Anmeldedienst nennt sich anders, als diese Website erwartet.",
    "signature_setup": "Was der Anmeldedienst unterschrieben hat, passt nicht zu den Schlüsseln und "
    "Verfahren, die "
    "diese Website von ihm erwartet.",
    "cookies_lost": "Ihr Browser behält oder sendet das Cookie der Sitzung nicht.",
    "too_many_groups": "Der Anmeldedienst sagt mehr über Sie, als in die Cookies eines Browsers passt.",
    "no_tls": "Der vorgeschaltete Server sagt, dass Sie unverschlüsselt kamen.",
    "ended_meanwhile": "Ihr Zugang wurde beendet, während Sie sich anmeldeten.",
}

MEND: Final[dict[str, str | tuple[str, ...]]] = {
    "no_cookies": "Erlauben Sie Cookies für diese Website, und melden Sie sich in genau diesem Fenster "
    "erneut an.",
    "other_login": "Melden Sie sich erneut an. Gelingt auch das nicht, so erlauben Sie Cookies für diese "
    "Website.",
    "too_late": "Melden Sie sich erneut an, ohne lange Pause.",
    "unreadable_cookie": "Alle Server brauchen dieselben secret_keys, die älteren noch so lange, wie "
    "Anmeldungen "
    "dauern. Eine neue Anmeldung hilft vielleicht.",
    "provider_gone": "Melden Sie sich erneut an.",
    "used_twice": "Melden Sie sich erneut an.",
    "shortened": "Melden Sie sich erneut an, und lassen Sie den Browser von selbst weitergehen.",
    "mixed_up": "Vergleichen Sie issuer mit dem, was der Anmeldedienst von sich sagt, bei jedem, der sich "
    "eine "
    "Rückkehradresse teilt. Eine neue Anmeldung hilft vielleicht.",
    "foreign_link": "Öffnen Sie die gewünschte Seite über ihre eigene Adresse.",
    "cancelled": "Melden Sie sich erneut an, oder nehmen Sie ein anderes Konto. Wer hier hereindarf, sagen "
    "die "
    "Betreiber des Anmeldedienstes.",
    "more_at_provider": "Öffnen Sie den Anmeldedienst für sich, tun Sie, worum er bittet, und melden Sie "
    "sich hier "
    "erneut an.",
    "provider_trouble": "Mehr sagt dessen eigenes Protokoll. Versuchen Sie es in ein paar Minuten noch "
    "einmal.",
    "client_setup": "Vergleichen Sie client_id, Rückkehradresse (redirect URI) und Verfahren (grant types) "
    "mit dem, "
    "was beim Anmeldedienst eingetragen ist. gateway check nennt die Rückkehradressen.",
    "scope_setup": "Vergleichen Sie scopes und resource mit dem, was der Anmeldedienst diesem Client "
    "erlaubt.",
    "setup": "Das Protokoll sagt, was davon: Vergleichen Sie client_id, client_secret, client_auth, die "
    "Rückkehradresse (redirect URI) und ca_file mit dem, was der Anmeldedienst hat.",
    "code_refused": "Melden Sie sich erneut an. Geschieht es jedes Mal, so vergleichen die Betreiber "
    "dieser Seite "
    "die Rückkehradresse (redirect URI) mit der beim Anmeldedienst eingetragenen.",
    "clocks": "Stellen Sie die Uhr dieses Servers über das Netz (NTP), und vergleichen Sie die des "
    "Anmeldedienstes.",
    "claims_missing": "Das Protokoll nennt den Claim. Lassen Sie ihn vom Anmeldedienst in das ID-Token "
    "schreiben, "
    "oder bilden Sie ihn mit claims ab.",
    "wrong_client": "Vergleichen Sie client_id und audiences mit dem Claim aud des Tokens.",
    "wrong_issuer": "issuer muss genau das sein, was der Anmeldedienst in iss schreibt.",
    "signature_setup": "Vergleichen Sie algorithms mit den Verfahren des Anmeldedienstes, und ob seine "
    "jwks_uri "
    "den Schlüssel enthält.",
    "cookies_lost": "Erlauben Sie Cookies für diese Website, und schalten Sie Erweiterungen aus, die sie "
    "entfernen.",
    "too_many_groups": "Lassen Sie den Anmeldedienst weniger Gruppen senden, oder setzen Sie session.mode: "
    "redis.",
    "no_tls": "Der vorgeschaltete Server sendet X-Forwarded-Proto: https und ist einer der trusted_proxies.",
    "ended_meanwhile": "Melden Sie sich erneut an, sofern Sie noch hereindürfen.",
}

CAUSES: Final[dict[str, dict[str, str | tuple[str, ...]]]] = {
    "mender": MENDERS,
    "happened": HAPPENED,
    "mend": MEND,
}
