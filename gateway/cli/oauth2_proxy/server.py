"""Where it listens, behind which proxies, where sessions and the store are, what is logged."""

from typing import Any, Final

from gateway.cli.oauth2_proxy.addresses import split
from gateway.cli.oauth2_proxy.draft import Draft
from gateway.cli.oauth2_proxy.options import Options
from gateway.cli.oauth2_proxy.table import OPTIONS
from gateway.syntax.urls import parse_listen

_ADDRESSES: Final = (
    "X-Forwarded-For",
    "X-Real-IP",
    "X-ProxyUser-IP",
    "X-Envoy-External-Address",
    "CF-Connecting-IP",
)
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - as the file says
_VERSIONS: Final = {"TLS1.2": "1.2", "TLS1.3": "1.3"}


def put_server(options: Options, draft: Draft, public_url: str | None) -> None:
    """Put in the sites, the listeners, and who is in front."""
    _put_sites(options, draft, public_url)
    _put_listeners(options, draft)
    _put_proxies(options, draft)
    draft.sections["secret_keys"] = [draft.variable("GATEWAY_SECRET_KEY", "a new key: gateway keys generate")]
    _put_sessions(options, draft)
    _put_store(options, draft)
    if not options.flag("request_logging"):
        draft.sections["log"] = {"access": False}


def _put_sites(options: Options, draft: Draft, public_url: str | None) -> None:
    redirect = options.text("redirect_url")
    parts = split(public_url or redirect)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        draft.error(
            "redirect_url", "it names no site: give --public-url https://app.example.com, where browsers come"
        )
        return
    origin = f"{parts.scheme}://{parts.netloc}".lower()
    draft.sections |= _sites(options, draft, parts.scheme, origin)
    prefix = options.text("proxy_prefix").rstrip("/")
    draft.sections["prefix"] = f"{prefix}/"
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1"):
        draft.sections["allow_insecure_http"] = True
        draft.note("redirect_url", "the site is http: whoever listens on the way has its sessions")


def _sites(options: Options, draft: Draft, scheme: str, origin: str) -> dict[str, Any]:
    """Return the one site; or several that share a login, where a cookie was for a whole domain."""
    domains, others = options.items("cookie_domains"), options.items("whitelist_domains")
    if not domains:
        if others:
            draft.note("whitelist_domains", OPTIONS["whitelist_domains"].words)
        return {"public_url": origin}
    wild = [f"{scheme}://*.{each.lstrip('*.').lower()}" for each in domains]
    for each in others:
        name = each.lower()
        bare = name.lstrip("*.")
        # what begins with a dot is the domain and all below it
        wild.append(f"{scheme}://*.{bare}" if name.startswith((".", "*.")) else f"{scheme}://{bare}")
    sites = [each for each in dict.fromkeys((origin, *wild)) if not each.endswith(":*")]
    draft.note(
        "cookie_domains",
        "each name below has a session of its own; write a site for each name with more than one label before"
        " the domain",
    )
    return {"public_url": sites, "login_host": origin}


def callback_of(options: Options, draft: Draft) -> str | None:
    """Return the path of the callback where it is not the usual one below the prefix."""
    path, prefix = split(options.text("redirect_url")).path, options.text("proxy_prefix").rstrip("/")
    if path in ("", "/", f"{prefix}/callback"):
        return None
    if path.startswith(f"{prefix}/"):
        return path
    draft.note(
        "redirect_url", f"its path is not below proxy_prefix: register {prefix}/callback at the provider"
    )
    return None


def _put_listeners(options: Options, draft: Draft) -> None:
    certificate, key = options.text("tls_cert_file"), options.text("tls_key_file")
    option = "https_address" if certificate or key else "http_address"
    address = _address(options.text(option))
    if address is None:
        draft.error(option, "an address and a port is expected: no socket of a file, and none of systemd")
    else:
        draft.sections["listen"] = address
    if certificate or key:
        draft.sections["tls"] = {"certificate": certificate, "key": key}
        if (version := options.text("tls_min_version")) in _VERSIONS:
            draft.sections["tls"]["minimum_version"] = _VERSIONS[version]
    if ping := options.text("ping_path"):
        draft.sections["health_path"] = ping
    if metrics := options.text("metrics_address"):
        found = _address(metrics)
        if found is None:
            draft.error("metrics_address", "an address and a port is expected")
        else:
            draft.sections["admin"] = {"listen": found}


