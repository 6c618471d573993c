"""Whether a provider knows the client and its redirect URIs: an authorization request without anybody tells.

``prompt=none`` has a provider answer at once: by an error that goes back to the redirect URI, which then is
registered, or by one that it shows itself, which often means that it is not. Where the answer could be
either, the same is asked with a redirect URI that nobody registered: if that fares otherwise, ours is known.
"""

import base64
import re
import secrets
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from gateway.cli.online.asking import NotSeenError, Seen, see
from gateway.cli.online.findings import Answer, Finding
from gateway.config.settings.providers import ProviderSettings
from gateway.core.decision.needs import Metadata
from gateway.core.fault import Fault
from gateway.edge.providers.providers import Providers
from gateway.oauth.authorization import parameters_of

KNOWN: Final = "is this redirect URI registered"
_TAKEN: Final = "does it take our authorization request"
_REGISTER: Final = "register it at the provider, to the last character"
_BY_HAND: Final = "begin a login in a browser"
# what only says that nobody is logged in, as nobody is
_NOBODY: Final = frozenset(
    {"login_required", "interaction_required", "consent_required", "account_selection_required"}
)
_FATAL: Final = frozenset(
    {"unauthorized_client", "invalid_scope", "unsupported_response_type", "access_denied", "invalid_target"}
)
# words with which providers say, in a page or in an address, that they do not know the redirect URI or client
STRANGE_URI: Final = re.compile(
    r"redirect_uri_mismatch|invalid_redirect_uri|AADSTS50011|AADSTS500113|redirect[ _]uri\b[^<>]{0,80}"
    r"(?:invalid|mismatch|not (?:valid|registered|allowed|match|in the list))"
    r"|(?:invalid|unregistered|mismatching)\b[^<>]{0,40}redirect[ _-]?uri|callback url mismatch",
    re.IGNORECASE,
)
STRANGE_CLIENT: Final = re.compile(
    r"AADSTS700016|AADSTS70001\b|client not found|invalid[ _]client|unknown client|client[ _]id\b[^<>]{0,60}"
    r"(?:invalid|unknown|not found|not exist)|no client of that name",
    re.IGNORECASE,
)


