"""The head that an upstream gets: forged fields stripped, known ones added (R53, R54, R58)."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gateway.core.headers.forwarded import Forwarded
from gateway.core.headers.identity import identity_lines
from gateway.core.headers.kinds import PROOF
from gateway.core.headers.loops import loop_line
from gateway.core.headers.request import Header, Request
from gateway.core.identity import Identity

if TYPE_CHECKING:
    from gateway.core.headers.rules import HeaderRules


def upstream_lines(
    request: Request,
    forwarded: Forwarded,
    rules: "HeaderRules",
    identity: Identity | None,
    pass_authorization: bool,
) -> list[bytes]:
    """Return the end-to-end fields for the upstream, Host first, without X-Request-ID.

    A member is one line, or several joined by CRLF. Framing, Connection and Upgrade are left to the data
    plane. What the client's Connection names is removed before anything is added, so it drops nothing of
    ours (R58).
    """
    lines = [forwarded.block, *request.passed]
    dropped = request.dropped
    if request.cookies and b"cookie" not in dropped:
        for cookie in request.cookies:
            rest = cookie.found.rest
            if rest is not None:
                lines.append(rest)
    if pass_authorization and b"authorization" not in dropped:
        keys = rules.api_keys
        lines.extend(
            b"Authorization: " + each.value
            for each in request.authorization
            if keys is None or not keys.hides(each)
        )
        lines.extend(each.line for each in request.read if each.kind == PROOF and b"dpop" not in dropped)
    if request.vouched and forwarded.is_vouched:
        lines.extend(_said_once(request))
    if identity is not None:
        told = identity.identity_block
        block = told[1] if told is not None and told[0] is rules else identity_block(rules, identity)
        if block:
            lines.append(block)
    if request.loops:
        lines.append(loop_line(tuple(each.value for each in request.loops), rules.loop_names))
    elif rules.loop_line:
        lines.append(rules.loop_line)
    return lines


def _said_once(request: Request) -> list[bytes]:
    """Return what a trusted proxy says under names that are kept; what comes twice, one may have forged."""
    said = Counter(line.name.lower() for line in request.vouched)
    once = {name for name, times in said.items() if times == 1} - request.dropped
    return [line.line for line in request.vouched if line.name.lower() in once]


def identity_block(rules: "HeaderRules", identity: Identity) -> bytes:
    """Return the lines that tell an upstream of an identity, joined by CRLF; empty where there is none.

    They are remembered with it.
    """
    block = identity_lines(rules.identity, identity, tells_unverified=identity.provider in rules.unverified)
    identity.identity_block = (rules, block)
    return block


def upstream_headers(
    request: Request,
    forwarded: Forwarded,
    rules: "HeaderRules",
    identity: Identity | None,
    *,
    pass_authorization: bool,
    request_id: str,
) -> list[Header]:
    """Return what ``upstream_lines`` tells as (name, value) pairs, with X-Request-ID."""
    request.sort(rules.request_lines)
    lines = upstream_lines(request, forwarded, rules, identity, pass_authorization=pass_authorization)
    return headers_of(lines, request_id)


def headers_of(lines: Iterable[bytes], request_id: str) -> list[Header]:
    """Take such lines apart again, for whoever wants to look at them."""
    found: list[Header] = []
    for line in b"\r\n".join(lines).split(b"\r\n"):
        name, _, value = line.partition(b": ")
        found.append((name, value))
    return [*found, (b"X-Request-ID", request_id.encode("latin-1", "replace"))]
