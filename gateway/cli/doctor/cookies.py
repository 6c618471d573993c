"""Whether a browser would keep a cookie, and send it with the answer of a provider (RFC 6265bis)."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway.syntax.urls import is_loopback

MOST_COOKIE: Final = 4096
"""Octets of name and value that browsers keep."""


@dataclass(frozen=True, slots=True)
class Cookie:
    """One Set-Cookie field, its attributes in lower case; never shown."""

    name: str
    value: str
    attributes: dict[str, str]

    @property
    def size(self) -> int:
        """Octets of name and value."""
        return len(self.name) + len(self.value)


def read(field: str) -> Cookie:
    """Read a Set-Cookie field as a browser does."""
    pair, *rest = field.split(";")
    name, _, value = pair.partition("=")
    attributes = {}
    for each in rest:
        key, _, text = each.partition("=")
        attributes[key.strip().lower()] = text.strip()
    return Cookie(name.strip(), value.strip(), attributes)


def judge(cookie: Cookie, url: str) -> str | None:
    """Return why a browser at this URL would not keep a cookie, or not bring it back; None where it does."""
    parts = urlsplit(url)
    host, is_secure = (parts.hostname or "").lower(), parts.scheme == "https"
    attributes = cookie.attributes
    if "secure" in attributes and not is_secure and not is_loopback(host):
        return "it is Secure, and the browser is at http"
    if cookie.name.startswith("__Host-") and (
        "secure" not in attributes or attributes.get("path") != "/" or "domain" in attributes
    ):
        return "its name begins with __Host-, and Secure or Path=/ is gone, or Domain was added on the way"
    if cookie.name.startswith("__Secure-") and "secure" not in attributes:
        return "its name begins with __Secure-, and Secure is gone on the way"
    domain = attributes.get("domain", "").lstrip(".").lower()
    if domain and host != domain and not host.endswith(f".{domain}"):
        return f"it is for the domain {domain}, and the browser is at {host}"
    if not parts.path.startswith(attributes.get("path", "/").rstrip("/")):
        return "it is for another path"
    if cookie.size > MOST_COOKIE:
        return f"it has {cookie.size} octets, and browsers keep {MOST_COOKIE}"
    same_site = attributes.get("samesite", "").lower()
    if same_site == "strict":
        return "it is SameSite=Strict, so it does not come back from the provider"
    if same_site == "none" and "secure" not in attributes:
        return "it is SameSite=None without Secure"
    if attributes.get("max-age", "1").startswith(("0", "-")):
        return "it is to be forgotten at once"
    return None
