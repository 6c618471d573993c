"""Why a login failed, in an operator's words: the probable cause, and what to look at.

One table for ``gateway doctor``, docs/troubleshooting.md and whatever else tells an operator; what a person
is told stands with the pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.core.reasons import Reason

_AGAIN: Final = "gateway doctor --url walks through a login and looks at the cookies"
_CLOCKS: Final = "synchronise the clocks of both sides (NTP); clock_skew bounds what is forgiven"
_ONLINE: Final = "gateway check --online asks the provider"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The probable cause of a failed login, and what to look at or change, likeliest first."""

    cause: str
    look: tuple[str, ...]


DIAGNOSES: Final[Mapping[Reason, Diagnosis]] = {
    Reason.LOGIN_STATE_UNKNOWN: Diagnosis(
        "The browser came back from the provider without the cookie of the login that it began.",
        (
            "public_url is to be what the address bar shows: scheme, host and port",
            "the person took longer than session.login_lifetime, or began in another browser",
            "the browser blocks cookies, or a proxy in front drops Set-Cookie",
            "with response_mode: form_post the cookie goes over https alone",
            _AGAIN,
        ),
    ),
    Reason.LOGIN_STATE_REPLAYED: Diagnosis(
        "The same answer of the provider came twice: the back button, or a copied address.",
        ("nothing, where it is rare", "several gateways for one site: they have to share one store"),
    ),
    Reason.LOGIN_RESPONSE_MALFORMED: Diagnosis(
        "What came to the callback is no answer of a provider: no code or state, or a parameter twice.",
        (
            "a proxy in front cuts or rewrites the query",
            "response_mode: query, unless the provider insists on form_post",
            "somebody called the callback by hand, or from a bookmark",
        ),
    ),
    Reason.LOGIN_ISSUER_MISMATCH: Diagnosis(
        "The answer says that it is of another issuer, says none though it ought to, or came by another"
        " provider's callback.",
        (
            "providers.*.issuer is to be what the provider calls itself, to the last character",
            "each provider has its own callback: register at each the URI that gateway check prints for it",
            "a provider that does not send iss and says that it does: a fault of its metadata",
            "else an attack (mix-up): look whose answer it was",
        ),
    ),
    Reason.LOGIN_DENIED: Diagnosis(
        "The provider refused, and said why: its error is the detail of audit event login.",
        (
            "access_denied: the person declined, or may not use this application there",
            "invalid_scope: providers.*.scopes names one that the client may not have",
            "unauthorized_client, unsupported_response_type: allow the client the authorization code flow",
            "temporarily_unavailable, server_error: look at the provider",
        ),
    ),
    Reason.LOGIN_REFUSED: Diagnosis(
        "The provider did not take the code: its error is the detail of audit event login.",
        (
            "invalid_grant: the code was too old or used, or the redirect URI or PKCE is not as it was",
            "invalid_client: client_id, client_secret and client_auth",
            "several gateways for one site: they have to share one store and secret_keys",
            _ONLINE,
        ),
    ),
    Reason.LOGIN_LOOP: Diagnosis(
        "The person logged in again and again, and each time the browser lost the session.",
        (
            "public_url is to be what the address bar shows: a cookie of another host is never sent",
            "https in public_url and http in the browser: cookies are Secure",
            "a proxy in front drops Set-Cookie, or takes only one of several, or only short ones",
            "the clock of the gateway jumps, or several gateways differ in secret_keys",
            _AGAIN,
        ),
    ),
    Reason.LOGIN_INSECURE: Diagnosis(
        "The site is https, and the request came by http, as far as the gateway is told.",
        (
            "let the proxy in front send X-Forwarded-Proto: https",
            "name that proxy's network in trusted_proxies, and the field in forwarding.scheme",
            "else people use http: redirect them in front",
        ),
    ),
    Reason.LOGIN_COOKIE_TOO_LARGE: Diagnosis(
        "What the provider tells of this person does not fit into four cookies of 4,096 bytes.",
        (
            "session.mode: redis keeps it in the store instead",
            "ask the provider for fewer groups or claims: for those of this application alone",
            "Entra ID: groups_overage, or roles in place of groups",
        ),
    ),
    Reason.TICKET_REFUSED: Diagnosis(
        "A site did not take the login of login_host: it began elsewhere, was used, or took too long.",
        (
            "the detail of audit event site_refused says which",
            "cookies of the site are blocked, or public_url is not what the address bar shows",
            "the clocks of several gateways differ by more than 30 s",
        ),
    ),
    Reason.TOKEN_MALFORMED: Diagnosis(
        "No ID token came, or none that is a signed JWT.",
        (
            "openid has to be among what the client may ask for",
            "encrypted ID tokens are not taken: switch encryption off at the provider",
            "kind: oauth2 is for a provider without OpenID Connect",
        ),
    ),
    Reason.TOKEN_ALGORITHM: Diagnosis(
        "The ID token is signed in a way that providers.*.algorithms does not name, or that its key forbids.",
        ("add the algorithm, or let the provider sign with RS256 or ES256; HS256 is never taken", _ONLINE),
    ),
    Reason.TOKEN_SIGNATURE: Diagnosis(
        "The signature of the ID token does not fit the provider's key of that name.",
        (
            "the provider has changed a key and kept its kid: its caches, or several servers with other keys",
            "jwks_uri, or a proxy, leads to another tenant or realm",
        ),
    ),
    Reason.TOKEN_KEY_UNKNOWN: Diagnosis(
        "The ID token names a key that the provider does not publish.",
        ("jwks_uri leads to another tenant or realm, or to a stale copy", _ONLINE),
    ),
    Reason.TOKEN_ISSUER: Diagnosis(
        "The ID token is of another issuer than providers.*.issuer.",
        (
            "compare them to the last character: a final slash and upper case count",
            "Entra ID: the tenant's own issuer with /v2.0, not common, and requestedAccessTokenVersion 2",
            "a provider behind a proxy is to know its public name (Keycloak: hostname)",
        ),
    ),
    Reason.TOKEN_AUDIENCE: Diagnosis(
        "The ID token is for another client, or for others as well.",
        (
            "claim aud or azp says which: compare client_id",
            "id_token_audiences names others that it may be for",
        ),
    ),
    Reason.TOKEN_TYPE: Diagnosis(
        "What came as an ID token says that it is something else.",
        ("the provider mixes up its tokens: look at the client's settings there",),
    ),
    Reason.TOKEN_CLAIMS: Diagnosis(
        "A claim is missing or of the wrong form: claim in the audit event says which.",
        (
            "sub, exp and iat are to be there: look at the claims that the provider maps",
            "UserInfo that names another sub than the ID token: a fault of the provider",
        ),
    ),
    Reason.TOKEN_EXPIRED: Diagnosis(
        "The ID token had expired when it came: the clocks differ, and detail says by how much.",
        (_CLOCKS, "ID tokens that live for seconds: let the provider give them minutes"),
    ),
    Reason.TOKEN_NOT_YET_VALID: Diagnosis(
        "The ID token begins in the future: the provider's clock is ahead, and detail says by how much.",
        (_CLOCKS,),
    ),
    Reason.TOKEN_NONCE: Diagnosis(
        "The ID token belongs to another login.",
        ("a provider, or a proxy before it, that caches answers", "else an attack: look whose code it was"),
    ),
    Reason.TOKEN_HASH: Diagnosis(
        "The ID token does not belong to the access token that came with it.",
        ("a fault of the provider: at_hash (OpenID Connect Core section 3.1.3.6)",),
    ),
    Reason.REVOKED: Diagnosis(
        "The login is revoked: somebody ended everything of this person, provider or session.",
        ("gateway audit list --event revocation says who did, and until when it holds",),
    ),
    Reason.SESSION_EXPIRED: Diagnosis(
        "The session ended at the moment of the login.",
        ("session.without_refresh and absolute_lifetime are too short, or the clock jumps",),
    ),
    Reason.SESSION_ENDED: Diagnosis(
        "The session of the other sites has ended while this site was joined.",
        ("log in again", "sessions that end at once: gateway audit list tells what ended them"),
    ),
    Reason.RATE_LIMITED: Diagnosis(
        "Too many logins from one address: limits.logins_per_address.",
        (
            "people behind one address (a company's, a proxy's): raise it",
            "a proxy in front that is not in trusted_proxies makes everybody one address",
        ),
    ),
    Reason.METHOD_UNSUPPORTED: Diagnosis(
        "The callback was asked in another way than a provider's answer comes.",
        (
            "response_mode: form_post, where the provider posts its answer",
            "a proxy in front changes the method",
        ),
    ),
    Reason.REQUEST_MALFORMED: Diagnosis(
        "The address that begins a login has a query that cannot be read, or wishes that cannot be met.",
        ("look at the link: docs/logins.md names its parameters",),
    ),
    Reason.ISSUER_UNAVAILABLE: Diagnosis(
        "The provider did not answer, or not with what it ought to.",
        ("the error log of the same request_id says which call, and why", _ONLINE),
    ),
    Reason.ISSUER_MISCONFIGURED: Diagnosis(
        "The provider refuses the gateway as a client, or is not who the configuration says.",
        ("client_id, client_secret, client_auth, issuer", "the error log of the same request_id", _ONLINE),
    ),
    Reason.KEYS_UNAVAILABLE: Diagnosis(
        "The provider's keys cannot be fetched, and the last ones are too old.",
        ("is its jwks_uri reached from here?", _ONLINE),
    ),
    Reason.STORE_UNAVAILABLE: Diagnosis(
        "The store does not answer, and a login has to be marked as used there.",
        ("gateway check --online asks the store", "/readyz and the error log say what is wrong with it"),
    ),
    Reason.DENYLIST_STALE: Diagnosis(
        "The store has been away for longer than denylist.max_staleness.",
        ("gateway check --online asks the store", "/readyz and the error log say what is wrong with it"),
    ),
    Reason.CREDENTIALS_MISSING: Diagnosis(
        "Nobody is logged in, and the request was not a browser's that opens a page.",
        ("a script gets 401 and has to lead its page to the login: docs/logins.md",),
    ),
    Reason.HOST_UNKNOWN: Diagnosis(
        "The name in the address bar, or what the proxy in front makes of it, is in no public_url.",
        (
            "add the site to public_url",
            "let the proxy in front pass Host on (nginx: proxy_set_header Host $http_host): see forwarding",
        ),
    ),
    Reason.INTERNAL_ERROR: Diagnosis(
        "A fault of the gateway.",
        ("the error log of the same request_id has the kind and the place: please report both",),
    ),
}
"""By reason: every one that a login can end with."""
