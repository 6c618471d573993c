"""One page of each kind, with everything that can stand on it, served as the gateway would."""

import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from gateway.core.decision.answers import Refuse, Respond
from gateway.core.decision.causes import Cause
from gateway.core.phrases import Phrase
from gateway.core.reasons import Reason, status_of
from gateway.edge.rendering.pages.edition import Edition, Pages, compile_pages
from gateway.edge.rendering.render import Rendered, render_refuse, render_respond
from tests.support.pure import NOW, identity, settings

ID: Final = "5f3a9c01d2e400000017"
_LINK: Final = "/.gateway/login?return_to=/reports"
_LOGO: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 150 40">'
    '<path d="M4 20a16 16 0 1 0 32 0a16 16 0 1 0-32 0" fill="{0}"/>'
    '<path d="M13 21l5 5l10-11" fill="none" stroke="{1}" stroke-width="3.5"/>'
    '<text x="46" y="27" font-family="sans-serif" font-weight="700" font-size="20" fill="{2}">Meridian</text>'
    "</svg>"
)
ALICE: Final = identity(kind="session", claims={"email": "alice@example.com"})


def _inline(*colours: str) -> str:
    return f"data:image/svg+xml;base64,{b64encode(_LOGO.format(*colours).encode()).decode()}"


SHIPPED: Final = compile_pages(settings())
BRANDED: Final = compile_pages(
    settings(
        contact="helpdesk@meridian.example",
        pages={
            "name": "Meridian",
            "logo": _inline("#0b6e4f", "#ffffff", "#17352b"),
            "logo_dark": _inline("#5fd3a5", "#10251d", "#e4f4ec"),
            "accent": "#0b6e4f",
        },
    )
)

_TEMPLATE: Final = """\
<!doctype html>
<html lang="{{lang}}" dir="{{dir}}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{window}}</title>
<style>{{style}}</style>
<style>
.house { letter-spacing: 2px; }
</style>
</head>
<body class="{{tone}}">
<main><p class="house">{{name}}</p><h1>{{title}}</h1>
{{person}}{{content}}{{actions}}{{footer}}
<p><a href="https://example.com/imprint">Imprint</a></p></main>
</body>
</html>
"""
OWN: Final = compile_pages(
    settings(
        pages={
            "name": "Seven",
            "templates": {
                "page.html": _TEMPLATE,
                "style.css": "body { margin: 7px; } a { color: #00439c; background: #ffffff; }\n",
            },
        }
    )
)


def _refuse(reason: Reason, **more: object) -> Refuse:
    return Refuse(reason, html=True, **more)  # type: ignore[arg-type]


