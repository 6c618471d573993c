"""Whether a request's Host is a name of the admin listener's, and no stranger's (DNS rebinding)."""

import ipaddress
from typing import Final

# names that public DNS gives to nobody, so that no stranger's page can be rebound to them (RFC 6761, 6762;
# ".internal" is reserved by ICANN; ".svc" is Kubernetes' own and no public domain)
_PRIVATE: Final = (".localhost", ".local", ".internal", ".svc", ".test")


def is_ours(fields: list[str], names: frozenset[str]) -> bool:
    """Tell whether a request's Host can be no stranger's name: an address, or one that is not public.

    Args:
        fields: every Host of the request.
        names: more that are ours, in lower case.
    """
    if len(fields) != 1:
        return False
    field = fields[0].lower()
    host = field.rpartition("]")[0].removeprefix("[") if field.startswith("[") else field.partition(":")[0]
    host = host.removesuffix(".")
    if not host:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host in names or "." not in host or host.endswith(_PRIVATE)
    return True
