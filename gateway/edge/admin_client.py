"""Asks the admin listener of a running gateway, from the command line."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlencode

from gateway.core.config import Settings
from gateway.core.config_syntax import parse_listen

_MOST_ANSWER = 1 << 20
_TIMEOUT = 15.0
_WILD = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask, not where to bind


class AdminError(Exception):
    """The admin listener could not be asked, or said no. The text holds no secret."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Which workers know of a revocation, and which live ones did not say so in time."""

    acknowledged: tuple[str, ...]
    missing: tuple[str, ...]


def revoke(settings: Settings, entry: Mapping[str, object]) -> Acknowledgement:
    """Revoke what the entry names.

    Args:
        settings: name the admin listener and hold its token.
        entry: one of ``jti``, ``sid``, ``sub``, ``session`` and ``all``; ``provider`` (a name) and ``before``
            (epoch seconds) if need be.

    Raises:
        AdminError: no token, no gateway, or a refusal.
    """
    token = settings.admin.token
    if token is None:
        raise AdminError("admin.token is not set: without one nothing can be revoked")
    status, answer = _post(settings, "/revoke", json.dumps(entry), token.get_secret_value())
    if status == 401:
        raise AdminError("the running gateway has another admin.token: restart it, or use its configuration")
    if status != 200:
        raise AdminError(f"the gateway answered {status}: {_explanation(answer)}")
    document = _object(answer)
    acknowledged, missing = document.get("acknowledged"), document.get("missing")
    if not isinstance(acknowledged, list) or not isinstance(missing, list):
        raise AdminError("what listens at admin.listen is no gateway of this version")
    return Acknowledgement(tuple(map(_plain, acknowledged)), tuple(map(_plain, missing)))


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a reload: nothing has changed where there are ``errors``."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def reload(settings: Settings) -> Reloaded:
    """Let the running gateway read its configuration anew.

    Args:
        settings: name the admin listener and hold its token.

    Raises:
        AdminError: no token, no gateway, or no answer to this question.
    """
    token = settings.admin.token
    if token is None:
        raise AdminError("admin.token is not set: send the signal SIGHUP to the gateway instead")
    status, answer = _post(settings, "/reload", "", token.get_secret_value())
    if status == 401:
        raise AdminError("the running gateway has another admin.token: send it the signal SIGHUP instead")
    document = _object(answer)
    if status == 422 and isinstance(errors := document.get("errors"), list):
        return Reloaded(errors=tuple(map(_plain, errors)))
    if status != 200:
        raise AdminError(f"the gateway answered {status}: {_explanation(answer)}")
    changed, warnings = document.get("changed"), document.get("warnings")
    if not isinstance(changed, list) or not isinstance(warnings, list):
        raise AdminError("what listens at admin.listen is no gateway of this version")
    return Reloaded(changed=tuple(map(_plain, changed)), warnings=tuple(map(_plain, warnings)))


def ask_sessions(
    settings: Settings, method: Literal["GET", "DELETE"], fields: Mapping[str, str], session_id: str = ""
) -> dict[str, object]:
    """Ask about sessions, or end some; docs/sessions.md names the fields and the answer's members.

    Raises:
        AdminError: no token, no gateway, or a refusal, which is quoted.
    """
    token = settings.admin.token
    if token is None:
        raise AdminError("admin.token is not set: without one nothing is told about sessions")
    path = f"/sessions/{quote(session_id, safe='')}" if session_id else "/sessions"
    query = f"?{urlencode(fields)}" if fields else ""
    status, answer = _post(settings, path + query, "", token.get_secret_value(), method)
    if status == 401:
        raise AdminError("the running gateway has another admin.token: restart it, or use its configuration")
    if status != 200:
        raise AdminError(f"the gateway answered {status}: {_explanation(answer)}")
    return _object(answer)


def _post(settings: Settings, path: str, body: str, token: str, method: str = "POST") -> tuple[int, bytes]:
    address = parse_listen(settings.admin.listen)
    if address is None:
        raise AdminError("admin.listen is no address")
    connection = http.client.HTTPConnection(_WILD.get(address[0], address[0]), address[1], timeout=_TIMEOUT)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(_MOST_ANSWER)
    except ConnectionRefusedError:
        raise AdminError(
            f"nothing listens at admin.listen ({settings.admin.listen}): is the gateway running?"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        what = getattr(error, "strerror", None) or type(error).__name__
        raise AdminError(f"admin.listen ({settings.admin.listen}) cannot be asked: {what}") from None
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
