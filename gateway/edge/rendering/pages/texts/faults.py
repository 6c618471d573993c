"""Texts of requests that cannot be served: unreadable, too much, to nowhere, or what is behind is away."""

from typing import Final

from gateway.core.reasons import Reason
from gateway.edge.rendering.pages.texts.text import (
    CONTACT,
    PROXY,
    WAIT,
    Text,
    bad_request,
    busy,
    no_provider,
    too_large,
)

FAULTS: Final[dict[Reason, Text]] = {
    Reason.REQUEST_MALFORMED: bad_request(
        "The request is not well-formed.", "What your browser sent is not a complete request."
    ),
    Reason.PATH_AMBIGUOUS: bad_request(
        "The path can be read in more than one way, so no rule can judge it.",
        "The address of this page can be read in more than one way, so it was refused for safety.",
    ),
    Reason.HOST_INVALID: bad_request(
        "The Host field is missing, repeated or not valid.",
        "The name of the site in the request is not valid.",
    ),
    Reason.TLS_EXPECTED: Text(
        "This port speaks https, and the request came without TLS.",
        "This site is reached by https",
        "Your browser asked without encryption at an address that is encrypted.",
        ("Put https:// in front of the address instead of http://.", CONTACT),
        tone="ask",
    ),
    Reason.FORWARDING_UNREADABLE: bad_request(
        "The field in which the proxy in front tells of the client cannot be read.",
        "What the proxy in front of this site tells of this request cannot be read.",
        "For whoever runs this site: the section forwarding has to name the fields that the proxy writes.",
    ),
    Reason.ROUTE_UNKNOWN: Text(
        "No route matches this path and method.",
        "There is no such page",
        "Nothing is published at this address.",
        ("Check the address for typing errors, or begin at the start page.", PROXY),
        tone="ask",
    ),
    Reason.METHOD_UNSUPPORTED: bad_request(
        "The method is not supported here.", "This address does not take this kind of request."
    ),
    Reason.METHOD_UNKNOWN: bad_request(
        "The method is not known here.", "This server does not know this kind of request."
    ),
    Reason.HOST_UNKNOWN: Text(
        "No site of this name is served here.",
        "There is no such site",
        "No site of this name is served here.",
        (
            "Check the address for typing errors.",
            "For whoever runs this site: the name must be one of public_url, or of a route's hosts.",
            PROXY,
        ),
        (),
    ),
    Reason.LOOP_DETECTED: Text(
        "The request came back to this gateway again and again (CDN-Loop, RFC 8586).",
        "This page leads back to itself",
        "The address was asked for in a circle, and was stopped here.",
        ("For whoever runs this site: an upstream leads back to the gateway itself.", CONTACT),
    ),
    Reason.REQUEST_TIMEOUT: busy(
        "The request did not arrive in time.",
        "That took too long",
        "Your browser began a request but did not finish it in time.",
    ),
    Reason.HEAD_TOO_LARGE: too_large(
        "The request's head is larger than allowed.",
        "The address or the cookies that your browser sent are too large. Deleting the cookies of this site "
        "often helps.",
    ),
    Reason.BODY_TOO_LARGE: too_large(
        "The request's body is larger than allowed.", "What you sent is larger than this site accepts."
    ),
    Reason.EXPECTATION_FAILED: bad_request(
        "The Expect field asks for something unknown.", "Your browser expects something that this site lacks."
    ),
    Reason.RATE_LIMITED: busy(
        "Too many requests in too short a time.",
        "That was a little too fast",
        "More was asked of this page in a short time than one visitor may ask.",
    ),
    Reason.CLIENT_ABORTED: bad_request(
        "The client left before its request was complete.",
        "The connection was closed before the request ended.",
    ),
    Reason.OVERLOADED: busy(
        "Too many requests are under way.",
        "It is very busy right now",
        "More people than this site can serve at once are asking at the moment.",
    ),
    Reason.DECIDED_ANEW: busy(
        "It was refused a moment ago, and would not be now.",
        "Please ask once more",
        "Your request was refused a moment ago, and would be let through now.",
    ),
    Reason.UPSTREAM_UNREACHABLE: busy(
        "The application behind this gateway cannot be reached.",
        "The application is not available",
        "The application behind this address does not answer.",
    ),
    Reason.UPSTREAM_UNAVAILABLE: busy(
        "The application behind this gateway is not available at the moment.",
        "The application is not available",
        "The application behind this address does not answer at the moment.",
    ),
    Reason.UPSTREAM_TIMEOUT: busy(
        "The application behind this gateway did not answer in time.",
        "The application takes too long",
        "The application behind this address did not answer in time.",
    ),
    Reason.UPSTREAM_MALFORMED: busy(
        "The application behind this gateway answered something that is no valid response.",
        "The application gave no proper answer",
        "The application behind this address answered something that cannot be passed on.",
    ),
    Reason.UPSTREAM_ABORTED: busy(
        "The application behind this gateway broke off.",
        "The application broke off",
        "The application behind this address closed the connection before its answer was complete.",
    ),
    Reason.ISSUER_UNAVAILABLE: no_provider(
        "The identity provider cannot be reached or does not answer properly."
    ),
    Reason.ISSUER_MISCONFIGURED: Text(
        "The identity provider and this gateway are not set up for one another.",
        "The login is not set up properly",
        "This site and its login service do not fit together. Only whoever runs this site can change that.",
        ("Tell whoever runs this site the request ID below. Their log says what does not fit.",),
        ("retry", "login"),
        "wait",
    ),
    Reason.KEYS_UNAVAILABLE: no_provider(
        "The identity provider's keys cannot be fetched, so no token can be verified."
    ),
    Reason.STORE_UNAVAILABLE: busy(
        "The store of sessions and revocations does not answer.",
        "Please try again in a moment",
        "A part of this site that checks sessions does not answer at the moment.",
    ),
    Reason.DENYLIST_STALE: busy(
        "The denylist is not known to be current, so nobody is let in for now.",
        "Please try again in a moment",
        "This site cannot check at the moment whether your access was withdrawn, and lets nobody in until it "
        "can.",
    ),
    Reason.INTERNAL_ERROR: Text(
        "Something failed inside the gateway.",
        "Something went wrong",
        "This is a fault of the gateway in front of this site, not yours.",
        (WAIT, CONTACT),
        ("retry",),
    ),
}
