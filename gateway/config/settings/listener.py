"""Settings of the public listener: TLS, what proxies tell, bounds on clients; and logs."""

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.settings.base import Duration, Model, Number, Text, as_duration


class CertificateSettings(Model):
    """One certificate of a listener."""

    certificate: Text
    """PEM file: the certificate, then the intermediate ones."""
    key: Text
    """PEM file of its private key, without a passphrase."""


class HstsSettings(Model):
    """Strict-Transport-Security (RFC 6797): browsers come back by https alone, whatever they are told."""

    max_age: Annotated[float, Field(ge=0, le=10 * 365 * 86400), as_duration] = 365 * 86400.0
    """How long a browser remembers; 0s makes it forget."""
    include_subdomains: bool = False
    """Whether that holds for every name below the host too."""
    preload: bool = False
    """Whether browsers may ship the host in their lists; that takes months to undo."""


class TlsSettings(Model):
    """TLS on the public listener; absent: plain HTTP, and TLS ends in front."""

    certificate: Text | None = None
    """PEM file of the only certificate, with its chain; instead of ``certificates``."""
    key: Text | None = None
    """PEM file of its private key, without a passphrase."""
    certificates: tuple[CertificateSettings, ...] = Field(default=(), max_length=1000)
    """Certificates, chosen by the name that a client asks for (SNI); the first serves every other name."""
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is spoken."""
    client_certificates: Literal["none", "optional", "required"] = "none"
    """Whether clients are asked for a certificate, and turned away without one."""
    client_ca: Text | None = None
    """PEM file of the authorities that may sign clients' certificates."""
    handshake_timeout: Duration = 10.0
    """The longest time for a handshake."""
    hsts: HstsSettings | None = None
    """Strict-Transport-Security on the responses of https sites; absent: not sent."""

    @property
    def chains(self) -> tuple[CertificateSettings, ...]:
        """Every certificate, however it was written."""
        if self.certificate is not None and self.key is not None:
            return (CertificateSettings(certificate=self.certificate, key=self.key), *self.certificates)
        return self.certificates


class ForwardingSettings(Model):
    """The fields that the trusted proxies write: one source each, every other one is dropped unread (R64)."""

    address: Text = "X-Forwarded-For"
    """The client's address: ``X-Forwarded-For``, ``Forwarded``, a field of one address alone, or ``none``."""
    scheme: Literal["X-Forwarded-Proto", "Forwarded", "none"] = "X-Forwarded-Proto"
    """Whether the client speaks http or https."""
    host: Literal["Host", "X-Forwarded-Host", "Forwarded"] = "Host"
    """The host that the client asked for; ``Host`` is the Host field as the proxy sends it."""
    port: Literal["X-Forwarded-Port", "none"] = "none"
    """The port that the client asked for, where the host names none."""
    client_certificate: Text = "none"
    """The client's certificate, for tokens that are bound to one: such as ``Client-Cert`` (RFC 9440)."""


class ClientHeaderSettings(Model):
    """Header fields of clients, beside those of other products that are dropped by default (R82)."""

    drop: tuple[Text, ...] = Field(default=(), max_length=256)
    """More names to drop, in every spelling; ``X-Legacy-*`` for all that begin so."""
    keep: tuple[Text, ...] = Field(default=(), max_length=64)
    """Names of other products that pass all the same: in exactly this spelling, from trusted proxies."""


class LimitSettings(Model):
    """Bounds on what a client may send and hold (R60). Sizes are bytes."""

    head: Number = Field(default=32768, ge=1024, le=1 << 20)
    """The largest request head."""
    fields: Number = Field(default=100, ge=8, le=1000)
    """The most header fields of a request."""
    body: Number = Field(default=1 << 30, ge=0)
    """The largest request body."""
    connections: Number = Field(default=10000, ge=1)
    """The most client connections of one worker."""
    connections_per_address: Number = Field(default=0, ge=0)
    """The most of them from one address (in IPv6: one /64); 0: no limit. Trusted proxies are exempt."""
    logins_per_address: Number = Field(default=1200, ge=0)
    """The most logins that one address may complete in a minute; 0: no limit."""
    unknown_credentials_per_address: Number = Field(default=60, ge=0, le=1_000_000)
    """The most unknown API keys and opaque tokens of one address that a minute looks up; 0: no limit."""
    head_timeout: Duration = 10.0
    """The longest time for a request head to arrive."""
    body_timeout: Duration = 30.0
    """The longest silence within a request body."""
    idle_timeout: Duration = 75.0
    """How long a client connection may wait for its next request."""
    write_timeout: Duration = 60.0
    """The longest time that a client may refuse to read, or take less than 240 bytes a second."""
    drain_timeout: Duration = 30.0
    """How long open requests may go on after SIGTERM."""