ANSWERS: Final[dict[str, Refuse | Respond]] = {
    "choose": Respond(
        Reason.PROVIDER_CHOICE,
        200,
        page="choose",
        choices=(("Corporate account", _LINK), ("GitHub", _LINK), ("Partner organisations", _LINK)),
        values={"remembered": "yes"},
    ),
    "signed-out": Respond(Reason.LOGGED_OUT, 200, page="logged_out", values={"login_url": _LINK}),
    "signed-out-everywhere": Respond(
        Reason.LOGGED_OUT, 200, page="logged_out", values={"login_url": _LINK, "provider_session": "ended"}
    ),
    "sign-out": Respond(
        Reason.LOGOUT_CONFIRM,
        200,
        page="logout_confirm",
        values={"action": "/.gateway/logout", "sessions": "/.gateway/sessions"},
    ),
    # without the field by which a browser goes on by itself
    "going-on": Respond(Reason.TICKET_GIVEN, 200, page="going_on", values={"url": _LINK}),
    "page-lost": Respond(Reason.LOGIN_COMPLETED, 200, page="page_lost"),
    "forbidden": _refuse(
        Reason.GROUP_MISSING,
        identity=ALICE,
        missing=(Phrase.of("groups", names=("editors", "publishers")), Phrase.of("acr")),
        contact="helpdesk@example.com",
        account_url=_LINK,
        logout_url="/.gateway/logout",
    ),
    "provider-unavailable": _refuse(Reason.ISSUER_UNAVAILABLE, login_url=_LINK, retry_after=5.0),
    "provider-misconfigured": _refuse(
        Reason.ISSUER_MISCONFIGURED, login_url=_LINK, retry_after=5.0, cause=Cause.SETUP
    ),
    "upstream-unavailable": _refuse(Reason.UPSTREAM_UNAVAILABLE, retry_after=30.0),
    "login-failed": _refuse(Reason.LOGIN_STATE_UNKNOWN, login_url=_LINK, cause=Cause.NO_COOKIES),
    "login-denied": _refuse(
        Reason.LOGIN_DENIED,
        login_url=_LINK,
        account_url=_LINK,
        detail="access_denied",
        cause=Cause.CANCELLED,
    ),
    "login-clocks": _refuse(
        Reason.TOKEN_NOT_YET_VALID,
        login_url=_LINK,
        detail=Phrase.of("clock_ahead", seconds="612"),
        cause=Cause.CLOCKS,
    ),
    "session-over": _refuse(Reason.SESSION_EXPIRED, login_url=_LINK),
    "confirm-it-is-you": _refuse(Reason.AUTHENTICATION_TOO_WEAK, login_url=_LINK, account_url=_LINK),
    "not-found": _refuse(Reason.ROUTE_UNKNOWN),
    "too-fast": _refuse(Reason.RATE_LIMITED, retry_after=12.0),
    "sessions": Respond(
        Reason.SESSIONS_SHOWN,
        200,
        page="sessions",
        json={
            "sessions": [
                {
                    "id": f"s{index}",
                    "this": not index,
                    "browser": browser,
                    "system": system,
                    "network": network,
                    "network_kind": kind,
                    "since": int(NOW) - 90_000 * (index + 1),
                    "last_seen": int(NOW) - 4000 * index,
                    "sites": ["https://wiki.example.com", "https://shop.example.com"][: index + 1],
                }
                for index, (browser, system, network, kind) in enumerate(
                    (
                        ("Firefox", "Linux", "Head office", "named"),
                        ("Safari", "iPhone", None, "other"),
                        (None, None, None, "private"),
                    )
                )
            ],
            "more": False,
        },
        values={
            "action": "/.gateway/sessions",
            "token": "t",
            "logout": "/.gateway/logout",
            "ended": "2",
            "now": f"{NOW:.0f}",
        },
        identity=ALICE,
    ),
}
"""What is shown, by the name of its picture."""


def every_refusal() -> dict[str, Refuse]:
    """Return a refusal for each reason that is one, with all that a page may offer."""
    return {
        reason.value: _refuse(
            reason,
            login_url=_LINK,
            account_url=_LINK,
            logout_url="/.gateway/logout",
            detail="<img src=x onerror=y>" + "w" * 200,
        )
        for reason in Reason
        if status_of(reason) >= 400
    }


def render(answer: Refuse | Respond, edition: Edition) -> Rendered:
    """Return an answer as it is sent."""
    if isinstance(answer, Refuse):
        return render_refuse(answer, ID, edition)
    return render_respond(answer, ID, edition)


@contextlib.asynccontextmanager
async def served(answers: dict[str, Refuse | Respond] | None = None) -> AsyncIterator[str]:
    """Serve pages under ``/<shipped, branded or own>/<language>/<name>``; yields where."""
    shown = ANSWERS if answers is None else answers
    brands: dict[str, Pages] = {"shipped": SHIPPED, "branded": BRANDED, "own": OWN}

    async def page(request: web.Request) -> web.Response:
        found = brands[request.match_info["brand"]]
        edition = found.edition(request.match_info["language"].encode())
        status, headers, body = render(shown[request.match_info["name"]], edition)
        fields = [(name.decode(), value.decode()) for name, value in headers]
        return web.Response(status=status, body=body, headers=fields)

    async def logo(request: web.Request) -> web.Response:
        found = BRANDED.logo(request.match_info["name"])
        assert found is not None
        headers, body = found.answer(request.query.get("v", ""))
        return web.Response(body=body, headers=[(name.decode(), value.decode()) for name, value in headers])

    app = web.Application()
    app.router.add_get("/.gateway/{name}", logo)
    app.router.add_get("/{brand}/{language}/{name}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
