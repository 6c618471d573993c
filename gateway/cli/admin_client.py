"""Asks the admin listener of a running gateway, from the command line."""

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlencode, urlsplit

from gateway.cli.admin_tls import Trust, context_of, why_not
from gateway.config.settings.admin import ROLES, UNNAMED, AdminTokenSettings
from gateway.config.settings.root import Settings
from gateway.syntax.dates import read_date
from gateway.syntax.urls import DEFAULT_PORTS, parse_listen

_MOST_ANSWER = 1 << 20
_MOST_TOKEN = 4096
_TIMEOUT = 15.0
_WILD = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask, not where to bind


class AdminError(Exception):
    """The admin listener could not be asked, or said no. The text holds no secret."""


@dataclass(frozen=True, slots=True)
class Target:
    """An admin listener to ask. ``name`` is what messages call it, ``token_name`` its token.

    ``tls`` is what its certificate is judged by, None where TLS is not spoken.
    """

    host: str
    port: int
    tls: "Trust | None"
    name: str
    token_name: str
    token: str = field(repr=False)


def target_of(settings: Settings, without: str) -> Target:
    """Return the admin listener of a configuration.

    Args:
        settings: name it and hold its token.
        without: what cannot be done without one.

    Raises:
        AdminError: there is no token.
    """
    address = parse_listen(settings.admin.listen)
    tokens = sorted(settings.admin.named(), key=_is_over_or_may_little)
    if not tokens:
        raise AdminError(f"admin.token is not set: {without}")
    if address is None:
        raise AdminError("admin.listen is no address")
    host = _WILD.get(address[0], address[0])
    name = f"admin.listen ({settings.admin.listen})"
    token_name = "admin.token" if tokens[0][0] == UNNAMED else f"admin.tokens.{tokens[0][0]}"
    tls = None if settings.admin.tls is None else Trust("own", settings.admin.tls.certificate)
    return Target(host, address[1], tls, name, token_name, tokens[0][1].token.get_secret_value())


def _is_over_or_may_little(named: tuple[str, AdminTokenSettings]) -> tuple[bool, int]:
    """Return what sorts a token that still lives and may most to the front; ``admin.token`` is one."""
    _, each = named
    ends = None if each.expires is None else read_date(each.expires)
    return ends is not None and ends <= time.time(), -ROLES[each.role]


def target_at(url: str, token_file: Path, authorities: Path | None = None) -> Target:
    """Return the admin listener at a URL, without any configuration.

    Args:
        url: ``http://host:port``, or ``https`` where TLS is spoken.
        token_file: holds the token and nothing else.
        authorities: who may sign the listener's certificate, as PEM; the system's where None.

    Raises:
        AdminError: one of them cannot be used.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        parts, port = urlsplit(""), 0
    # a scheme that is spelled wrongly must not send the token in the clear
    is_ours = parts.scheme in ("http", "https") and port and parts.hostname and parts.username is None
    if not is_ours or parts.hostname is None or parts.path.strip("/") or parts.query or parts.fragment:
        raise AdminError("--admin is no URL such as http://127.0.0.1:9000")
    try:
        with token_file.open("rb") as file:
            text = file.read(_MOST_TOKEN + 1)
    except OSError as error:
        raise AdminError(f"--token-file {token_file} cannot be read: {error.strerror}") from None
    token = text.strip()
    if not token or len(text) > _MOST_TOKEN or not token.isascii() or not token.decode().isprintable():
        raise AdminError(f"--token-file {token_file} holds no token")
    name = f"--admin {parts.scheme}://{parts.hostname}:{port}"
    tls = None
    if parts.scheme == "https":
        tls = Trust("system") if authorities is None else Trust("authorities", str(authorities))
    elif authorities is not None:
        raise AdminError("--admin-ca is for https, and --admin is http")
    return Target(parts.hostname, port, tls, name, "token", token.decode())


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Which workers know of a revocation, and which live ones did not say so in time.

    ``sessions``, ``streams`` and ``keys`` tell how many it met, None where that cannot be told. Bearer tokens
    with an ``iat`` until ``tokens_refused_until`` (epoch seconds) are refused, None where it names no time.
    """

    acknowledged: tuple[str, ...]
    missing: tuple[str, ...]
    sessions: int | None = None
    tokens_refused_until: float | None = None
    streams: int | None = None
    keys: int | None = None


