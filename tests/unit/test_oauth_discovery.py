"""Discovery documents: taken only when they are the issuer's and safe to follow."""

import json
from typing import Any

import pytest

from gateway.core.provider import ProviderMetadata
from gateway.oauth import logout, revocation, userinfo
from gateway.oauth.discovery import MOST_METADATA, check_endpoint, metadata_url, process_response
from gateway.oauth.errors import MessageError
from tests.support.jose import ISSUER, provider

DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
}


def process(document: object, *, allow_insecure_http: bool = False, **settings: Any) -> ProviderMetadata:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return process_response(body, provider(**settings).settings, allow_insecure_http=allow_insecure_http)


def code_of(document: object, **options: Any) -> str:
    with pytest.raises(MessageError) as caught:
        process(document, **options)
    assert caught.value.detail
    return caught.value.code


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://a.example", "https://a.example/.well-known/openid-configuration"),
        ("https://a.example/", "https://a.example/.well-known/openid-configuration"),
        ("https://a.example/realm/", "https://a.example/realm/.well-known/openid-configuration"),
    ],
)
def test_default_place(issuer: str, url: str) -> None:
    """OIDC Discovery section 4: one trailing slash of the issuer goes before the well-known path."""
    assert metadata_url(provider(issuer=issuer).settings) == url
    assert metadata_url(provider(discovery_url="https://in.example/x").settings) == "https://in.example/x"


def test_minimal_document() -> None:
    """What is absent is None or the specification's default."""
    metadata = process(DOCUMENT)
    assert metadata == ProviderMetadata(
        issuer=ISSUER,
        authorization_endpoint=f"{ISSUER}/authorize",
        token_endpoint=f"{ISSUER}/token",
        jwks_uri=f"{ISSUER}/jwks",
    )


CALLED = (
    "token_endpoint",
    "userinfo_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "pushed_authorization_request_endpoint",
)


def test_endpoints_for_who_shows_a_certificate() -> None:
    """RFC 8705 section 5 [11.5]: with a certificate the aliases, but where browsers go or keys come from."""
    others = ("authorization_endpoint", "jwks_uri", "end_session_endpoint", "issuer")
    told = {name: f"{ISSUER}/{name}" for name in (*CALLED, *others)} | {"issuer": ISSUER}
    aliases = {name: f"https://mtls.example/{name}" for name in (*CALLED, *others)}
    document = {**told, "mtls_endpoint_aliases": aliases}
    plain, shown = process(document), process(document, client_certificate="own.pem")
    for name in CALLED:
        assert getattr(plain, name) == f"{ISSUER}/{name}"
        assert getattr(shown, name) == f"https://mtls.example/{name}"
    for name in others:
        assert getattr(plain, name) == getattr(shown, name) == told[name]
    own = process(document, client_certificate="own.pem", token_endpoint="https://own.example/t")
    assert own.token_endpoint == "https://own.example/t"


@pytest.mark.parametrize("aliases", [None, [], "x", 7, {}, {"token_endpoint": None}, {"unknown": 7}])
def test_aliases_that_are_none(aliases: object) -> None:
    """[11.5]: what is no alias leaves the endpoint; one that is null leaves none."""
    document = {**DOCUMENT, "mtls_endpoint_aliases": aliases}
    if isinstance(aliases, dict) and "token_endpoint" in aliases:
        assert code_of(document, client_certificate="own.pem") == "metadata_malformed"
    else:
        assert process(document, client_certificate="own.pem").token_endpoint == DOCUMENT["token_endpoint"]


@pytest.mark.parametrize("url", ["http://mtls.example/t", "https://u@mtls.example/t", "x", 7])
def test_an_alias_is_as_safe_as_an_endpoint(url: object) -> None:
    """R8 [11.5]: an alias is held to what an endpoint is held to."""
    document = {**DOCUMENT, "mtls_endpoint_aliases": {"token_endpoint": url}}
    assert code_of(document, client_certificate="own.pem") in ("endpoint_invalid", "endpoint_insecure")


