"""The six answers, and what is wrong with each: judged at once, and never repeated, since one is a secret."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.cli.init.providers import GENERIC, KNOWN, Known, judge_issuer
from gateway.http.upstream.origin import UNIX, Origin
from gateway.syntax.urls import is_host, judge_url, split_url

_MOST: Final = 1024
_GROUP: Final = "group:"
_EVERYBODY: Final = "everybody"


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered.

    Attributes:
        public_url: where browsers find the gateway.
        provider: one of the known names, or ``oidc``.
        issuer: its.
        client_id: the gateway's there.
        client_secret: empty for a public client.
        upstream: one server.
        who: ``everybody``, ``@example.com`` or ``group:staff``.
    """

    public_url: str
    provider: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    upstream: str
    who: str

    @property
    def callback(self) -> str:
        """The path that logins come back to."""
        return self.known.settings.get("callback", "/.gateway/callback")

    @property
    def known(self) -> Known:
        """What is known of the provider."""
        return KNOWN.get(self.provider, GENERIC)


def judge_public_url(text: str) -> str | None:
    """Return what is wrong with it, None where nothing is; so do the others."""
    return judge_url(text, insecure=False, path=False, query=False)


def judge_provider(text: str) -> str | None:
    """Judge a name of a provider, or the URL of an issuer."""
    if text in KNOWN or split_url(text) is not None:
        return judge_issuer("oidc", text) if text not in KNOWN else None
    from difflib import get_close_matches  # noqa: PLC0415 - only a slip needs it

    near = get_close_matches(text.lower(), KNOWN, 1)
    hint = f"did you mean {near[0]}?" if near else f"write one of {', '.join(KNOWN)}, or an issuer's URL"
    return f"this provider is not known by name: {hint}"


def judge_client_id(text: str) -> str | None:
    """Judge a client identifier (RFC 6749 appendix A.1)."""
    if not text:
        return "the provider gave one when the application was registered there"
    return None if _is_visible(text) else "a client id has letters, digits and signs, all of ASCII"


def judge_secret(text: str) -> str | None:
    """Judge a client secret; an empty one is a public client's."""
    return None if not text or _is_visible(text) else "a client secret has letters, digits and signs of ASCII"


def judge_upstream(text: str) -> str | None:
    """Judge the address of a server."""
    try:
        Origin(text)
    except ValueError as error:
        return str(error)
    return None if text.startswith(UNIX) else judge_url(text, insecure=True, path=False, query=False)


def judge_who(text: str, known: Known) -> str | None:
    """Judge who may come in, at a provider."""
    if text == _EVERYBODY:
        return None
    if text.startswith("@"):
        domains = text[1:].split(",")
        if all(_is_domain(each) for each in domains):
            return None
        return "write @ and a domain, or several with commas: @example.com,example.org"
    if text.startswith(_GROUP):
        if not known.groups:
            return f"{known.label} tells no groups: write @ and a domain"
        names = text.removeprefix(_GROUP).split(",")
        if all(name.strip() and name.isprintable() and len(name) <= _MOST for name in names):
            return None
    return "write everybody, @example.com for the e-mail addresses of a domain, or group:staff"


def require_of(who: str, provider: str) -> Mapping[str, list[str]]:
    """Return the policy that an answer stands for: a condition, and its values; empty for everybody."""
    if who.startswith("@"):
        domains = who[1:].split(",")
        return {"email_domains": domains} if provider != "google" or len(domains) > 1 else {"hd": domains}
    if who.startswith(_GROUP):
        return {"groups": [name.strip() for name in who.removeprefix(_GROUP).split(",")]}
    return {}


def _is_domain(text: str) -> bool:
    return "." in text.strip(".") and is_host(text) and not text.replace(".", "").isdigit()


def _is_visible(text: str) -> bool:
    return len(text) <= _MOST and re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", text) is not None
