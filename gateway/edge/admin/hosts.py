"""Whether a request's Host is a name of the admin listener's, and no stranger's (DNS rebinding)."""

from gateway.syntax.urls import is_public_name


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
    return host in names or not is_public_name(host)
