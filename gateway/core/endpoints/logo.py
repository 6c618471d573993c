"""The logo on the gateway's own pages, under any host and for anybody, as the pages are."""

from typing import Final

from gateway.core.decision.answers import Refuse, Respond
from gateway.core.decision.context import Context
from gateway.core.decision.refusals import plain
from gateway.core.reasons import Reason
from gateway.syntax import forms

_MOST_VERSION: Final = 64


def logo(context: Context) -> Respond | Refuse:
    """Show the logo of the address; there is none where the configuration names none."""
    runtime = context.knowledge.runtime
    name = context.target.path[len(runtime.prefix) :].decode("ascii")
    pages = runtime.settings.pages
    if (pages.logo if name == "logo" else pages.logo_dark) is None:
        return plain(context, Reason.ROUTE_UNKNOWN)
    if context.request.method not in (b"GET", b"HEAD"):
        return plain(context, Reason.METHOD_UNSUPPORTED, allow=("GET",))
    fields = forms.read_parameters(context.target.query[1:], ("v",)) or {}
    return Respond(Reason.LOGO_SHOWN, 200, page=name, values={"version": fields.get("v", "")[:_MOST_VERSION]})
