"""Settings of the store: one server, Sentinels or a Cluster."""

from typing import Annotated

from pydantic import Field

from gateway.config.settings.base import Duration, Model, Number, Secret, Text


class StoreTlsSettings(Model):
    """TLS towards the store: with ``rediss://``, Sentinels or a Cluster; verified unless told otherwise."""

    ca_file: Text | None = None
    """PEM file of the authorities to trust instead of the system's."""
    certificate: Text | None = None
    """PEM file of the gateway's own certificate, where the store asks for one."""
    key: Text | None = None
    """PEM file of its private key, without a passphrase."""
    verify: bool = True
    """Whether the store's certificate is checked; never false beyond a test."""


class SentinelSettings(Model):
    """Sentinels that know which server of a service is the master, instead of ``url``."""

    service: Text
    """The name of the service, as ``sentinel monitor`` has it."""
    nodes: tuple[Text, ...] = Field(min_length=1, max_length=100)
    """The Sentinels, each ``host:port``."""
    username: Text | None = None
    """The ACL user at the Sentinels."""
    password: Secret | None = None
    """The password at the Sentinels."""
    database: Annotated[Number, Field(ge=0, le=65535)] = 0
    """The number of the database."""


class RedisSettings(Model):
    """The store: ``url``, ``sentinel`` or ``cluster``. Absent: an embedded Valkey in ``state_dir``."""

    url: Secret | None = None
    """Where one Redis or Valkey listens; it may hold a password."""
    sentinel: SentinelSettings | None = None
    """Sentinels to ask for the master."""
    cluster: tuple[Text, ...] = Field(default=(), max_length=100)
    """Some servers of a Cluster, each ``host:port``; they name the others."""
    username: Text | None = None
    """The ACL user, unless the URL has it."""
    password: Secret | None = None
    """The password, unless the URL has it."""
    tls: StoreTlsSettings | None = None
    """TLS: for Sentinels and a Cluster present where it is spoken."""
    prefix: Text = "gateway:"
    """What every key begins with; gateways that share it share sessions and revocations."""
    timeout: Duration = 1.0
    """The longest wait for an answer."""
