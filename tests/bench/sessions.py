"""Logging a browser in at the gateway, and refreshing it, with nothing but cookies and redirects."""

import http.client
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from tests.bench.configurations import API
from tests.bench.processes import NotStarted
from tests.bench.provider import LIFETIME, PERSON
from tests.bench.rig import Instance

_MOST_STEPS = 8
_FIRST_LIFETIME = 1


@dataclass(slots=True)
class Browser:
    """Cookies of one browser for one gateway."""

    instance: Instance
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def cookie(self) -> str:
        """The Cookie field that it sends."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def get(self, path: str, *, navigate: bool) -> tuple[int, str]:
        """Ask the gateway; keep the cookies that it sets; return status and Location."""
        headers = self.instance.headers()
        if navigate:
            headers |= {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        if self.cookies:
            headers["Cookie"] = self.cookie
        answer = _request(self.instance.place.port, path, headers)
        for line in answer.headers.get_all("Set-Cookie") or ():
            pair, _, attributes = line.partition(";")
            name, _, value = pair.partition("=")
            if "max-age=0" in attributes.lower().replace(" ", ""):
                self.cookies.pop(name.strip(), None)
            else:
                self.cookies[name.strip()] = value.strip()
        return answer.status, answer.headers.get("Location") or ""

    def login(self, *, lifetime: int | None = None, person: int | None = None) -> None:
        """Log in as a person; the first access token lives ``lifetime`` seconds, or long.

        Raises:
            NotStarted: the way does not lead back to a page.
        """
        status, location = self.get("/home", navigate=True)
        for _ in range(_MOST_STEPS):
            if status == 200:
                return
            if status not in (302, 303) or not location:
                break
            parts = urlsplit(location)
            target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            if parts.netloc in ("", self.instance.place.authority):
                status, location = self.get(target, navigate=True)
                continue
            wanted = {LIFETIME: lifetime, PERSON: person}
            target += "&" + urlencode({name: value for name, value in wanted.items() if value is not None})
            answer = _request(parts.port or 80, target, {"Host": parts.netloc})
            status, location = answer.status, answer.headers.get("Location") or ""
        raise NotStarted(f"the login ended with {status} {location[:80]}")


def _request(port: int, target: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request("GET", target, headers={**headers, "Connection": "close"})
        answer = connection.getresponse()
        answer.read()
        return answer
    except (OSError, http.client.HTTPException) as error:
        raise NotStarted(f"the login failed: {error}") from error
    finally:
        connection.close()


def logged_in(instance: Instance, person: int | None = None) -> str:
    """Return the Cookie field of a fresh session. Raises NotStarted."""
    browser = Browser(instance)
    browser.login(person=person)
    return browser.cookie


def refreshed(instance: Instance) -> tuple[str, str]:
    """Return the Cookie fields of a session before and just after its refresh. Raises NotStarted."""
    browser = Browser(instance)
    browser.login(lifetime=_FIRST_LIFETIME)
    before = browser.cookie
    # past its expiry a request waits for the refresh, so its answer carries the new cookies
    time.sleep(_FIRST_LIFETIME + 0.3)
    status, _ = browser.get(API, navigate=False)
    if status != 200 or browser.cookie == before:
        raise NotStarted(f"no refresh happened: {status}")
    return before, browser.cookie
