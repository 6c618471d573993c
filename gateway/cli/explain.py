"""What would happen to a request: the decision itself, asked without a network and without any facts.

With ``--live`` a running gateway is asked instead: it knows keys, sessions and who is revoked.
"""

import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from gateway.cli.explain_text import tell
from gateway.cli.questions import Question, question_of
from gateway.config.settings.root import Settings
from gateway.config.sites import first_url
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.decision.needs import Admit, Need
from gateway.core.explain.facts import Found
from gateway.core.headers.request import Request
from gateway.core.rules.denylist import Denylist
from gateway.core.rules.rate_limit import Allowance
from gateway.core.runtime import compile_settings
from gateway.edge.admin.explain import A_CLIENT, explain_request, unfetched
from gateway.syntax.encoding import Json


def explain(settings: Settings, url: str, method: str, fields: Sequence[str]) -> list[str]:
    """Decide a hypothetical request, and tell it in lines.

    Args:
        settings: the configuration.
        url: absolute, or a path at the first ``public_url``; sent exactly as written.
        method: of the request.
        fields: its header fields, each ``Name: value``.

    Raises:
        ValueError: no URL, no method or no header field; the text is safe to show.
    """
    return tell(account_of(settings, question_of(url, method, fields, host_of(settings))))


def account_of(settings: Settings, question: Question) -> Mapping[str, Json]:
    """Return the account of a hypothetical request, of which nothing is known."""
    now = time.time()
    return explain_request(_request(question), _knowledge(settings, now), now, _look)


def host_of(settings: Settings) -> str:
    """Return the host that a path alone is meant at: that of the first ``public_url``."""
    return urlsplit(first_url(settings)).netloc


def build_request(settings: Settings, url: str, method: str, fields: Sequence[str]) -> Request:
    """Return the request that a client would send.

    Raises:
        ValueError: no URL, no method or no header field; the text is safe to show.
    """
    return _request(question_of(url, method, fields, host_of(settings)))


def _request(question: Question) -> Request:
    headers = [(name.encode(), value.encode()) for name, value in question.headers]
    host = question.host.lower().encode()
    return Request(
        question.method.encode(),
        question.target.encode(),
        host,
        ((b"Host", host), *headers),
        question.client or A_CLIENT,
    )


def _knowledge(settings: Settings, now: float) -> Knowledge:
    """Return what a gateway knows that has just started: its replica has synchronised, and names nobody."""
    denylist = Denylist()
    denylist.synchronised_at = now
    return Knowledge(
        runtime=compile_settings(settings, remembers=False),
        keys={},
        denylist=denylist,
        memory=Memory(),
        recent_outcome=lambda _: None,
        confirmed=lambda _: False,
    )


def _look(need: Need) -> Found | None:
    if isinstance(need, Admit):
        return Found(Allowance(need.limit.burst, 0, None), "nowhere: nobody has asked before")
    return unfetched(need)