class Dry:
    """Asks one provider; nothing is followed, nobody logs in.

    Args:
        name: the provider's.
        settings: its.
        providers: builds the request as a login would, and pushes it where a login would.
        within: seconds for one answer.
    """

    def __init__(self, name: str, settings: ProviderSettings, providers: Providers, within: float) -> None:
        self._name = name
        self._subject = f"providers.{name}"
        self._settings = settings
        self._providers = providers
        self._within = within
        self._prompt: list[tuple[str, str]] = [("prompt", "none")]

    async def ask(self, redirect_uri: str) -> Sequence[Finding]:
        """Tell whether this redirect URI is registered."""
        try:
            await self._providers.metadata(Metadata(self._name))
        except Fault:
            return [self._finding("cannot be told", redirect_uri, "its metadata cannot be had")]
        try:
            seen = await self._see_somehow(redirect_uri)
        except Fault as fault:
            return [self._refused(redirect_uri, fault.detail)]
        except NotSeenError as error:
            return [self._finding("cannot be told", redirect_uri, str(error))]
        findings = list(self._judge(redirect_uri, seen))
        if findings[0].answer != "cannot be told":
            return findings
        return [await self._compared(redirect_uri, seen, findings[0])]

    async def _see_somehow(self, redirect_uri: str) -> Seen:
        """Return what the provider answers; as a login would ask, where it takes no other push."""
        try:
            return await self._see(redirect_uri)
        except Fault as fault:
            if not any(word in fault.detail for word in _NOBODY):
                raise
        self._prompt = []
        return await self._see(redirect_uri)

    async def _see(self, redirect_uri: str) -> Seen:
        """Return what the provider answers. Raises Fault, NotSeenError."""
        parameters = parameters_of(
            self._settings,
            redirect_uri=redirect_uri,
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(32),
            extra=self._prompt,
        )
        url = await self._providers.authorization_url(self._name, parameters, lambda: None)
        return await see(url, self._settings, self._within)

    def _finding(self, answer: Answer, uri: str, detail: str, advice: str = "") -> Finding:
        return Finding(self._subject, f"{KNOWN} ({uri})", answer, detail, advice)

    def _refused(self, uri: str, detail: str) -> Finding:
        # only a pushed request is refused before a browser is sent anywhere
        if STRANGE_URI.search(detail):
            return self._finding("no", uri, detail, _REGISTER)
        return self._finding("cannot be told", uri, detail)

    def _judge(self, uri: str, seen: Seen) -> Sequence[Finding]:
        if (error := _came_back(uri, seen)) is not None:
            return self._judge_error(uri, error)
        where = urlsplit(seen.location)
        is_error = seen.status >= 400 or "error" in f"{where.path}?{where.query}"
        text = f"{_opened(seen.location)} {seen.body if seen.status != 302 else ''}"
        if seen.status >= 500:
            return [self._finding("cannot be told", uri, f"the provider answered {seen.status}", _BY_HAND)]
        # a login page may quote what it was asked, so only what else is an error is searched for loose words
        strict = re.search(r"redirect_uri_mismatch|AADSTS50011\d?|AADSTS700016", text)
        if is_error or strict:
            if STRANGE_CLIENT.search(text):
                detail = f"the provider answered {seen.status} and does not know the client"
                return [
                    self._finding("no", uri, detail, "compare client_id, and the issuer's tenant or realm")
                ]
            if STRANGE_URI.search(text):
                detail = f"the provider answered {seen.status} and does not know it"
                return [self._finding("no", uri, detail, _REGISTER)]
        detail = f"the provider answered {seen.status} with a page of its own"
        if seen.location:
            detail = f"the provider answered {seen.status}, to {where.netloc}{where.path}"
        return [self._finding("cannot be told", uri, detail, _BY_HAND)]

    def _judge_error(self, uri: str, error: str) -> Sequence[Finding]:
        known = self._finding("yes", uri, f"the provider came back to it ({error or 'without an error'})")
        if not error or error in _NOBODY:
            return [known]
        answer: Answer = "no" if error in _FATAL else "cannot be told"
        advice = "look at the client's grants and scopes there" if answer == "no" else _BY_HAND
        detail = f"it answered {error}" + ("" if answer == "no" else ", perhaps since nobody is logged in")
        return [known, Finding(self._subject, _TAKEN, answer, detail, advice)]

    async def _compared(self, uri: str, seen: Seen, unsure: Finding) -> Finding:
        """Ask the same for a redirect URI that nobody registered, and compare."""
        strange = f"{uri}-{secrets.token_hex(4)}"
        try:
            other = await self._see(strange)
        except Fault as fault:
            if STRANGE_URI.search(fault.detail):
                return self._finding("yes", uri, "the provider refuses another one, and not this one")
            return unsure
        except NotSeenError:
            return unsure
        if _kind(other, strange) != _kind(seen, uri):
            if seen.status < 400 <= other.status < 500 or _is_error(other) > _is_error(seen):
                return self._finding("yes", uri, "the provider refuses another one, and not this one")
            return unsure
        if 400 <= seen.status < 500:
            detail = f"the provider answered {seen.status}, as it does for one that nobody registered"
            return self._finding("no", uri, detail, f"{_REGISTER}; compare client_id as well")
        return unsure


def _came_back(uri: str, seen: Seen) -> str | None:
    """Return the error with which it came back to the redirect URI, None where it did not; may be empty."""
    if 300 <= seen.status < 400 and seen.location.startswith((f"{uri}?", f"{uri}#")):
        parts = urlsplit(seen.location)
        told = dict(parse_qsl(parts.query or parts.fragment))
        return told.get("error", "")
    # form_post: a page that posts itself
    action = re.search(r"<form[^>]*\baction=[\"']([^\"']*)[\"']", seen.body, re.IGNORECASE)
    if seen.status == 200 and action is not None and action[1].replace("&amp;", "&") == uri:
        error = re.search(r"name=[\"']error[\"'][^>]*value=[\"']([a-z_]{1,64})[\"']", seen.body)
        return error[1] if error is not None else ""
    return None


def _kind(seen: Seen, uri: str) -> tuple[int, str, bool]:
    where = urlsplit(seen.location)
    return seen.status, f"{where.netloc}{where.path}", _came_back(uri, seen) is not None


def _is_error(seen: Seen) -> bool:
    return 400 <= seen.status < 500 or "error" in urlsplit(seen.location).path


def _opened(location: str) -> str:
    """Return an address with what its query holds in base64url, as Google tells its errors."""
    found = [location]
    for _, value in parse_qsl(urlsplit(location).query):
        try:
            found.append(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode("utf-8", "ignore"))
        except ValueError:
            continue
    return " ".join(found)
