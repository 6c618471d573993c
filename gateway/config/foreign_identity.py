"""Field names under which other products tell who is calling (R82): no client may use them by default.

An upstream that once stood behind one of them, or that knows several, may still believe what it says there.
Names are folded (``syntax.tokens.fold``). docs/identity-headers.md lists the same.
"""

from typing import Final

NAMES: Final = frozenset(
    # RFC 9440: what a proxy says of the client's certificate
    b"client-cert client-cert-chain x-arr-clientcert x-client-cert x-client-dn x-client-verify x-ssl-cert"
    # CGI, Authelia, Keycloak's gatekeeper
    b" auth-user remote-email remote-groups remote-name remote-user x-userinfo"
    # Kong, Google API Gateway and Endpoints, WSO2, Teleport
    b" teleport-jwt-assertion x-anonymous-consumer x-apigateway-api-userinfo x-credential-identifier"
    b" x-credential-username x-endpoint-api-userinfo x-jwt-assertion"
    # IBM Verify Access, SiteMinder
    b" iv-creds iv-groups iv-remote-address iv-user iv-user-l sm-authdirname sm-serversessionid"
    b" sm-universalid sm-user sm-userdn".split()
)
"""Whole names."""

PREFIXES: Final = tuple(
    b"cf-access- cf-client-cert- ngrok-auth-user- oidc- remote-user- shib- ssl-client- tailscale-"
    b" x-amzn-mtls- x-amzn-oidc- x-auth-request- x-authenticated- x-authentik- x-client-cert- x-consumer-"
    b" x-goog-authenticated-user- x-goog-iap- x-ms-client-principal x-ms-token- x-pomerium- x-remote-"
    b" x-shib- x-ssl-client- x-tls-client-cert x-vouch- x-webauth-".split()
)
"""What names begin with."""


def is_foreign(folded: bytes) -> bool:
    """Tell whether another product tells an identity under this folded name."""
    return folded in NAMES or folded.startswith(PREFIXES)
