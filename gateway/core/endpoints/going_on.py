"""The way from the host where people log in to their site: by a page, where a form may have led here.

Browsers hold every redirect that follows a form to the ``form-action`` of the form's page (CSP Level 3), and
a provider's pages name the origin that it knows: the host's alone. A page that goes on by itself begins anew.
"""

from gateway.core.decision.answers import Respond
from gateway.core.decision.context import Context
from gateway.core.headers.request import Header
from gateway.core.reasons import Reason


def going_on(context: Context, reason: Reason, url: str) -> Respond:
    """Send a browser on to a URL of ours at another site; whoever is no browser is redirected."""
    if not context.wants_html:
        return Respond(reason, 303, location=url)
    refresh: Header = (b"Refresh", b"0; url=%b" % url.encode("ascii"))
    return Respond(reason, 200, page="going_on", values={"url": url}, headers=(refresh,))
