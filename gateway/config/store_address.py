"""Where the store is: one server, a service that Sentinels watch, or a Cluster.

No error repeats a value: an address may hold a password.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from gateway.config.settings.store import RedisSettings

Node: TypeAlias = tuple[str, int]
"""Host and port of one server."""

WRITE_URL = "write redis://host:6379/0, rediss:// for TLS, or unix:///path/to/socket"
_PORT = 6379
_SENTINEL_PORT = 26379
_SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_MOST_DATABASE = 65535


class AddressError(ValueError):
    """The settings name no store.

    Attributes:
        setting: where within ``redis``; empty for the section itself.
    """

    def __init__(self, setting: tuple[str | int, ...], message: str) -> None:
        self.setting = setting
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class StoreTls:
    """TLS towards the store; ``ca_file`` replaces the system's authorities."""

    ca_file: str | None = None
    certificate: str | None = None
    key: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """How to reach the store.

    ``nodes`` are the server itself, the Sentinels, or some servers of the Cluster; ``path`` is a Unix socket.
    """

    kind: Literal["single", "sentinel", "cluster"] = "single"
    nodes: tuple[Node, ...] = ()
    path: str = ""
    database: int = 0
    service: str = ""
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = field(default=None, repr=False)
    sentinel_password: str | None = field(default=None, repr=False)
    tls: StoreTls | None = None


def parse_url(url: str, tls: StoreTls | None = None) -> StoreAddress:
    """Read the address of one server.

    Args:
        url: ``redis://``, ``rediss://`` (or ``valkey://``, ``valkeys://``) or ``unix://``.
        tls: how TLS is spoken, where the URL asks for it.

    Raises:
        AddressError: it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressError(("url",), WRITE_URL) from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.fragment or not url.isprintable():
        raise AddressError(("url",), f"{WRITE_URL}; percent-encode what a password has beyond letters")
    if parts.scheme == "unix":
        return _unix(parts, options)
    if parts.scheme not in _SCHEMES or not parts.hostname or port == 0:
        raise AddressError(("url",), WRITE_URL)
    if options.keys() - {"db"}:
        raise AddressError(("url",), "no option but db: the rest has settings of its own")
    is_tls = _SCHEMES[parts.scheme]
    if tls is not None and not is_tls:
        raise AddressError(("tls",), "has no effect: write rediss:// in redis.url")
    return StoreAddress(
        nodes=((unquote(parts.hostname), port or _PORT),),
        database=_database(options.get("db", parts.path.strip("/") or "0")),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=(tls or StoreTls()) if is_tls else None,
    )


def _unix(parts: SplitResult, options: dict[str, str]) -> StoreAddress:
    if not parts.path.startswith("/") or parts.netloc.rpartition("@")[2]:
        raise AddressError(("url",), WRITE_URL)
    if options.keys() - {"db", "username", "password"}:
        raise AddressError(("url",), "no option but db, username and password")
    username = unquote(parts.username) if parts.username else options.get("username")
    password = unquote(parts.password) if parts.password else options.get("password")
    return StoreAddress(
        path=unquote(parts.path),
        database=_database(options.get("db", "0")),
        username=username or None,
        password=password or None,
    )


def _database(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= _MOST_DATABASE:
        return int(text)
    raise AddressError(("url",), "the number of the database is a whole number, such as /0")


def address_of(redis: RedisSettings) -> StoreAddress:
    """Return the address that the settings name.

    Raises:
        AddressError: they name none, or two.
    """
    named = [redis.url is not None, redis.sentinel is not None, bool(redis.cluster)]
    if sum(named) != 1:
        raise AddressError(
            (), "name the store once: url for one server, sentinel for Sentinels, or cluster for a Cluster"
        )
    tls = _tls(redis)
    username = redis.username
    password = redis.password.get_secret_value() if redis.password is not None else None
    if username is not None and password is None and redis.url is None:
        raise AddressError(("username",), "a user name without a password")
    if redis.url is not None:
        found = parse_url(redis.url.get_secret_value(), tls)
        for setting, here, there in (
            ("username", username, found.username),
            ("password", password, found.password),
        ):
            if here is not None and there is not None:
                raise AddressError((setting,), "redis.url has one already: remove one of them")
        return _with_user(found, username or found.username, password or found.password)
    if redis.sentinel is not None:
        watch = redis.sentinel
        secret = watch.password.get_secret_value() if watch.password is not None else None
        if watch.username is not None and secret is None:
            raise AddressError(("sentinel", "username"), "a user name without a password")
        return StoreAddress(
            kind="sentinel",
            nodes=_nodes(watch.nodes, ("sentinel", "nodes"), _SENTINEL_PORT),
            database=watch.database,
            service=watch.service,
            username=username,
            password=password,
            sentinel_username=watch.username,
            sentinel_password=secret,
            tls=tls,
        )
    nodes = _nodes(redis.cluster, ("cluster",), _PORT)
    return StoreAddress(kind="cluster", nodes=nodes, username=username, password=password, tls=tls)


def _with_user(found: StoreAddress, username: str | None, password: str | None) -> StoreAddress:
    if username is not None and password is None:
        raise AddressError(("username",), "a user name without a password")
    return StoreAddress(
        nodes=found.nodes,
        path=found.path,
        database=found.database,
        username=username,
        password=password,
        tls=found.tls,
    )


def _tls(redis: RedisSettings) -> StoreTls | None:
    tls = redis.tls
    if tls is None:
        return None
    if (tls.certificate is None) != (tls.key is None):
        missing = "key" if tls.key is None else "certificate"
        raise AddressError(("tls", missing), "a certificate and its key go together")
    if tls.ca_file is not None and not tls.verify:
        raise AddressError(("tls", "verify"), "false, and yet there is a ca_file: remove one of them")
    return StoreTls(tls.ca_file, tls.certificate, tls.key, tls.verify)


def _nodes(written: tuple[str, ...], at: tuple[str, ...], default: int) -> tuple[Node, ...]:
    found: list[Node] = []
    for index, text in enumerate(written):
        node = read_node(text, default)
        if node is None:
            raise AddressError((*at, index), f"write host:port, such as redis-1:{default}")
        if node in found:
            raise AddressError((*at, index), "this one is there already")
        found.append(node)
    return tuple(found)


def read_node(text: str, default: int) -> Node | None:
    """Return host and port of ``host``, ``host:port`` or ``[address]:port``, or None for anything else."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or port == 0 or parts.netloc != text or "@" in text or not text.isascii():
        return None
    if not text.isprintable() or " " in text or text.endswith(":"):
        return None
    return host, port or default