def test_full_document() -> None:
    """Everything that the gateway uses is taken over; unknown members do not matter."""
    metadata = process(
        {
            **DOCUMENT,
            "userinfo_endpoint": f"{ISSUER}/userinfo",
            "end_session_endpoint": f"{ISSUER}/logout",
            "revocation_endpoint": f"{ISSUER}//revoke",
            "introspection_endpoint": "",
            "authorization_response_iss_parameter_supported": True,
            "code_challenge_methods_supported": ["plain", "S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
            "response_types_supported": ["id_token", "code"],
            "future": {"a": [1]},
        }
    )
    assert metadata.iss_parameter_supported
    assert metadata.code_challenge_methods == ("plain", "S256")
    assert metadata.token_auth_methods == ("client_secret_post",)
    assert metadata.revocation_endpoint == f"{ISSUER}//revoke"
    assert metadata.introspection_endpoint is None


@pytest.mark.parametrize(
    "issuer", [ISSUER + "/", ISSUER.upper(), "https://other.example", "", None, 1, [ISSUER]]
)
def test_issuer_matches_exactly(issuer: object) -> None:
    """R8: a trailing slash more, another case, a list: all refused, as the operator's to mend."""
    assert code_of({**DOCUMENT, "issuer": issuer}) == "issuer_mismatch"
    assert MessageError("issuer_mismatch", "").is_misconfiguration


def test_issuer_matches_wherever_the_document_is() -> None:
    """R8: a document from an internal ``discovery_url`` names the public issuer all the same."""
    assert process(DOCUMENT, discovery_url="http://localhost:1/x").issuer == ISSUER
    assert code_of({**DOCUMENT, "issuer": "http://localhost:1"}, discovery_url="http://localhost:1/x") == (
        "issuer_mismatch"
    )
    with_slash = {**DOCUMENT, "issuer": ISSUER + "/"}
    assert process(with_slash, issuer=ISSUER + "/").issuer == ISSUER + "/"


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
def test_missing_endpoint_can_be_configured(name: str) -> None:
    """An endpoint that the document lacks is an error, unless the configuration names it."""
    document = {key: value for key, value in DOCUMENT.items() if key != name}
    assert code_of(document) == "metadata_malformed"
    assert getattr(process(document, **{name: "https://in.example/x"}), name) == "https://in.example/x"


def test_configured_endpoints_win() -> None:
    """Internal endpoints of the configuration replace those of the document."""
    names = ("token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint")
    internal = {name: f"http://127.0.0.1:1/{name}" for name in names}
    metadata = process({**DOCUMENT, "userinfo_endpoint": f"{ISSUER}/userinfo"}, **internal)
    assert {name: getattr(metadata, name) for name in names} == internal
    assert metadata.authorization_endpoint == f"{ISSUER}/authorize"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/token",
        "//issuer.example/token",
        "ftp://issuer.example/token",
        "javascript:alert(1)",
        "https://",
        "https:///token",
        "https://user:secret@issuer.example/token",
        "https://@issuer.example/token",
        "https://issuer.example/token#fragment",
        "https://issuer.example/token#",
        "https://issuer.example:0/",
        "https://issuer.example:99999/",
        "https://issuer.example:x/",
        "https://[::1/",
        "https://issuer.example/a b",
        "https://issuer.example/a\r\nX: y",
        "https://issuer.example\\@evil.example/",
        "https://issuer.example/\x7f",
        "https://issuér.example/",
        "https://issuer.example/" + "a" * 2048,
        1,
        None,
        ["https://issuer.example"],
    ],
    ids=lambda url: repr(url)[:50],
)
def test_bad_endpoints(url: Any) -> None:
    """An endpoint is one absolute, clean URL; anything else is refused before a secret goes there."""
    with pytest.raises(MessageError) as caught:
        check_endpoint("token_endpoint", url, allow_insecure_http=True)
    assert caught.value.code == "endpoint_invalid"


