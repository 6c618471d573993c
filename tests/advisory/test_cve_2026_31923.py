"""CVE-2026-31923: certificates were not verified unless somebody asked for it."""

import ssl

import pytest

from gateway.config.settings.providers import ProviderSettings
from gateway.config.settings.upstreams import UpstreamSettings
from gateway.edge.providers.trust import Trust
from gateway.http.upstream.tls import client_context


def contexts() -> dict[str, ssl.SSLContext]:
    """Return what connections to an upstream and to a provider are made with by default."""
    provider = ProviderSettings(
        issuer="https://i.example", client_id="c", client_secret="s", audiences=("a",)
    )
    upstream = UpstreamSettings(servers=("https://u.example",))
    return {"upstream": client_context(upstream.tls), "provider": Trust(provider).context()}


@pytest.mark.parametrize("which", ["upstream", "provider"])
def test_certificates_are_verified_by_default(which: str):
    """Without a setting, a certificate must be trusted and be for this host, by TLS 1.2 at least."""
    context = contexts()[which]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
