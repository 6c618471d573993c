"""What single values of the configuration must look like: each function names the fault, or returns None.

No function repeats the value that it judges: any value may come from a secret file or variable.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

MOST_URL = 2048
DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]{16,}=*")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,63}:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]{1,2048}")
_UNSAFE = frozenset('"<>\\^`{|}')
# names that public DNS gives to nobody, so that no stranger's page can be rebound to them (RFC 6761, 6762;
# ".internal" is reserved by ICANN; ".svc" is Kubernetes' own and no public domain)
_PRIVATE: Final = (".localhost", ".local", ".internal", ".svc", ".test")
_MAPPED = ip_network("::ffff:0:0/96")

# the protocol's own parameters, which nothing may replace (RFC 6749, RFC 7636, RFC 9101, OIDC Core)
RESERVED_PARAMETERS = frozenset(
    {
        "response_type",
        "response_mode",
        "client_id",
        "client_secret",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "request",
        "request_uri",
    }
)


def is_absolute_uri(text: str) -> bool:
    """Tell whether a text is an absolute URI without a fragment (RFC 3986 section 4.3)."""
    return _ABSOLUTE.fullmatch(text) is not None


def is_scope(text: str) -> bool:
    """Tell whether a text is one scope token (RFC 6749 section 3.3)."""
    return _SCOPE.fullmatch(text) is not None


def is_bearer(text: str) -> bool:
    """Tell whether a text can be sent as a bearer token (RFC 6750 section 2.1) and has 16 characters."""
    return _BEARER.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Tell whether a host is this very machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_public_name(host: str) -> bool:
    """Tell whether a host, in lower case, is a name that public DNS may give to anybody."""
    host = host.removesuffix(".")
    try:
        ip_address(host)
    except ValueError:
        return "." in host and not host.endswith(_PRIVATE)
    return False


def is_host(host: str) -> bool:
    """Tell whether a text is an IP address or a name of ASCII labels (RFC 1123 section 2.1)."""
    try:
        ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    return True


def split_url(url: str) -> SplitResult | None:
    """Return the parts of an absolute http or https URL without control or unsafe characters, or None."""
    if len(url) > MOST_URL or not url.isascii() or any(sign <= " " or sign in _UNSAFE for sign in url):
        return None
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not host or port == 0 or "\x7f" in url:
        return None
    # an empty port is legal and yet a slip
    return parts if is_host(host) and not parts.netloc.endswith(":") else None


def split_site(url: str) -> SplitResult | None:
    """Return the parts of the URL of a site, whose host may be ``*.`` and a name: one label stands for it."""
    scheme, wild, rest = url.partition("://*.")
    if not wild:
        return split_url(url)
    parts = split_url(f"{scheme}://w.{rest}")
    return None if parts is None else parts._replace(netloc=f"*{parts.netloc[1:]}")


def is_wild(url: str) -> bool:
    """Tell whether the URL of a site stands for many."""
    return "://*." in url


def is_proxy(text: str) -> bool:
    """Tell whether a text names an HTTP proxy, or says ``none``."""
    parts = split_url(text)
    return text == "none" or (
        parts is not None and parts.path in {"", "/"} and not parts.query and not parts.fragment
    )


def authority_of(parts: SplitResult) -> str:
    """Return host and port in lower case, the scheme's default port left out (RFC 9110 section 4.2.3)."""
    return host_of(parts) if port_of(parts) == DEFAULT_PORTS[parts.scheme] else with_port(parts)


def with_port(parts: SplitResult) -> str:
    """Return host and port in lower case; a client may spell the default port out as well."""
    return f"{host_of(parts)}:{port_of(parts)}"


def host_of(parts: SplitResult) -> str:
    """Return the host in lower case, an IPv6 address in brackets."""
    host = (parts.hostname or "").lower()
    return f"[{host}]" if ":" in host else host


def port_of(parts: SplitResult) -> int:
    """Return the port of an http or https URL, its scheme's own where it names none."""
    return parts.port or DEFAULT_PORTS[parts.scheme]


def judge_url(url: str, *, insecure: bool, path: bool = True, query: bool = True) -> str | None:
    """Judge an absolute URL.

    Args:
        url: as written.
        insecure: plain http is fine beyond this machine.
        path: it may have one.
        query: it may have one.
    """
    parts = split_url(url)
    if parts is None:
        return "write an absolute URL: http:// or https://, a host (in ASCII), and if need be a port"
    if "@" in parts.netloc:
        return "no user name or password in a URL"
    if "#" in url:
        return "no fragment in a URL"
    if not query and "?" in url:
        return "no query here"
    if not path and parts.path not in ("", "/"):
        return "no path here: scheme, host and port alone"
    if parts.scheme == "http" and not insecure and not is_loopback(parts.hostname or ""):
        return (
            "plain http is for this machine alone: use https, or set allow_insecure_http for a closed network"
        )
    return None


def parse_listen(address: str) -> tuple[str, int] | None:
    """Return host and port of ``host:port`` or ``[v6]:port``, or None."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        return None
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        return (host, int(port)) if ":" in host and is_host(host) else None
    return (host, int(port)) if host and ":" not in host and is_host(host) else None


def judge_listen(address: str) -> str | None:
    """Judge the address of a listener."""
    if parse_listen(address) is None:
        return "write an address and a port: 127.0.0.1:8080, [::1]:8080, or 0.0.0.0:8080 for every network"
    return None


def collide(one: str, other: str) -> bool:
    """Tell whether two listeners want the same port of the same address."""
    first, second = parse_listen(one), parse_listen(other)
    if first is None or second is None or first[1] != second[1] or first[1] == 0:
        return False
    wild = {"0.0.0.0", "::"}  # noqa: S104 - told apart, not bound
    return first[0] == second[0] or bool(wild & {first[0], second[0]})


def judge_network(text: str) -> str | None:
    """Judge a CIDR; one that holds everybody is none (CVE-2026-76835)."""
    try:
        network = ip_network(text)
    except ValueError:
        return "write a network such as 10.0.0.0/8, with no bits set beyond its length, or one address"
    if network.prefixlen == 0 or network == _MAPPED:
        return "this network is everybody, and everybody could then forge X-Forwarded-*: name the proxies"
    return None


def are_everybody(texts: tuple[str, ...]) -> bool:
    """Tell whether networks that are fine one by one are everybody together."""
    fourth: list[IPv4Network] = []
    sixth: list[IPv6Network] = []
    for text in texts:
        try:
            network = ip_network(text)
        except ValueError:
            continue
        if isinstance(network, IPv4Network):
            fourth.append(network)
        else:
            sixth.append(network)
    every: list[IPv4Network | IPv6Network] = [*collapse_addresses(fourth), *collapse_addresses(sixth)]
    return any(network.prefixlen == 0 or network == _MAPPED for network in every)


def judge_origin(origin: str) -> str | None:
    """Judge a web origin as browsers write it in the Origin field (RFC 6454 section 6.2)."""
    parts = split_url(origin)
    if parts is None or f"{parts.scheme}://{authority_of(parts)}" != origin:
        return (
            "write an origin exactly as browsers do: scheme and host in lower case, a port only if it is not"
            " the default, no slash at the end, never * or null"
        )
    return None
