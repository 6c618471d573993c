"""E-mail addresses as claims: what the provider says of them (OIDC Core section 5.1, R80)."""

from gateway.config.settings.providers import EMAIL, ProviderSettings
from gateway.core.identity import Claims, find_claim
from gateway.syntax.encoding import Json

VERIFIED = "email_verified"


def is_unverified(value: Json) -> bool:
    """Tell whether the provider says anything else of the address than that it is verified.

    Null says nothing. Who knows what 0, "no" or an empty text mean: whoever may doubt an address must.
    """
    return value is not None and not is_verified(value)


def is_doubtful(claims: Claims, name: str) -> bool:
    """Tell whether a claim is an e-mail address that the provider calls unverified, at its place."""
    return is_address(name) and is_unverified(find_claim(claims, verified_beside(name)))


def is_address(name: str) -> bool:
    """Tell whether a claim of this name is an e-mail address, wherever among the claims."""
    return name.rpartition(".")[2] == EMAIL


def is_vouched(claims: Claims, name: str) -> bool:
    """Tell whether the provider says of an address that it is verified, at its place."""
    return is_verified(find_claim(claims, verified_beside(name)))


def verified_beside(name: str) -> str:
    """Return the name of the claim that says of an address whether it is verified."""
    return name[: -len(EMAIL)] + VERIFIED


def is_verified(value: Json) -> bool:
    """Tell whether the provider says that the address is verified; some say it as a text."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def claims_of(provider: ProviderSettings, claims: Claims) -> Claims:
    """Return a provider's claims; its addresses may be assumed to be verified where it says nothing."""
    if provider.email_verified != "assume":
        return claims
    if claims.get(EMAIL) is None or claims.get(VERIFIED) is not None:
        return claims
    return {**claims, VERIFIED: True}


def domain_of(claims: Claims) -> str | None:
    """Return the domain of a verified address, lower case; None where there is none that counts."""
    address = claims.get(EMAIL)
    if not isinstance(address, str) or not is_verified(claims.get(VERIFIED)):
        return None
    local, at, domain = address.rpartition("@")
    # a quoted local part may hold an @, and some readers take the first one for the last
    if not local or not at or "@" in local or not address.isascii() or not address.isprintable():
        return None
    return domain.lower() or None
