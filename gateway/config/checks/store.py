"""Checks of the store."""

from collections.abc import Iterator

from gateway.config.checks.problems import Problem
from gateway.config.settings.root import Settings
from gateway.config.store_address import AddressError, address_of


def check_store(settings: Settings) -> Iterator[Problem]:
    """Yield what is wrong with the address and the credentials of the store."""
    redis = settings.redis
    if redis is None:
        return
    try:
        address_of(redis)
    except AddressError as error:
        yield Problem(("redis", *error.setting), str(error))
    prefix = redis.prefix
    if not prefix.isascii() or not prefix.isprintable() or any(sign in prefix for sign in "{}* "):
        yield Problem(("redis", "prefix"), "printable ASCII without white space, *, { and }")


def warn_store(settings: Settings) -> Iterator[Problem]:
    """Yield what is allowed of the store and yet hardly meant."""
    redis = settings.redis
    if redis is not None and redis.tls is not None and not redis.tls.verify:
        yield Problem(
            ("redis", "tls", "verify"),
            "NOT VERIFIED: whoever is on the network can pose as the store, and end or forge revocations;"
            " name the authority in ca_file instead",
        )
