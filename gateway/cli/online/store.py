"""Whether the store is reached, keeps what it is told, and lets the gateway do what it does there."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from gateway.cli.online.findings import Check, Finding
from gateway.cli.online.names import Names
from gateway.cli.online.reaching import Place, reach
from gateway.config.settings.root import Settings
from gateway.config.store_address import StoreAddress, address_of
from gateway.edge.store.clients import Servers
from gateway.edge.store.embedded import find_server
from gateway.edge.store.store import explain, open_servers
from gateway.edge.store.watch import KEEPS_ALL
from gateway.http.client_tls import client_context
from gateway.syntax.urls import is_loopback

_SUBJECT: Final = "redis"
_ANSWERS: Final = "does it answer"
_KEEPS: Final = "does it keep everything when its memory is full"
_LASTS: Final = "does it keep everything over a restart"
_WRITES: Final = "can it write its files"
_PERMITS: Final = "does it permit every command"
_RECENT: Final = "is it recent enough"
_ENCRYPTED: Final = "is the way to it encrypted, or nobody else's"
_LEAST: Final = (6, 2)

# what the gateway sends: a key stands for any that begins with redis.prefix
EVERYWHERE: Final = (
    ("PING",),
    ("EVAL", "return 1", "0"),
    ("EVALSHA", "0" * 40, "0"),
    ("ROLE",),
    ("WAIT", "0", "1"),
    ("INFO", "memory"),
    ("SUBSCRIBE", "{key}"),
    ("XREAD", "STREAMS", "{key}", "0"),
    ("ZSCAN", "{key}", "0"),
    ("HMGET", "{key}", "a"),
    ("SET", "{key}", "a"),
    ("GET", "{key}"),
    ("DEL", "{key}"),
    ("EXISTS", "{key}"),
    ("PTTL", "{key}"),
    ("PEXPIRE", "{key}", "1"),
    ("INCR", "{key}"),
    ("HSET", "{key}", "a", "b"),
    ("HGET", "{key}", "a"),
    ("HGETALL", "{key}"),
    ("HDEL", "{key}", "a"),
    ("HINCRBY", "{key}", "a", "1"),
    ("ZADD", "{key}", "1", "a"),
    ("ZREM", "{key}", "a"),
    ("ZRANGEBYSCORE", "{key}", "0", "1"),
    ("ZREMRANGEBYSCORE", "{key}", "0", "1"),
    ("XADD", "{key}", "*", "a", "b"),
    ("XINFO", "STREAM", "{key}"),
    ("PUBLISH", "{key}", "a"),
    ("TIME",),
)
"""Commands that any configuration needs."""
SOMETIMES: Final = (("ZRANGE", "{key}", "0", "1"), ("ZCARD", "{key}"))
"""Commands of a list of sessions, and of ``api_keys``."""
AUDITED: Final = (
    ("HLEN", "{key}"),
    ("HKEYS", "{key}"),
    ("XLEN", "{key}"),
    ("XDEL", "{key}", "0-1"),
    ("XRANGE", "{key}", "-", "+"),
    ("XREVRANGE", "{key}", "+", "-"),
    ("ZREVRANGEBYLEX", "{key}", "+", "-"),
)
"""Commands of an audit log that is chained."""

# asks the store whether each would be permitted, and does none of them (Redis 7, Valkey)
_ASK_PERMISSIONS: Final = """
if not redis.acl_check_cmd then return false end
local denied = {}
for _, command in ipairs(cjson.decode(ARGV[1])) do
  local known, permitted = pcall(redis.acl_check_cmd, unpack(command))
  if known and not permitted then denied[#denied + 1] = command[1] end
end
return denied
"""


def checks(settings: Settings, names: Names, within: float) -> list[Check]:
    """Return the checks of the store."""
    if settings.redis is None:
        return [Check("state_dir", _ANSWERS, _embedded, within)]
    address = address_of(settings.redis)
    asked = partial(_asked, settings, address, min(0.4 * within, max(3.0, settings.redis.timeout)))
    found = [*_reached(address, names, within), Check(_SUBJECT, _ANSWERS, asked, within)]
    if address.tls is None and not all(is_loopback(host) for host, _ in address.nodes):
        found.append(Check(_SUBJECT, _ENCRYPTED, _in_the_clear, within))
    return found


async def _in_the_clear() -> Sequence[Finding]:
    detail = "it is not: whether anybody else is on this network cannot be told from here"
    return [Finding(_SUBJECT, _ENCRYPTED, "cannot be told", detail, "write rediss:// across machines")]


async def _embedded() -> Sequence[Finding]:
    try:
        server = find_server()
    except RuntimeError as error:
        return [Finding("state_dir", "is there a store to start", "no", str(error))]
    return [Finding("state_dir", "is there a store to start", "yes", server)]


def _reached(address: StoreAddress, names: Names, within: float) -> list[Check]:
    """Return a check of the way to each server, or Sentinel, that is named."""
    found = []
    for host, port in address.nodes:
        question = f"is {f'[{host}]' if ':' in host else host}:{port} reached"
        found.append(
            Check(
                _SUBJECT, question, partial(_way, address, host, port, question, names, 0.8 * within), within
            )
        )
    return found


async def _way(
    address: StoreAddress, host: str, port: int, question: str, names: Names, within: float
) -> Sequence[Finding]:
    context = None
    if (tls := address.tls) is not None:
        try:
            context = client_context(tls.ca_file, tls.certificate, tls.key, verify=tls.verify)
        except OSError as error:
            why = error.strerror or "they are not what they should be"
            return [Finding(_SUBJECT, question, "no", f"the files of redis.tls cannot be used: {why}")]
    place = Place(host, port, context, authorities="redis.tls.ca_file", name="")
    found = await reach(place, names, within)
    return [Finding(_SUBJECT, question, found.answer, found.detail, found.advice)]


async def _asked(settings: Settings, address: StoreAddress, within: float) -> Sequence[Finding]:
    servers = open_servers(address, within)
    try:
        async with asyncio.timeout(within):
            await servers.ask(None, (("PING",),))
    except (RedisError, OSError) as error:
        return [Finding(_SUBJECT, _ANSWERS, "no", explain(error, within))]
    else:
        return await _findings(settings, address, servers, within)
    finally:
        await servers.close()


async def _findings(
    settings: Settings, address: StoreAddress, servers: Servers, within: float
) -> Sequence[Finding]:
    told = await _told(servers, within)
    if told is None:
        detail = "it does not let INFO be asked"
        unknown = [
            Finding(_SUBJECT, question, "cannot be told", detail, "permit INFO, or look there")
            for question in (_RECENT, _KEEPS, _LASTS)
        ]
        return [Finding(_SUBJECT, _ANSWERS, "yes"), *unknown, await _permissions(settings, servers, within)]
    return [
        Finding(_SUBJECT, _ANSWERS, "yes", f"{_name_of(told)}, {address.kind}"),
        _recent(told),
        _memory(told),
        await _persistence(told, servers, within),
        *_writing(told),
        await _permissions(settings, servers, within),
    ]


async def _ask(servers: Servers, within: float, *command: str | int) -> Any:  # noqa: ANN401 - of any shape
    async with asyncio.timeout(within):
        return (await servers.ask(None, (command,)))[0]


async def _told(servers: Servers, within: float) -> dict[str, str] | None:
    try:
        found = await _ask(servers, within, "INFO")
    except (RedisError, OSError):
        return None
    return {name: str(value) for name, value in found.items()} if isinstance(found, dict) else None


def _version_of(told: Mapping[str, str]) -> tuple[int, ...]:
    # Valkey tells as redis_version which Redis it is like
    text = told.get("redis_version", "")
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def _name_of(told: Mapping[str, str]) -> str:
    if "valkey_version" in told:
        return f"Valkey {told['valkey_version']}"
    return f"Redis {told.get('redis_version', 'of an unknown version')}"


def _recent(told: Mapping[str, str]) -> Finding:
    version = _version_of(told)
    if not version:
        return Finding(_SUBJECT, _RECENT, "cannot be told", "it does not say which version it is")
    least = ".".join(map(str, _LEAST))
    if version < _LEAST:
        detail = f"{_name_of(told)}, and {least} is the least"
        return Finding(_SUBJECT, _RECENT, "no", detail, "upgrade it: older ones get no more fixes")
    return Finding(_SUBJECT, _RECENT, "yes", _name_of(told))


def _memory(told: Mapping[str, str]) -> Finding:
    policy = told.get("maxmemory_policy")
    if policy is None:
        return Finding(_SUBJECT, _KEEPS, "cannot be told", "it does not tell its maxmemory-policy")
    if policy == KEEPS_ALL:
        return Finding(_SUBJECT, _KEEPS, "yes", f"maxmemory-policy is {policy}")
    return Finding(
        _SUBJECT,
        _KEEPS,
        "no",
        f"maxmemory-policy is {policy}: it may evict revocations and spent refresh tokens",
        f"CONFIG SET maxmemory-policy {KEEPS_ALL}, and the same in its configuration",
    )


async def _persistence(told: Mapping[str, str], servers: Servers, within: float) -> Finding:
    if told.get("aof_enabled") == "1":
        return Finding(_SUBJECT, _LASTS, "yes", "it has an append-only file")
    advice = "set appendonly yes there, with appendfsync everysec"
    try:
        found = await _ask(servers, within, "CONFIG", "GET", "save")
    except (RedisError, OSError):
        detail = "it has no append-only file, and does not tell of its snapshots"
        return Finding(_SUBJECT, _LASTS, "cannot be told", detail, advice)
    save = found.get("save", found.get(b"save", "")) if isinstance(found, dict) else ""
    if save:
        detail = "by snapshots alone: what came after the last one is lost, revocations too"
        return Finding(_SUBJECT, _LASTS, "no", detail, advice)
    detail = "it has neither an append-only file nor snapshots: revocations and sessions are lost"
    return Finding(_SUBJECT, _LASTS, "no", detail, advice)


def _writing(told: Mapping[str, str]) -> list[Finding]:
    names = ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
    wrong = [name for name in names if told.get(name, "ok") != "ok"]
    if not wrong:
        return []
    return [Finding(_SUBJECT, _WRITES, "no", f"{', '.join(wrong)}: not ok", "is its disk full?")]


async def _permissions(settings: Settings, servers: Servers, within: float) -> Finding:
    assert settings.redis is not None
    needs_more = settings.session.lists_sessions or settings.api_keys is not None
    key = f"{settings.redis.prefix}check"
    audit = settings.audit
    is_chained = audit.keep is not None or audit.to.startswith("file:")
    more = (*(SOMETIMES if needs_more else ()), *(AUDITED if is_chained else ()))
    commands = [[part.replace("{key}", key) for part in command] for command in (*EVERYWHERE, *more)]
    advice = "docs/store.md lists the commands; keys and channels begin with redis.prefix"
    try:
        denied = await _ask(servers, within, "EVAL", _ASK_PERMISSIONS, 0, json.dumps(commands))
    except (RedisError, OSError) as error:
        if isinstance(error, ResponseError):
            return Finding(_SUBJECT, _PERMITS, "no", explain(error, within), advice)
        return Finding(_SUBJECT, _PERMITS, "cannot be told", explain(error, within))
    if denied is None:
        detail = "it is too old to tell without trying them"
        return Finding(_SUBJECT, _PERMITS, "cannot be told", detail)
    if denied:
        named = ", ".join(sorted({each.decode("ascii", "replace") for each in denied}))
        return Finding(_SUBJECT, _PERMITS, "no", f"its ACL denies {named}", advice)
    return Finding(_SUBJECT, _PERMITS, "yes")
