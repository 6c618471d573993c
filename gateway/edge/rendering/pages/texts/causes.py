"""What probably happened to a login that failed, and what whoever can mend it has to do."""

from typing import Final

MENDERS: Final[dict[str, str | tuple[str, ...]]] = {
    "you": "You can mend this yourself:",
    "operator": "Whoever runs this site can mend this:",
    "provider": "Whoever runs the login service can mend this:",
}

HAPPENED: Final[dict[str, str | tuple[str, ...]]] = {
    "no_cookies": "Your browser came back without any cookie of this site. It does not keep them, or the "
    "login began in another browser, in a private window or under another address of this site.",
    "other_login": "Your browser knows this site, but not this login. It took longer than it may, or you "
    "came "
    "by a bookmark or the browser's history.",
    "too_late": "The login took longer than it may.",
    "unreadable_cookie": "Your browser brought this login's cookie, and it cannot be read here. It was made "
    "by a server with other keys, or the keys were changed meanwhile.",
    "provider_gone": "The login service that you came from was taken out of this site's settings meanwhile.",
    "used_twice": "The answer of the login service came twice: by the back button, a second tab or a page "
    "that "
    "was loaded again.",
    "shortened": "The address that you came back by was shortened or changed on its way, or was typed.",
    "mixed_up": "The answer belongs to another login or another login service than the one that was begun.",
    "foreign_link": "You followed a link to a login that had begun in another browser, or that is over.",
    "cancelled": "The login was cancelled at the login service, or it does not let your account in here.",
    "more_at_provider": "The login service wants something more of you than this login let it ask for.",
    "provider_trouble": "The login service has a fault of its own at the moment.",
    "client_setup": "The login service does not accept how this site asks: what is registered there for this "
    "site differs from what this site sends.",
    "scope_setup": "This site asks the login service for rights that it does not give to this site.",
    "setup": "The login service does not accept how this site proves who it is, or this site cannot trust "
    "the "
    "login service's certificate or what it says of itself.",
    "code_refused": "The last step took too long, was done twice, or the login service wants another address "
    "to come back to than this site sends.",
    "clocks": "The clocks of this site and of the login service differ.",
    "claims_missing": "What the login service said of you lacks something, or has it in a form that cannot "
    "be used.",
    "wrong_client": "What the login service issued was meant for another application.",
    "wrong_issuer": "The login service calls itself by another name than this site expects.",
    "signature_setup": "What the login service signed does not fit the keys and the ways of signing that "
    "this "
    "site expects of it.",
    "cookies_lost": "Your browser does not keep, or does not send, the cookie of the session.",
    "too_many_groups": "The login service tells more of you than fits into the cookies of a browser.",
    "no_tls": "The server in front of this site says that you came without encryption.",
    "ended_meanwhile": "Your access was ended while you were logging in.",
}

MEND: Final[dict[str, str | tuple[str, ...]]] = {
    "no_cookies": "allow cookies for this site, then log in again in this very window.",
    "other_login": "log in again. If that fails too, allow cookies for this site.",
    "too_late": "log in again, without a long pause.",
    "unreadable_cookie": "all servers need the same secret_keys, the older ones for as long as logins last. "
    "Logging in again may help.",
    "provider_gone": "log in again.",
    "used_twice": "log in again.",
    "shortened": "log in again, and let the browser follow by itself.",
    "mixed_up": "compare the issuer of the provider with what it says of itself, for each provider that "
    "shares "
    "a callback. Logging in again may help.",
    "foreign_link": "open the page that you want by its own address.",
    "cancelled": "log in again, or use another account. Who may come in here is said by whoever runs the "
    "login "
    "service.",
    "more_at_provider": "open the login service by itself, do what it asks for, then log in here again.",
    "provider_trouble": "its own log says more. Try again in a few minutes.",
    "client_setup": "compare client_id, redirect URI and grant types with what is registered at the "
    "provider. "
    "gateway check prints the redirect URIs.",
    "scope_setup": "compare scopes and resource with what the provider allows this client.",
    "setup": "the log says which: compare client_id, client_secret, client_auth, redirect URI and ca_file "
    "with "
    "what the provider has.",
    "code_refused": "log in again. If it happens each time, whoever runs this site compares the redirect URI "
    "with what is registered at the provider.",
    "clocks": "set the clock of this server by the network (NTP), and compare the provider's.",
    "claims_missing": "the log names the claim. Let the provider put it into the ID token, or map it by "
    "claims.",
    "wrong_client": "compare client_id and audiences with the aud claim of the token.",
    "wrong_issuer": "issuer has to be exactly what the provider writes into iss.",
    "signature_setup": "compare algorithms with how the provider signs, and whether its jwks_uri has the "
    "key.",
    "cookies_lost": "allow cookies for this site, and switch off extensions that remove them.",
    "too_many_groups": "let the provider send fewer groups, or set session.mode: redis.",
    "no_tls": "the server in front sends X-Forwarded-Proto: https, and is one of trusted_proxies.",
    "ended_meanwhile": "log in again, if you may still come in.",
}

CAUSES: Final[dict[str, dict[str, str | tuple[str, ...]]]] = {
    "mender": MENDERS,
    "happened": HAPPENED,
    "mend": MEND,
}