def _address(text: str) -> str | None:
    bare = text.removeprefix("http://").removeprefix("https://")
    if bare.lower().startswith(("fd:", "unix:")):
        return None
    full = f"{_EVERYWHERE}{bare}" if bare.startswith(":") else bare
    return full if parse_listen(full) is not None else None


def _put_proxies(options: Options, draft: Draft) -> None:
    if not options.flag("reverse_proxy"):
        return
    trusted = options.items("trusted_proxy_ips")
    if not trusted:
        draft.error(
            "trusted_proxy_ips",
            "reverse_proxy believes everybody without it: name the networks of the proxies in front, such as"
            ' trusted_proxy_ips = ["10.0.0.0/8"]',
        )
        return
    if {"0.0.0.0/0", "::/0"} & set(trusted):
        draft.error(
            "trusted_proxy_ips", "everybody is believed about who they are: name the proxies in front"
        )
        return
    draft.sections["trusted_proxies"] = trusted
    wanted = options.text("real_client_ip_header").lower()
    header = next((each for each in _ADDRESSES if each.lower() == wanted), None)
    if header is None:
        draft.error("real_client_ip_header", f"one of {', '.join(_ADDRESSES)}")
    else:
        draft.sections["forwarding"] = {"address": header}
        if header == "X-Real-IP":
            text = (
                "the proxy in front writes it, as before; the files in config/proxies/ write X-Forwarded-For"
            )
            draft.note("real_client_ip_header", text)


def _put_sessions(options: Options, draft: Draft) -> None:
    lifetime = options.seconds("cookie_expire")
    session: dict[str, Any] = {}
    if lifetime > 0:
        session = {"absolute_lifetime": written(lifetime), "idle_lifetime": written(lifetime)}
    else:
        draft.note("cookie_expire", "a session ends after 8h without use, and not when the browser is closed")
    session["login_lifetime"] = written(options.seconds("cookie_csrf_expire"))
    if options.text("session_store_type") == "redis":
        session["mode"] = "redis"
    draft.sections["session"] = session


def _put_store(options: Options, draft: Draft) -> None:
    if options.text("session_store_type") != "redis":
        return
    redis: dict[str, Any] = {}
    tls = _store_tls(options)
    urls: list[str] = []
    if options.flag("redis_use_cluster"):
        urls = options.items("redis_cluster_connection_urls")
        redis["cluster"] = _nodes(urls)
    elif options.flag("redis_use_sentinel"):
        urls = options.items("redis_sentinel_connection_urls")
        sentinel: dict[str, Any] = {
            "service": options.text("redis_sentinel_master_name"),
            "nodes": _nodes(urls),
        }
        if options.text("redis_sentinel_password"):
            sentinel["password"] = draft.variable(
                "GATEWAY_SENTINEL_PASSWORD", "the value of redis_sentinel_password"
            )
        redis["sentinel"] = sentinel
    elif not _put_url(options, draft, redis):
        return
    if any(each.startswith("rediss://") for each in urls):
        tls = tls or {}
    if any(split(each).password for each in urls) and not options.text("redis_password"):
        redis["password"] = draft.variable("GATEWAY_REDIS_PASSWORD", "the password of the URLs of the store")
    if options.text("redis_username"):
        redis["username"] = options.text("redis_username")
    if options.text("redis_password"):
        redis["password"] = draft.variable("GATEWAY_REDIS_PASSWORD", "the value of redis_password")
    if tls is not None:
        redis["tls"] = tls
    draft.sections["redis"] = redis


def _put_url(options: Options, draft: Draft, redis: dict[str, Any]) -> bool:
    url = options.text("redis_connection_url")
    if not url:
        draft.error("redis_connection_url", "session_store_type is redis, and no server is named")
        return False
    is_secret = split(url).password is not None
    redis["url"] = (
        draft.variable("GATEWAY_REDIS_URL", "the value of redis_connection_url") if is_secret else url
    )
    return True


def _store_tls(options: Options) -> dict[str, Any] | None:
    tls: dict[str, Any] = {}
    if options.text("redis_ca_path"):
        tls["ca_file"] = options.text("redis_ca_path")
    if options.flag("redis_insecure_skip_tls_verify"):
        tls["verify"] = False
    return tls or None


def _nodes(urls: list[str]) -> list[str]:
    found = []
    for url in urls:
        parts = split(url if "://" in url else f"redis://{url}")
        found.append(f"{parts.hostname}:{parts.port or 6379}")
    return found


def written(seconds: float) -> str:
    """Return a duration as the file has it."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{round(seconds, 3):g}s"
