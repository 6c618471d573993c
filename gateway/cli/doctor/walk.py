"""Walks through a login as a browser would, as far as that goes without anybody, and looks at each step.

From a page to the provider's login page; then the callback is asked with an error in the provider's place, so
that it shows whether the login that was begun is remembered there. That leaves a failed login in the log.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from gateway.cli.doctor import cookies as jar
from gateway.cli.doctor.browser import NAVIGATION, PROGRAM, NoAnswerError, Page, get
from gateway.cli.doctor.log import PROBE
from gateway.cli.online.findings import Answer, Finding
from gateway.cli.online.redirects import STRANGE_CLIENT, STRANGE_URI
from gateway.core.diagnoses import DIAGNOSES
from gateway.core.reasons import Reason
from gateway.syntax.encoding import parse_object
from gateway.syntax.urls import authority_of, is_wild, split_site, split_url

_MOST_STEPS: Final = 8
_MOST_SKEW: Final = 30.0
_MOST_COOKIES: Final = 8192
_PAGE: Final = "is the page reached"
_SITE: Final = "is this address in public_url"
_BEGINS: Final = "does a login begin"
_KEEPS: Final = "does the browser keep the cookie of the login"
_FITS: Final = "do all its cookies fit into a request"
_BACK: Final = "does the provider send the browser back to this site"
_LOGIN: Final = "does the provider show its login page"
_REMEMBERED: Final = "is the login remembered when the browser comes back"
_SCHEME: Final = "does the gateway know that the browser is at https"
_CLOCK: Final = "has it the same time as this machine"
# reasons that are told once the login was found that the browser began
_FOUND: Final = frozenset({"login_denied", "login_issuer_mismatch"})
_REASON: Final = re.compile(r"\b[a-z]+(?:_[a-z]+)+\b")


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin, and what the configuration says, where it is known.

    ``sites`` are the public URLs, empty where they are not known; ``issuers`` those of the providers.
    """

    url: str
    within: float
    prefix: str = "/.gateway/"
    sites: tuple[str, ...] = ()
    issuers: tuple[str, ...] = ()
    ca_file: str | None = None


