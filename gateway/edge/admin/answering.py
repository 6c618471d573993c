"""What every question to the admin listener has in common: its parameters, its answer, its refusal."""

from collections.abc import Awaitable
from math import ceil
from typing import Final

from gateway.core.fault import Fault
from gateway.core.reasons import Reason, status_of
from gateway.edge.admin.http import Ask, Reply, problem, reply
from gateway.edge.admin.revocation_request import Refused
from gateway.edge.admin.sessions import Answer

MOST_BODY: Final = 16_384
RETRY_AFTER: Final = 5
_METHODS: Final = "DELETE, GET, HEAD, POST"
NOT_OURS: Final = "Ask by IP address, as localhost, or by a name in admin.hosts."


async def caught(answering: Awaitable[Reply]) -> Reply:
    """Return an answer; every one is a problem document where there is none."""
    try:
        return await answering
    except Refused as refused:
        return problem(400, str(refused))
    except Fault as fault:
        return _from_fault(fault)
    except Exception as error:  # noqa: BLE001 - as said
        return problem(500, f"Something failed inside the gateway: {type(error).__name__}.")


def fields_of(ask: Ask) -> dict[str, str]:
    """Return the parameters of a question. Raises Refused: too many, or one of them twice."""
    try:
        query = ask.query
    except ValueError:
        raise Refused("That are too many parameters.") from None
    fields = dict(query)
    if len(fields) != len(query) or "id" in fields:
        raise Refused("Each parameter at most once.")
    return fields


def told(answer: Answer) -> Reply:
    """Return an answer as it is sent: its document, or why there is none."""
    return reply(answer.document) if answer.status == 200 else problem(answer.status, answer.detail)


def refuse(fault: Fault) -> Reply:
    """Answer what is no acceptable request head."""
    if fault.reason is Reason.HOST_INVALID:
        return problem(421, NOT_OURS)
    if fault.reason is Reason.TLS_EXPECTED:
        return problem(400, "TLS is spoken here: write https://.")
    if fault.reason is Reason.METHOD_UNSUPPORTED:
        return problem(405, "No path has this method.", {"Allow": _METHODS})
    return problem(status_of(fault.reason), f"This cannot be answered: {fault.reason}.")


def _from_fault(fault: Fault) -> Reply:
    if fault.reason is Reason.BODY_TOO_LARGE:
        return problem(413, f"The body may have {MOST_BODY} bytes.")
    if fault.source == "client":
        return refuse(fault)
    status = status_of(fault.reason)
    wait = min(max(ceil(fault.retry_after or RETRY_AFTER), 1), 3600)
    headers = {"Retry-After": str(wait)} if status == 503 else {}
    told = (
        f"The gateway could not tell, or could not do it for certain: {fault.reason}. Try again; what was to"
    )
    return problem(status, f"{told} be changed may be in effect already.", headers)
