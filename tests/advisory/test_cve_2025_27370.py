"""CVE-2025-27370, CVE-2025-27371: a client was made to sign an assertion for another server's token endpoint.

A provider of bad faith names a good one's token endpoint, and an endpoint of its own beside it. What the
client signs for "the token endpoint" and sends to the other is then good at the good one.
"""

import pytest

from gateway.config.settings.providers import ProviderSettings
from gateway.core.provider import ProviderMetadata
from gateway.oauth import introspection, pushed, revocation, token
from gateway.oauth.form import FormRequest
from tests.support.client_keys import pem

GOOD, BAD = "https://good.example", "https://bad.example"


def settings(audience: str) -> ProviderSettings:
    return ProviderSettings(
        issuer=BAD,
        client_id="c",
        client_auth="private_key_jwt",
        signing_keys=(pem(),),
        assertion_audience=audience,
        audiences=("a",),
    )


def forms(of: ProviderSettings, **endpoints: str) -> list[FormRequest]:
    """Return every request in which the client authenticates."""
    metadata = ProviderMetadata(BAD, f"{BAD}/authorize", jwks_uri=f"{BAD}/jwks", **endpoints)
    revoked = revocation.build_request(metadata, of, "t")
    assert revoked is not None
    return [
        token.build_code_request(metadata, of, code="c", verifier="v", redirect_uri="r"),
        token.build_refresh_request(metadata, of, "t"),
        pushed.build_request(metadata, of, {}),
        introspection.build_request(metadata, of, "t"),
        revoked,
    ]


@pytest.mark.parametrize("audience", ["issuer", "endpoint"])
@pytest.mark.parametrize(
    "foreign",
    [
        "token_endpoint",
        "pushed_authorization_request_endpoint",
        "revocation_endpoint",
        "introspection_endpoint",
    ],
)
def test_nothing_that_reaches_one_server_is_good_at_another(audience: str, foreign: str):
    """R15 [11.5]: the audience is the configured issuer, or the very URL that is called: never a third."""
    names = (
        "token_endpoint",
        "pushed_authorization_request_endpoint",
        "revocation_endpoint",
        "introspection_endpoint",
    )
    endpoints = {name: f"{BAD}/{name}" for name in names} | {foreign: f"{GOOD}/token"}
    for form in forms(settings(audience), **endpoints):
        assert form.assertion_for in (BAD, form.url)
        if form.url.startswith(BAD):
            assert not form.assertion_for.startswith(GOOD)