@dataclass(slots=True)
class Walk:
    """One login, step by step; ``findings`` are the answers so far."""

    start: Start
    findings: list[Finding] = field(default_factory=list)
    _kept: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    _lost: list[tuple[str, str]] = field(default_factory=list)

    async def go(self) -> list[Finding]:
        """Return what was found, step by step."""
        self._look_at_sites()
        try:
            page = await self._to_provider(self.start.url)
            if page is None and not self._has_failed():
                page = await self._to_provider(self._own("login"))
        except NoAnswerError as error:
            advice = "is it up, and is this the address?"
            if "certificate" in str(error):
                advice = "renew it (docs/tls.md), or name with --ca-file who signed it"
            self._say("page", _PAGE, "no", str(error), advice)
            return self.findings
        if page is not None:
            await self._at_provider(page)
        elif not self._has_failed():
            detail = "no page led to a provider"
            self._say("login", _BEGINS, "cannot be told", detail, "name a page that needs a login: --url")
        return self.findings

    def _say(self, subject: str, question: str, answer: Answer, detail: str = "", advice: str = "") -> None:
        self.findings.append(Finding(subject, question, answer, detail, advice))

    def _has_failed(self) -> bool:
        return any(each.answer == "no" for each in self.findings)

    def _own(self, name: str) -> str:
        return urljoin(self.start.url, f"{self.start.prefix}{name}")

    def _look_at_sites(self) -> None:
        parts = split_url(self.start.url)
        if not self.start.sites or parts is None:
            return
        if any(_is_of(site, self.start.url) for site in self.start.sites):
            self._say("page", _SITE, "yes")
            return
        detail = f"{_origin(self.start.url)}, and public_url is {', '.join(self.start.sites[:4])}"
        self._say("page", _SITE, "no", detail, "they have to be equal: scheme, host and port")

    async def _to_provider(self, url: str) -> Page | None:
        """Go on until an answer leads to a provider, and return that; None where a page is the end."""
        for _ in range(_MOST_STEPS):
            page = await self._get(url)
            self._keep(page)
            if not 300 <= page.status < 400 or not page.location:
                await self._ended(page)
                return None
            url = urljoin(page.url, page.location)
            # a pushed request has one, too (RFC 9126 section 4); other sites of ours have none
            if "client_id" in dict(parse_qsl(urlsplit(url).query)):
                self._say("login", _BEGINS, "yes", f"{_shown(page.url)} leads to {_shown(url)}")
                return page
        self._say("login", _BEGINS, "no", f"more than {_MOST_STEPS} redirects, the last to {_shown(url)}")
        return None

    async def _get(self, url: str, headers: Mapping[str, str] = NAVIGATION) -> Page:
        return await get(
            url, self.start.within, headers=headers, cookies=self._sent_to(url), ca_file=self.start.ca_file
        )

    def _keep(self, page: Page) -> None:
        host = urlsplit(page.url).hostname or ""
        for cookie in map(jar.read, page.set_cookies):
            wrong = jar.judge(cookie, page.url)
            if wrong is not None and not _is_removal(cookie):
                self._lost.append((cookie.name, wrong))
            elif wrong is None:
                self._kept.setdefault(host, {})[cookie.name] = cookie.value

    async def _ended(self, page: Page) -> None:
        """Tell of a page that leads nowhere: who needs no login gets 200, a script 401."""
        if page.status == 200:
            return
        reason = await self._reason(page)
        if page.status == 401 and reason in (None, Reason.CREDENTIALS_MISSING):
            return
        where = f"{_shown(page.url)} answered {page.status}"
        if reason is None:
            detail = f"{where}, and not in the gateway's way"
            advice = "a proxy in front answers by itself: does it reach the gateway, with this path and Host?"
            self._say("page", _PAGE, "no", detail, advice)
        elif (known := DIAGNOSES.get(reason)) is not None:
            self._say("page", _PAGE, "no", f"{where}: {reason}. {known.cause}", "; ".join(known.look))
        else:
            self._say("page", _PAGE, "no", f"{where}: {reason}", "docs/reasons.md says what that is")

    async def _reason(self, page: Page) -> Reason | None:
        """Return the word for why, asked as a program would; None where it is not the gateway's answer."""
        if not page.url.partition("?")[2]:
            page = await self._get(page.url, PROGRAM)
        return _reason_in(page)

    async def _at_provider(self, page: Page) -> None:
        """Look at the answer that leads to a provider, at the provider, and at the way back."""
        url = urljoin(page.url, page.location)
        asked = dict(parse_qsl(urlsplit(url).query))
        self._look_at_cookies(page)
        self._look_at_clock("gateway", page)
        if page.url.startswith("https:"):
            await self._look_at_scheme()
        back, state = asked.get("redirect_uri"), asked.get("state")
        if back is None or state is None:
            detail = "the request was pushed (PAR), so the browser does not carry it"
            self._say("login", _BACK, "cannot be told", detail, "gateway check --online asks about it")
        else:
            self._look_at_redirect(page, back)
        await self._look_at_login(url, back)
        if back is not None and state is not None:
            await self._come_back(back, state)

    def _look_at_cookies(self, page: Page) -> None:
        set_here = [each for each in map(jar.read, page.set_cookies) if not _is_removal(each)]
        if not set_here:
            advice = "a proxy in front takes Set-Cookie away: let it pass every one"
            self._say("login", _KEEPS, "no", f"{_shown(page.url)} set none", advice)
            return
        # of another site that was on the way, too
        for name, wrong in self._lost:
            self._say("login", _KEEPS, "no", f"{name}: {wrong}", _cookie_advice(wrong))
            return
        self._say("login", _KEEPS, "yes", f"{len(set_here)}, of {sum(each.size for each in set_here)} octets")
        size = sum(len(name) + len(value) + 3 for name, value in self._sent_to(page.url).items())
        if size > _MOST_COOKIES:
            self._say(
                "login", _FITS, "no", f"{size} octets", "servers and proxies refuse so many: limits.head"
            )

    def _sent_to(self, url: str) -> Mapping[str, str]:
        # what comes from elsewhere may be no URL
        parts = split_url(url)
        return {} if parts is None else self._kept.get(parts.hostname or "", {})

    def _look_at_redirect(self, page: Page, back: str) -> None:
        here, there = _origin(page.url), _origin(back)
        if here == there:
            self._say("login", _BACK, "yes", back)
            return
        if here.partition(":")[2] == there.partition(":")[2]:
            advice = "https in public_url wants https in the browser: redirect http in front"
        else:
            advice = "public_url is to be what the address bar shows; the proxy in front is to pass Host on"
        self._say("login", _BACK, "no", f"it is told {back}, and the browser is at {here}", advice)

    async def _look_at_scheme(self) -> None:
        """Begin a login as an old browser does: nothing shows by itself that it is at https."""
        page = await get(self._own("login"), self.start.within, headers=PROGRAM, ca_file=self.start.ca_file)
        reason = _reason_in(page) if page.status >= 400 else None
        if reason is not Reason.LOGIN_INSECURE:
            self._say("login", _SCHEME, "yes")
            return
        known = DIAGNOSES[reason]
        detail = "it is told http; today's browsers come in all the same, others do not"
        self._say("login", _SCHEME, "no", detail, "; ".join(known.look))

    def _look_at_clock(self, subject: str, page: Page) -> None:
        if page.ahead is None:
            return
        away = abs(page.ahead)
        if away <= _MOST_SKEW:
            self._say(subject, _CLOCK, "yes", f"within {max(1.0, away):.0f} s")
            return
        behind = "ahead of" if page.ahead > 0 else "behind"
        self._say(
            subject, _CLOCK, "no", f"this machine is {away:.0f} s {behind} it", "synchronise both (NTP)"
        )

    async def _look_at_login(self, url: str, back: str | None) -> None:
        try:
            page = await get(url, self.start.within, ca_file=self.start.ca_file)
        except NoAnswerError as failure:
            advice = "is it reached from where people are?"
            self._say("provider", _LOGIN, "no", f"{_shown(url)}: {failure}", advice)
            return
        self._look_at_clock("provider", page)
        where = urljoin(url, page.location) if page.location else ""
        if back is not None and where.startswith((f"{back}?", f"{back}#")):
            came = dict(parse_qsl(urlsplit(where).query or urlsplit(where).fragment))
            detail = f"it came back at once with {came.get('error', 'an answer')}"
            self._say("provider", _LOGIN, "no", detail, "; ".join(DIAGNOSES[Reason.LOGIN_DENIED].look))
        elif page.status >= 400:
            self._say("provider", _LOGIN, "no", f"it answered {page.status}", _provider_advice(page.body))
        elif where and "error" in urlsplit(where).path:
            self._say("provider", _LOGIN, "no", f"it leads to {_shown(where)}", _provider_advice(where))
        else:
            told = f"it leads to {_shown(where)}" if where else f"it answered {page.status}"
            self._say("provider", _LOGIN, "yes", told)

    async def _come_back(self, back: str, state: str) -> None:
        """Ask the callback as a browser whose login the provider has refused."""
        answer = {"error": PROBE, "state": state}
        if len(self.start.issuers) == 1:
            answer["iss"] = self.start.issuers[0]
        try:
            page = await self._get(f"{back}?{urlencode(answer)}", PROGRAM)
        except NoAnswerError as failure:
            detail = f"{back}: {failure}"
            self._say("login", _REMEMBERED, "no", detail, "is this the address that people use?")
            return
        reason = _reason_in(page)
        if reason is None:
            detail = f"{back} answered {page.status}, and not in the gateway's way"
            self._say(
                "login", _REMEMBERED, "no", detail, "let the proxy in front pass this path to the gateway"
            )
        elif reason.value in _FOUND:
            self._say("login", _REMEMBERED, "yes")
        else:
            known = DIAGNOSES.get(reason)
            detail = f"{reason}. {known.cause}" if known is not None else reason.value
            self._say("login", _REMEMBERED, "no", detail, "; ".join(known.look) if known is not None else "")


