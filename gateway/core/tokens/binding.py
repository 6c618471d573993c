"""To whom a token is bound: the confirmation of RFC 7800, by a key (RFC 9449) or a certificate (RFC 8705)."""

import re
from dataclasses import dataclass
from typing import Final, Literal

from gateway.core.identity import Binding, Claims
from gateway.core.reasons import Reason

_KEY: Final = "jkt"
_CERTIFICATE: Final = "x5t#S256"
# base64url of a SHA-256
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a route asks of access tokens beside what their provider's section does.

    Attributes:
        resource: the identifier that they have to name as their audience (RFC 8707), in place of the
            provider's audiences; None: those.
        proof: what they have to be bound to: anything, a key, a certificate; or nothing.
    """

    resource: str | None = None
    proof: Literal["optional", "required", "dpop", "mtls"] = "optional"

    def refuses(self, binding: Binding | None) -> bool:
        """Tell whether a token that is bound so, None for not at all, is not bound as this asks."""
        if self.proof == "optional":
            return False
        if binding is None:
            return True
        wanted = {"dpop": binding.key, "mtls": binding.certificate}
        return self.proof in wanted and wanted[self.proof] is None


ANY: Final = TokenRules()


def read_binding(claims: Claims) -> Binding | Reason | None:
    """Return to what a token is bound, None where to nothing.

    Returns:
        ``TOKEN_TYPE`` where it is bound in a way that nobody here can check: it would be a bearer token.
    """
    if claims.get("cnf") is None:
        return None
    members = claims["cnf"]
    if not isinstance(members, dict) or not members or not members.keys() <= {_KEY, _CERTIFICATE}:
        return Reason.TOKEN_TYPE
    found: dict[str, str] = {}
    for name, value in members.items():
        if not isinstance(value, str) or _THUMBPRINT.fullmatch(value) is None:
            return Reason.TOKEN_TYPE
        found[name] = value
    return Binding(found.get(_KEY), found.get(_CERTIFICATE))
