"""The demo's application: it shows the request that reached it, so that one sees what the gateway did.

It checks nobody: that is the gateway's work. Loopback only.
"""

import asyncio
import json
from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import WSMsgType, web

from gateway.demo.pages import document, headers, text

_MOST_SECONDS = 30.0
_MOST_ECHO = 64 * 1024
_IDENTITY = {
    "x-forwarded-user": "Who is calling: the subject that the provider vouches for.",
    "x-forwarded-email": "The e-mail address, as the provider knows it.",
    "x-forwarded-groups": "The groups that routes may ask for.",
    "x-forwarded-preferred-username": "The name to show.",
    "x-gateway-assertion": "The same, signed by the gateway: /.gateway/jwks.json has the keys to check it.",
}
_ROUTE = {
    "x-forwarded-for": "Where the request came from.",
    "x-forwarded-host": "The host that the browser asked for.",
    "x-forwarded-proto": "How it came: http or https.",
    "forwarded": "All of that in the standard's form (RFC 7239).",
    "x-request-id": "The same id is in the gateway's log and in its error pages.",
}
_LINKS = (
    ("/", "your page"),
    ("/admin/", "for the group admins"),
    ("/api/whoami", "for bearer tokens"),
    ("/public/", "for everybody"),
    ("/.gateway/userinfo", "who am I?"),
    ("/.gateway/sessions", "where am I logged in?"),
    ("/.gateway/logout", "log out"),
)


class DemoUpstream:
    """The application. ``port`` 0 takes a free one; started again it keeps its port."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.port = port
        self.uploaded = 0
        self._host = host
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self._host}:{self.port}"

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        application = web.Application()
        application.router.add_get("/events", self._events)
        application.router.add_get("/ws", self._echo)
        application.router.add_get("/slow", self._slow)
        application.router.add_post("/upload", self._upload)
        application.router.add_route("*", "/api/{tail:.*}", self._api)
        application.router.add_route("*", "/{tail:.*}", self._page)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self.port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening; open streams are cut."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        if "text/html" not in request.headers.get("Accept", ""):
            return web.Response(text=_as_text(request), headers={"Cache-Control": "no-store"})
        return web.Response(text=_as_html(request), content_type="text/html", headers=headers(["'self'"]))

    async def _api(self, request: web.Request) -> web.Response:
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        seen = {
            "method": request.method,
            "path": request.path_qs,
            "user": request.headers.get("X-Forwarded-User"),
            "headers": [list(pair) for pair in request.headers.items()],
            "body_bytes": size,
        }
        return web.json_response(
            seen,
            dumps=lambda value: json.dumps(value, indent=2) + "\n",
            headers={"Cache-Control": "no-store"},
        )

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send an event every second until the client goes, or the gateway cuts the stream."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        user = _printable(request.headers.get("X-Forwarded-User", "nobody"))
        count = 0
        while True:
            count += 1
            await response.write(f"id: {count}\ndata: event {count} for {user}\n\n".encode())
            await asyncio.sleep(1)

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=_MOST_ECHO, heartbeat=30)
        if not socket.can_prepare(request):
            return web.Response(status=426, headers={"Upgrade": "websocket"}, text="This is a WebSocket.\n")
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        return socket

    async def _slow(self, request: web.Request) -> web.Response:
        """Answer after ``?seconds=``, three by default."""
        try:
            seconds = min(max(float(request.query.get("seconds", "3")), 0.0), _MOST_SECONDS)
        except ValueError:
            return web.Response(status=400, text="seconds is a number\n")
        # not a number compares false with everything, so it would slip through min and max
        await asyncio.sleep(seconds if seconds == seconds else 0.0)  # noqa: PLR0124
        return web.Response(text=f"answered after {seconds:g} s\n")

    async def _upload(self, request: web.Request) -> web.Response:
        """Count what is sent, without keeping any of it."""
        size = 0
        async for piece in request.content.iter_any():
            size += len(piece)
        self.uploaded += size
        return web.Response(text=f"{size} bytes received, {self.uploaded} since the start\n")


def _printable(value: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in value).encode("utf-8", "replace").decode()


def _as_text(request: web.Request) -> str:
    lines = [
        f"{request.method} {request.path_qs}",
        *(f"{name}: {value}" for name, value in request.headers.items()),
    ]
    return "\n".join(_printable(line) for line in lines) + "\n"


def _rows(request: web.Request, wanted: Callable[[str], bool], explained: dict[str, str], kind: str) -> str:
    return "".join(
        f'<tr class="{kind}"><th scope="row">{text(name)}</th><td>{text(value)}</td>'
        f'<td class="why">{text(explained.get(name.lower(), ""))}</td></tr>'
        for name, value in request.headers.items()
        if wanted(name.lower())
    )


def _table(caption: str, rows: str) -> str:
    return f'<div class="card"><table><caption>{text(caption)}</caption>{rows}</table></div>' if rows else ""


def _as_html(request: web.Request) -> str:
    """Return the page that shows a request; everything of it is escaped."""
    user = request.headers.get("X-Forwarded-User")
    greeting = f"Hello {user}" if user else "Hello, whoever you are"
    told = (
        "The gateway let this request through and told the application who is calling. No browser can"
        " write these headers: whatever arrives under their names is removed first."
        if user
        else "This request carries no identity: the route is open to everybody."
    )
    links = "".join(
        f'<li><a href="{path}">{path}</a> <span class="soft">{what}</span></li>' for path, what in _LINKS
    )
    identity = _table("Who is calling", _rows(request, _IDENTITY.__contains__, _IDENTITY, "identity"))
    route = _table("How the request came", _rows(request, _ROUTE.__contains__, _ROUTE, "route"))
    others = _table(
        "Everything else that reached the application",
        _rows(request, lambda name: name not in _IDENTITY and name not in _ROUTE, {}, "other"),
    )
    origin = text(_origin(request))
    body = f"""<p class="kicker">Demo application behind Token Gateway</p>
<h1>{text(greeting)}</h1>
<p>{told}</p>
<nav class="card" aria-label="Try"><ul>{links}</ul></nav>
<p><code>{text(request.method)} {text(request.path_qs)}</code></p>
{identity}{route}{others}
<div class="card"><h2>Streams and uploads</h2>
<p class="soft">Each needs a login here; a revocation cuts open streams at once.</p>
<ul><li><a href="/events">/events</a>: one server-sent event each second</li>
<li><code>{origin}/ws</code>: a WebSocket that echoes</li>
<li><a href="/slow?seconds=3">/slow?seconds=3</a>: an answer that takes its time</li></ul>
<form method="post" action="/upload" enctype="multipart/form-data">
<label for="file">Upload (counted, not kept)</label>
<input id="file" name="file" type="file" required>
<button type="submit">Upload</button></form></div>"""
    return document(f"{greeting} - Token Gateway demo", body)


def _origin(request: web.Request) -> str:
    proto, host = (request.headers.get(f"X-Forwarded-{name}", "") for name in ("Proto", "Host"))
    scheme = "wss" if proto == "https" else "ws"
    return f"{scheme}://{host or urlsplit(str(request.url)).netloc}"