def _is_removal(cookie: jar.Cookie) -> bool:
    return not cookie.value or cookie.attributes.get("max-age") == "0"


def _reason_in(page: Page) -> Reason | None:
    """Return the reason that a problem document or a page of the gateway names."""
    document = parse_object(page.body.encode(), 1 << 20)
    words = [document.get("reason")] if document is not None else _REASON.findall(page.body)
    if document is None and "x-request-id" not in page.headers:
        return None
    for word in words:
        try:
            return Reason(str(word))
        except ValueError:
            continue
    return None


def _origin(url: str) -> str:
    parts = split_url(url)
    return "" if parts is None else f"{parts.scheme}://{authority_of(parts)}"


def _is_of(site: str, url: str) -> bool:
    """Tell whether a URL is of a site, whose host may begin with a star."""
    if not is_wild(site):
        return _origin(site) == _origin(url)
    of, at = split_site(site), split_url(url)
    if of is None or at is None or of.scheme != at.scheme:
        return False
    return of.netloc.lower()[1:] == f".{authority_of(at).partition('.')[2]}"


def _shown(url: str) -> str:
    """Return a URL without its query, which may hold secrets."""
    return url.partition("?")[0].partition("#")[0]


def _cookie_advice(wrong: str) -> str:
    if "at http" in wrong:
        return "open the site by https, or write http in public_url for a machine of your own"
    if "on the way" in wrong:
        return "a proxy in front rewrites cookies (proxy_cookie_path, proxy_cookie_domain, ...): let it not"
    if "domain" in wrong:
        return "cookie_domain has to be the site's domain"
    return "see docs/sessions.md"


def _provider_advice(text: str) -> str:
    if STRANGE_URI.search(text):
        return "it does not know the redirect URI: register what gateway check prints, to the last character"
    if STRANGE_CLIENT.search(text):
        return "it does not know the client: compare client_id, and the issuer's tenant or realm"
    return (
        "open it in a browser: its page says why; gateway check --online asks about redirect URI and client"
    )
