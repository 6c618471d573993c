"""The files of TLS that the configuration names: paths made absolute, and whether they are usable."""

from pathlib import Path as FilePath
from typing import Any

from gateway.config.checks.problems import Path, Problem
from gateway.edge.configfile.certificate_dates import warn_dates
from gateway.edge.configfile.yaml import Document


def find_tls_files(document: Document, base: FilePath) -> None:
    """Make the paths of certificates and keys absolute, and tell which cannot be used."""
    data = document.data if isinstance(document.data, dict) else {}
    for name, inner in (("providers", ()), ("upstreams", ("tls",))):
        group = data.get(name)
        for key, section in group.items() if isinstance(group, dict) else ():
            within = section.get("tls") if inner and isinstance(section, dict) else section
            if isinstance(within, dict):
                _find_authorities(document, base, within, (name, key, *inner, "ca_file"))
                _find_client_pair(document, base, within, (name, key, *inner))
    redis = data.get("redis")
    store = redis.get("tls") if isinstance(redis, dict) else None
    if isinstance(store, dict):
        _find_pair(document, base, store, ("redis", "tls"))
        _find_authorities(document, base, store, ("redis", "tls", "ca_file"))
    admin = data.get("admin")
    if isinstance(admin, dict) and isinstance(admin.get("tls"), dict):
        _find_pair(document, base, admin["tls"], ("admin", "tls"))
    if isinstance(telemetry := data.get("telemetry"), dict):
        _find_authorities(document, base, telemetry, ("telemetry", "ca_file"))
    if isinstance(listener := data.get("tls"), dict):
        _find_pair(document, base, listener, ("tls",))
        many = listener.get("certificates")
        for index, each in enumerate(many if isinstance(many, list) else ()):
            if isinstance(each, dict):
                _find_pair(document, base, each, ("tls", "certificates", index))
        _find_authorities(document, base, listener, ("tls", "client_ca"))


def _find_authorities(document: Document, base: FilePath, section: dict[Any, Any], at: Path) -> None:
    if (path := _absolute(document, base, section, at)) is not None:
        _tell(document, at, _judge_authorities(path))
        _warn(document, at, path, authorities=True)


def _find_client_pair(document: Document, base: FilePath, section: dict[Any, Any], at: Path) -> None:
    at_certificate, at_key = (*at, "client_certificate"), (*at, "client_key")
    certificate = _absolute(document, base, section, at_certificate)
    key = _absolute(document, base, section, at_key)
    if certificate is not None and at_key not in document.broken:
        _tell(document, at_certificate, _judge_client_pair(certificate, key))
        _warn(document, at_certificate, certificate)


def _find_pair(document: Document, base: FilePath, section: dict[Any, Any], at: Path) -> None:
    certificate = _absolute(document, base, section, (*at, "certificate"))
    key = _absolute(document, base, section, (*at, "key"))
    if certificate is not None and key is not None:
        _tell(document, (*at, "certificate"), _judge_pair(certificate, key))
        _warn(document, (*at, "certificate"), certificate)


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


def _warn(document: Document, path: Path, file: str, *, authorities: bool = False) -> None:
    if path not in document.broken:
        warn_dates(document, path, file, authorities=authorities)


def _judge_client_pair(name: str, key: str | None) -> str | None:
    import ssl  # noqa: PLC0415 - only where a certificate is named

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(name, key, password="")
    except ssl.SSLError:
        return "no certificate in PEM form with the key that belongs to it, not encrypted"
    except (OSError, ValueError) as error:
        return f"it or its key cannot be read: {getattr(error, 'strerror', None) or 'not a path'}"
    return None


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