def revoke(target: Target, entry: Mapping[str, object]) -> Acknowledgement:
    """Revoke what the entry names.

    Args:
        target: the admin listener.
        entry: one of ``jti``, ``sid``, ``sub``, ``session`` and ``all``; ``provider`` (a name), ``before``
            (epoch seconds), ``reason`` and ``actor`` if need be.

    Raises:
        AdminError: no gateway, or a refusal.
    """
    document = _object(_answered(target, "/revoke", json.dumps(entry)))
    acknowledged, missing = document.get("acknowledged"), document.get("missing")
    if not isinstance(acknowledged, list) or not isinstance(missing, list):
        raise AdminError(f"what listens at {target.name} is no gateway of this version")
    until = document.get("tokens_refused_until")
    counts = {name: _count(document.get(name)) for name in ("sessions", "streams", "keys")}
    return Acknowledgement(
        tuple(map(_plain, acknowledged)),
        tuple(map(_plain, missing)),
        tokens_refused_until=float(until) if isinstance(until, int | float) else None,
        **counts,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a reload: nothing has changed where there are ``errors``."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def reload(target: Target, mandate: Mapping[str, str]) -> Reloaded:
    """Let the running gateway read its configuration anew.

    Args:
        target: the admin listener.
        mandate: ``reason`` and ``actor``, for the audit log.

    Raises:
        AdminError: no gateway, or no answer to this question.
    """
    status, answer = _post(target, "/reload", json.dumps(dict(mandate)) if mandate else "")
    document = _object(answer)
    if status == 422 and isinstance(errors := document.get("errors"), list):
        return Reloaded(errors=tuple(map(_plain, errors)))
    if status == 401:
        raise AdminError(f"the running gateway has another {target.token_name}: send it SIGHUP instead")
    if status != 200:
        raise AdminError(_refusal(target, status, answer))
    changed, warnings = document.get("changed"), document.get("warnings")
    if not isinstance(changed, list) or not isinstance(warnings, list):
        raise AdminError(f"what listens at {target.name} is no gateway of this version")
    return Reloaded(changed=tuple(map(_plain, changed)), warnings=tuple(map(_plain, warnings)))


def ask_sessions(
    target: Target, method: Literal["GET", "DELETE"], fields: Mapping[str, str], session_id: str = ""
) -> dict[str, object]:
    """Ask about sessions, or end some; docs/sessions.md names the fields and the answer's members.

    Raises:
        AdminError: no gateway, or a refusal, which is quoted.
    """
    path = f"/sessions/{quote(session_id, safe='')}" if session_id else "/sessions"
    query = f"?{urlencode(fields)}" if fields else ""
    return _object(_answered(target, path + query, "", method))


def ask(
    target: Target,
    method: Literal["GET", "POST", "DELETE"],
    path: str,
    body: str,
    fields: Mapping[str, str],
) -> dict[str, object]:
    """Ask for JSON, with these parameters.

    Raises:
        AdminError: no gateway, or a refusal, which is quoted.
    """
    query = f"?{urlencode(fields)}" if fields else ""
    return _object(_answered(target, path + query, body, method))


def _answered(target: Target, path: str, body: str, method: str = "POST") -> bytes:
    status, answer = _post(target, path, body, method)
    if status == 401:
        raise AdminError(
            f"the running gateway has another {target.token_name}: restart it, or use its configuration"
            f" ({_explanation(answer)})"
        )
    if status != 200:
        raise AdminError(_refusal(target, status, answer))
    return answer


def _refusal(target: Target, status: int, answer: bytes) -> str:
    what = f"the gateway answered {status}: {_explanation(answer)}"
    if status == 403 and "needs the role" in what:
        # of a configuration it has the setting's name
        than = target.token_name if "." in target.token_name else "that of --token-file"
        return f"{what} Use another token than {than}."
    return what


def _connection(target: Target) -> http.client.HTTPConnection:
    if target.tls is None:
        return http.client.HTTPConnection(target.host, target.port, timeout=_TIMEOUT)
    context = context_of(target.tls)
    return http.client.HTTPSConnection(target.host, target.port, timeout=_TIMEOUT, context=context)


def _post(target: Target, path: str, body: str, method: str = "POST") -> tuple[int, bytes]:
    try:
        connection = _connection(target)
    except OSError as error:
        raise AdminError(f"the certificate to trust cannot be used: {error.strerror or error}") from None
    headers = {"Authorization": f"Bearer {target.token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(_MOST_ANSWER)
    except ConnectionRefusedError:
        raise AdminError(f"nothing listens at {target.name}: is the gateway running?") from None
    except TimeoutError:
        raise AdminError(
            f"{target.name} did not answer within {_TIMEOUT:g} s: is it the right port?"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        what = why_not(error, is_tls=target.tls is not None)
        raise AdminError(f"{target.name} cannot be asked: {what}") from None
    finally:
        connection.close()


def _object(answer: bytes) -> dict[str, object]:
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _explanation(answer: bytes) -> str:
    document = _object(answer)
    for name in ("detail", "error", "title", "reason"):
        if isinstance(document.get(name), str):
            return _plain(document[name])
    return "no explanation"


def _plain(text: object) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in str(text)[:300])