@pytest.mark.parametrize(
    "host", ["issuer.example", "10.0.0.1", "localhost.example", "[2001:db8::1]", "127.0.0.1.example"]
)
def test_plain_http_is_refused(host: str) -> None:
    """Secrets do not cross a network in the clear, unless the operator says so."""
    url = f"http://{host}/token"
    assert code_of({**DOCUMENT, "token_endpoint": url}) == "endpoint_insecure"
    assert code_of(DOCUMENT, token_endpoint=url) == "endpoint_insecure"
    assert process({**DOCUMENT, "token_endpoint": url}, allow_insecure_http=True).token_endpoint == url


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8081", "127.1.2.3", "[::1]:80", "LOCALHOST"])
def test_plain_http_on_this_machine(host: str) -> None:
    """Towards the loopback interface plain http is fine."""
    url = f"http://{host}/token"
    assert process({**DOCUMENT, "token_endpoint": url}).token_endpoint == url


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"response_types_supported": ["id_token", "code id_token"]}, "code_flow_unsupported"),
        ({"response_types_supported": []}, "code_flow_unsupported"),
        ({"response_types_supported": "id_token"}, "code_flow_unsupported"),
        ({"code_challenge_methods_supported": ["plain"]}, "pkce_unsupported"),
        ({"code_challenge_methods_supported": []}, "pkce_unsupported"),
        ({"code_challenge_methods_supported": {"S256": 1}}, "metadata_malformed"),
    ],
)
def test_advertised_capabilities(change: dict[str, object], code: str) -> None:
    """R1, R2: a provider that says it has no code flow or no S256 is not used."""
    assert code_of({**DOCUMENT, **change}) == code


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>not here</html>",
        b"[]",
        b"null",
        b"{",
        json.dumps(DOCUMENT).encode()[:-5],
        b"\xff\xfe",
        b'{"issuer":"a","issuer":"b"}',
        b'{"a":' * 3000,
        b'{"a":"' + b"x" * MOST_METADATA + b'"}',
    ],
    ids=lambda body: repr(body[:30]),
)
def test_garbage(body: bytes) -> None:
    """HTML, truncated, huge and nested answers have the one declared error."""
    assert code_of(body) == "metadata_malformed"


def test_error_texts_are_bounded() -> None:
    """A hostile issuer cannot flood the log."""
    with pytest.raises(MessageError) as caught:
        process({**DOCUMENT, "issuer": "x" * 100_000})
    assert len(caught.value.detail) < 500


@pytest.mark.parametrize(
    "change",
    [
        {"introspection_endpoint": "http://issuer.example/introspect"},
        {"introspection_endpoint": "/introspect"},
        {"revocation_endpoint": "http://issuer.example/revoke"},
        {"revocation_endpoint": 7},
        {"userinfo_endpoint": "userinfo"},
        {"userinfo_endpoint": ["https://issuer.example/userinfo"]},
        {"end_session_endpoint": "http://issuer.example/logout"},
        {
            "registration_endpoint": "http://x",
            "check_session_iframe": 7,
            "device_authorization_endpoint": "y",
        },
        {"response_types_supported": "code"},
        {"response_types_supported": "code id_token"},
        {"code_challenge_methods_supported": "S256"},
        {"code_challenge_methods_supported": None},
        {"token_endpoint_auth_methods_supported": "client_secret_basic"},
        {"token_endpoint_auth_methods_supported": {"a": 1}},
        {"scopes_supported": "openid", "claims_supported": 7, "id_token_signing_alg_values_supported": {}},
    ],
    ids=str,
)
def test_what_is_not_used_is_not_judged(change: dict[str, object]) -> None:
    """[2.19]: an optional endpoint, or a list that is a text, does not make the provider unusable."""
    assert process({**DOCUMENT, **change}).token_endpoint == f"{ISSUER}/token"


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("userinfo_endpoint", lambda metadata: userinfo.build_request(metadata, "at")),
        (
            "revocation_endpoint",
            lambda metadata: revocation.build_request(metadata, provider().settings, "rt"),
        ),
        (
            "end_session_endpoint",
            lambda metadata: logout.build_request(
                metadata, provider().settings, redirect_uri="r", state="s", id_token_hint=None
            ),
        ),
    ],
)
def test_an_endpoint_that_was_left_out_is_told_where_it_is_used(name: str, use: Any) -> None:
    """[2.19]: nothing is sent to it, and who would have says why."""
    metadata = process({**DOCUMENT, name: "http://issuer.example/x"})
    assert getattr(metadata, name) is None
    with pytest.raises(MessageError) as caught:
        use(metadata)
    assert caught.value.code == "endpoint_insecure"
    assert name in caught.value.detail


def test_a_configured_endpoint_is_judged_at_once() -> None:
    """[2.19]: what the operator names is used, so it is judged."""
    assert code_of(DOCUMENT, userinfo_endpoint="http://issuer.example/userinfo") == "endpoint_insecure"
