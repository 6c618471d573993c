"""The files of TLS, of the listener and of the store: paths made absolute, and whether they are usable."""

from pathlib import Path as FilePath
from typing import Any

from gateway.config.checks.problems import Path, Problem
from gateway.edge.configfile.certificate_dates import warn_dates
from gateway.edge.configfile.yaml import Document


def find_tls_files(document: Document, base: FilePath) -> None:
    """Make the paths within ``tls`` and ``redis.tls`` absolute, and tell which files cannot be used."""
    _find_store_files(document, base)
    section = document.data.get("tls") if isinstance(document.data, dict) else None
    if not isinstance(section, dict):
        return
    _find_pair(document, base, section, ("tls",))
    many = section.get("certificates")
    for index, each in enumerate(many if isinstance(many, list) else ()):
        if isinstance(each, dict):
            _find_pair(document, base, each, ("tls", "certificates", index))
    if (path := _absolute(document, base, section, ("tls", "client_ca"))) is not None:
        _tell(document, ("tls", "client_ca"), _judge_authorities(path))
        warn_dates(document, ("tls", "client_ca"), path, authorities=True)


def _find_store_files(document: Document, base: FilePath) -> None:
    redis = document.data.get("redis") if isinstance(document.data, dict) else None
    section = redis.get("tls") if isinstance(redis, dict) else None
    if isinstance(section, dict):
        at: Path = ("redis", "tls")
        _find_pair(document, base, section, at)
        if (path := _absolute(document, base, section, (*at, "ca_file"))) is not None:
            _tell(document, (*at, "ca_file"), _judge_authorities(path))
            warn_dates(document, (*at, "ca_file"), path, authorities=True)


def _find_pair(document: Document, base: FilePath, section: dict[Any, Any], at: Path) -> None:
    certificate = _absolute(document, base, section, (*at, "certificate"))
    key = _absolute(document, base, section, (*at, "key"))
    if certificate is not None and key is not None:
        _tell(document, (*at, "certificate"), _judge_pair(certificate, key))
        warn_dates(document, (*at, "certificate"), certificate)


def _absolute(document: Document, base: FilePath, section: dict[Any, Any], path: Path) -> str | None:
    setting = path[-1]
    written = section.get(setting)
    if not written or not isinstance(written, str) or path in document.broken:
        return None
    absolute = section[setting] = str(base.absolute() / written)
    return absolute


def _tell(document: Document, path: Path, message: str | None) -> None:
    if message is not None:
        document.problems.append(Problem(path, message))
        document.broken.add(path)


def _judge_pair(certificate: str, key: str) -> str | None:
    import ssl  # noqa: PLC0415 - only where there is TLS

    for path in (certificate, key):
        try:
            FilePath(path).open("rb").close()
        except (OSError, ValueError) as error:
            return f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not a path'}"
    try:
        # an encrypted key must fail, not ask at the terminal
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return "this certificate and its key do not belong together"
        return "this certificate or its key is no usable PEM file (a key with a passphrase is none)"
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        return f"this certificate or its key cannot be read: {why}"
    return None


def _judge_authorities(path: str) -> str | None:
    import ssl  # noqa: PLC0415 - as above

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return "this file holds no certificate in PEM form"
    except (OSError, ValueError) as error:
        return f"this file cannot be read: {getattr(error, 'strerror', None) or 'not a path'}"
    return None
