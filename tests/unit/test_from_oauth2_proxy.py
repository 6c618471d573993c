"""``gateway import oauth2-proxy``: every option is translated, or named; and nobody more comes in."""

import json
import random
import re
import sys
from pathlib import Path

import pytest
import yaml

from gateway.cli import main as cli
from gateway.cli.oauth2_proxy.alpha import PROVIDER, SERVERS, read_alpha
from gateway.cli.oauth2_proxy.options import Options, Unreadable, read_file
from gateway.cli.oauth2_proxy.patterns import NoPrefix, Place, places_of
from gateway.cli.oauth2_proxy.table import COMMAND_LINE, OPTIONS
from gateway.cli.oauth2_proxy.translate import translate
from gateway.core.decide import route_of
from gateway.core.decision.context import Knowledge, Memory
from gateway.core.headers.request import Request
from gateway.core.rules.denylist import Denylist
from gateway.core.runtime import compile_settings
from gateway.edge.configfile.load import parse
from tests.support.client_keys import pem
from tests.support.configuration import KEY, TREE

RECORDED = TREE / "tests/support/recorded/oauth2_proxy_7_15_options.txt"
PAGE = TREE / "docs/from-oauth2-proxy.md"
BASE = {
    "redirect_url": "https://app.example.com/oauth2/callback",
    "provider": "oidc",
    "oidc_issuer_url": "https://login.example.com",
    "client_id": "app",
    "client_secret": "hunter2-client",
    "cookie_secret": "hunter2-cookie00",
    "email_domains": ["*"],
    "upstreams": ["http://127.0.0.1:3000/"],
}
ENVIRONMENT = {
    "GATEWAY_SECRET_KEY": KEY,
    "GATEWAY_CLIENT_SECRET": "a-client-secret",
    "GATEWAY_REDIS_URL": "redis://user:secret@redis:6379/0",
    "GATEWAY_REDIS_PASSWORD": "a-password",
    "GATEWAY_SENTINEL_PASSWORD": "a-password",
    "GATEWAY_BASIC_PASSWORD": "a-password",
    "GATEWAY_SIGNING_KEY": pem("RS"),
    "GATEWAY_X_SECRET": "a-secret",
    "UPSTREAM_SECRET": "a-secret",
}


def imported(more=None, *, without=(), public_url=None, files=None, alpha=None):
    """Return what becomes of a file."""
    given = {name: value for name, value in (BASE | (more or {})).items() if name not in without}

    def read(path: Path) -> str:
        found = (files or {}).get(str(path))
        if found is None:
            raise FileNotFoundError
        return found

    if alpha is not None:
        given |= alpha.options
    return translate(Options(given), public_url, read, alpha)


def checked(draft):
    """Return the settings of a draft, which ``gateway check`` finds good."""
    assert draft.errors == []
    return parse(draft.to_yaml("x.cfg").encode(), "x", TREE, ENVIRONMENT).settings


def test_every_option_of_7_15_is_there():
    """[11] None is left out and none is made up; the page is the table."""
    names = RECORDED.read_text().split()
    assert sorted(OPTIONS) == names
    assert len(names) == 169
    page = PAGE.read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
    words = {"to": "", "no": "**not needed**: ", "not": "**not there**: ", "not!": "**not there**, refused: "}
    told = {name: words[each.verdict] + each.words for name, each in OPTIONS.items()} | COMMAND_LINE
    assert rows == told
    for name in {*PROVIDER.values(), *SERVERS.values()}:
        assert name in OPTIONS


def value_of(name: str):
    """Return a value of an option's kind that is not its default."""
    option = OPTIONS[name]
    return {
        "flag": option.default != "true",
        "list": ["x"],
        "duration": "7m",
        "number": 5,
        "text": "x",
    }[option.kind]


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_each_option_given(name):
    """[11] What is not needed changes nothing; what is not there is told, or refuses."""
    option, before = OPTIONS[name], imported()
    after = imported({name: value_of(name)})
    said = [each for each in (*after.errors, *after.notes) if each.startswith(f"{name}: ")]
    if option.verdict == "no":
        assert (after.sections, after.errors, after.notes) == (before.sections, [], before.notes)
    elif option.verdict == "not":
        assert (after.sections, after.errors) == (before.sections, [])
        assert said == [f"{name}: {option.words}"]
    elif option.verdict == "not!":
        assert f"{name}: {option.words}" in after.errors


TRANSLATED = [
    ({"acr_values": "gold"}, "providers.oidc.extra_authorization_parameters.acr_values", "gold"),
    ({"prompt": "login"}, "providers.oidc.extra_authorization_parameters.prompt", "login"),
    ({"allowed_groups": ["a", "b"]}, "require.all.1.groups", ["a", "b"]),
    ({"email_domains": ["Example.com"]}, "require.email_domains", ["example.com"]),
    ({"email_domains": ["*"]}, "require.claims.email.matches", ".+"),
    (
        {"provider": "keycloak-oidc", "allowed_roles": ["admin", "app:editor"]},
        "roles_claim",
        "realm_access.roles",
    ),
    ({"provider": "keycloak-oidc", "allowed_roles": ["admin"]}, "providers.keycloak.userinfo", True),
    ({"provider": "keycloak-oidc", "keycloak_groups": ["/a"]}, "require.all.1.groups", ["/a"]),
    ({"provider": "entra-id", "entra_id_allowed_tenants": ["t"]}, "require.all.1.claims.tid", ["t"]),
    ({"auth_request_response_mode": "form_post"}, "providers.oidc.response_mode", "form_post"),
    ({"basic_auth_password": "p"}, "routes.0.authorization.basic.username", "sub"),
    ({"client_secret_file": "/run/secret"}, "providers.oidc.client_secret", "${file:/run/secret}"),
    ({"cookie_csrf_expire": "5m"}, "session.login_lifetime", "5m"),
    ({"cookie_expire": "12h"}, "session.absolute_lifetime", "12h"),
    (
        {"cookie_domains": [".example.com"]},
        "public_url",
        ["https://app.example.com", "https://*.example.com"],
    ),
    ({"cookie_domains": [".example.com"]}, "login_host", "https://app.example.com"),
    (
        {"cookie_domains": ["example.com"], "whitelist_domains": [".example.com", "a.example.org"]},
        "public_url",
        ["https://app.example.com", "https://*.example.com", "https://a.example.org"],
    ),
    ({"whitelist_domains": [".example.com"]}, "public_url", "https://app.example.com"),
    ({"disable_keep_alives": True}, "upstreams.app.max_idle", 0),
    ({"force_json_errors": True}, "routes.0.unauthenticated", "reject"),
    ({"http_address": ":4180"}, "listen", "0.0.0.0:4180"),
    (
        {"tls_cert_file": "/c", "tls_key_file": "/k", "tls_min_version": "TLS1.3"},
        "tls.minimum_version",
        "1.3",
    ),
    ({"tls_cert_file": "/c", "tls_key_file": "/k"}, "listen", "0.0.0.0:443"),
    ({"insecure_oidc_allow_unverified_email": True}, "providers.oidc.email_verified", "ignore"),
    ({"insecure_oidc_allow_unverified_email": True}, "require.claims.address.matches", ".+"),
    ({"provider": "login.gov", "jwt_key_file": "/k"}, "providers.logingov.signing_keys.0", "${file:/k}"),
    ({"provider": "login.gov", "jwt_key": "k"}, "providers.logingov.client_auth", "private_key_jwt"),
    ({"login_url": "https://l.example/a"}, "providers.oidc.authorization_endpoint", "https://l.example/a"),
    ({"redeem_url": "https://l.example/t"}, "providers.oidc.token_endpoint", "https://l.example/t"),
    ({"profile_url": "https://l.example/u"}, "providers.oidc.userinfo_endpoint", "https://l.example/u"),
    ({"oidc_jwks_url": "https://l.example/j"}, "providers.oidc.jwks_uri", "https://l.example/j"),
    ({"metrics_address": "127.0.0.1:9100"}, "admin.listen", "127.0.0.1:9100"),
    ({"oidc_email_claim": "mail"}, "providers.oidc.claims.email", "mail"),
    ({"user_id_claim": "upn"}, "providers.oidc.claims.email", "upn"),
    ({"oidc_groups_claim": "roles"}, "groups_claim", "roles"),
    ({"oidc_groups_claim": "roles"}, "identity_headers.X-Forwarded-Groups", "roles"),
    ({"oidc_enabled_signing_algs": ["ES256"]}, "providers.oidc.algorithms", ["ES256"]),
    ({"oidc_extra_audiences": ["b"]}, "providers.oidc.id_token_audiences", ["b"]),
    ({}, "providers.oidc.audiences", ["no-bearer-tokens"]),
    (
        {"skip_jwt_bearer_tokens": True, "oidc_extra_audiences": ["b"]},
        "providers.oidc.audiences",
        ["app", "b"],
    ),
    (
        {"skip_jwt_bearer_tokens": True, "extra_jwt_issuers": ["https://a.example=x", "https://a.example=y"]},
        "providers.issuer-1.audiences",
        ["x", "y"],
    ),
    ({"pass_access_token": True}, "routes.0.authorization", "access_token"),
    ({"pass_basic_auth": False, "pass_user_headers": False}, "identity_headers", {}),
    ({"prefer_email_to_user": True}, "identity_headers.X-Forwarded-User", "email"),
    (
        {
            "set_xauthrequest": True,
            "session_store_type": "redis",
            "redis_connection_url": "redis://r",
            "reverse_proxy": True,
            "trusted_proxy_ips": ["10.0.0.1"],
        },
        "identity_headers.X-Auth-Request-User",
        "sub",
    ),
    ({"pass_host_header": False}, "upstreams.app.host", "rewrite"),
    ({"ping_path": "/live"}, "health_path", "/live"),
    ({"provider_display_name": "Work"}, "providers.oidc.label", "Work"),
    ({"provider_ca_files": ["/ca.pem"]}, "providers.oidc.ca_file", "/ca.pem"),
    ({"proxy_prefix": "/auth"}, "prefix", "/auth/"),
    ({"redirect_url": "https://app.example.com/oauth2/cb"}, "providers.oidc.callback", "/oauth2/cb"),
    (
        {
            "reverse_proxy": True,
            "trusted_proxy_ips": ["10.0.0.1"],
            "real_client_ip_header": "x-forwarded-for",
        },
        "forwarding.address",
        "X-Forwarded-For",
    ),
    ({"request_logging": False}, "log.access", False),
    ({"resource": "https://api.example.com"}, "providers.oidc.resources", ["https://api.example.com"]),
    ({"resource": "app-id"}, "providers.oidc.extra_authorization_parameters.resource", "app-id"),
    ({"scope": "email groups"}, "providers.oidc.scopes", ["openid", "email", "groups"]),
    ({"skip_claims_from_profile_url": True}, "providers.oidc.userinfo", None),
    (
        {"ssl_upstream_insecure_skip_verify": True, "upstreams": ["https://a:8443"]},
        "upstreams.app.tls.verify",
        False,
    ),
    ({"upstream_timeout": "1m30s"}, "upstreams.app.response_timeout", "90s"),
    ({"skip_auth_preflight": True}, "routes.0.preflight", "forward"),
    (
        {"session_store_type": "redis", "redis_connection_url": "redis://:pw@r:6379"},
        "redis.url",
        "${env:GATEWAY_REDIS_URL}",
    ),
    (
        {
            "session_store_type": "redis",
            "redis_connection_url": "redis://r:6379",
            "redis_username": "u",
            "redis_password": "p",
        },
        "redis.password",
        "${env:GATEWAY_REDIS_PASSWORD}",
    ),
    (
        {
            "session_store_type": "redis",
            "redis_use_cluster": True,
            "redis_cluster_connection_urls": ["rediss://a:1", "b"],
            "redis_ca_path": "/ca",
            "redis_insecure_skip_tls_verify": True,
        },
        "redis.cluster",
        ["a:1", "b:6379"],
    ),
    (
        {
            "session_store_type": "redis",
            "redis_use_sentinel": True,
            "redis_sentinel_connection_urls": ["redis://s:26379"],
            "redis_sentinel_master_name": "m",
            "redis_sentinel_password": "p",
        },
        "redis.sentinel.nodes",
        ["s:26379"],
    ),
    (
        {"provider": "google", "approval_prompt": "force"},
        "providers.google.extra_authorization_parameters",
        {"access_type": "offline", "prompt": "consent"},
    ),
    ({"provider": "azure", "azure_tenant": "11-22"}, "providers.azure.groups_overage", "graph"),
    ({"provider": "gitlab", "gitlab_groups": ["g"]}, "require.all.1.groups", ["g"]),
    (
        {"provider": "github", "github_org": "acme", "github_team": "a,b"},
        "require.all.1.groups",
        ["acme/a", "acme/b"],
    ),
    (
        {"provider": "github", "github_org": "acme", "github_users": ["bob"]},
        "require.all.1.any.1.claims.login",
        ["bob"],
    ),
    ({"provider": "github"}, "identity_headers.X-Forwarded-User", "login"),
    (
        {"provider": "keycloak", "login_url": "https://k.example/realms/r/protocol/openid-connect/auth"},
        "providers.keycloak.issuer",
        "https://k.example/realms/r",
    ),
    ({"upstreams": ["unix:///run/app.sock"]}, "upstreams.app.servers", ["unix:/run/app.sock"]),
    ({"upstreams": ["https://app.internal"]}, "upstreams.app.servers", ["https://app.internal:443"]),
]


@pytest.mark.parametrize(
    ("given", "path", "value"), TRANSLATED, ids=[",".join(each[0]) for each in TRANSLATED]
)
def test_each_option_is_translated(given, path, value):
    """[11] Where it goes, and that ``gateway check`` takes the whole file."""
    without = (
        ["oidc_issuer_url"]
        if given.get("provider") in ("github", "keycloak", "azure", "google", "gitlab", "login.gov")
        else []
    )
    draft = imported(given, without=without)
    found = draft.sections
    for part in path.split("."):
        found = found[int(part)] if isinstance(found, list) else found.get(part)
    assert found == value, draft.sections
    text = draft.to_yaml("x")
    if "${file:" not in text and "tls_cert_file" not in given and "ca_file" not in text:
        checked(draft)
    assert "hunter2" not in text + json.dumps([draft.notes, draft.errors, draft.variables])


def test_every_translated_option_is_in_the_table_of_cases():
    """[11] An option that is said to be translated is shown to be."""
    shown = {name for given, *_ in TRANSLATED for name in given}
    elsewhere = {
        "api_routes",
        "skip_auth_regex",
        "skip_auth_routes",
        "authenticated_emails_file",
        "client_id",
        "https_address",
        "oidc_issuer_url",
        "set_basic_auth",
        "skip_oidc_discovery",
        "tls_key_file",
    }
    assert {name for name, each in OPTIONS.items() if each.verdict == "to"} - shown - elsewhere == set(
        BASE
    ) & {"client_secret"}


PATTERNS = [
    ("^/x/", [Place("/x/")]),
    ("^/x", [Place("/x")]),
    ("^/x$", [Place("/x", exact=True)]),
    ("^/x/?$", [Place("/x/", exact=True), Place("/x", exact=True)]),
    ("^/api/(health|ready)$", [Place("/api/health", exact=True), Place("/api/ready", exact=True)]),
    ("^/static/.*", [Place("/static/")]),
    ("^/static/.*$", [Place("/static/")]),
    ("^/a(/|$)", [Place("/a/"), Place("/a", exact=True)]),
    ("^/a(?:/.*)?$", [Place("/a/"), Place("/a", exact=True)]),
    ("^/favicon\\.ico$", [Place("/favicon.ico", exact=True)]),
    ("^/", [Place("/")]),
    ("^$", []),
]
NONE = [
    "/x",
    ".*",
    "^/.*\\.css$",
    "^/v[0-9]/",
    "^/a|^/b",
    "(?i)^/x",
    "^(?i)/x",
    "^/a/.+",
    "^/a$b",
    "^/a(",
    "^/a)",
    "^/a*",
    "^/a{2}",
    "^/\\d",
    "^x",
    "^/" + "(a|b)" * 9,
    "^" + "(" * 20,
    "^/a.*b",
    "^/a.b",
    "",
    "$",
    "^/a\\",
]


def test_patterns_that_are_prefixes():
    """[11] A table."""
    for expression, places in PATTERNS:
        assert places_of(expression) == places, expression


@pytest.mark.parametrize("expression", NONE)
def test_patterns_that_are_none(expression):
    """[11] A regular expression that is no prefix is an error that says so, and names it."""
    with pytest.raises(NoPrefix):
        places_of(expression)
    if expression:
        draft = imported({"skip_auth_regex": [expression]})
        assert any("is no prefix" in each and expression[:20] in each for each in draft.errors)


def test_a_negated_pattern_must_be_a_whole_one():
    """[11] All but a prefix is public: to cover less by that prefix than there would open what was closed."""
    assert imported({"skip_auth_routes": ["!=^/admin"]}).errors
    draft = imported({"skip_auth_routes": ["!=^/admin(/|$)"]})
    access = {(each["path"], each.get("exact", False)): each["access"] for each in draft.sections["routes"]}
    assert access.pop(("/", False)) == "public"
    assert access == dict.fromkeys((("/admin/", False), ("/admin", True), ("/admin/", True)), "required")
    checked(draft)


PIECES = ["a", "b", "api", "x.txt", "static"]


def pattern(rng: random.Random) -> str:
    path = "/" + "/".join(rng.choice(PIECES) for _ in range(rng.randint(0, 2)))
    end = rng.choice(["", "/", "$", "/?$", "(/|$)", "/.*", "(/.*)?$"])
    text = "^" + path.replace(".", "\\.") + (end if path != "/" else rng.choice(["", "$"]))
    method = rng.choice(["", "", "GET=", "POST=", "!=", "POST!="])
    return method + text


def is_public_there(patterns: list[str], method: str, path: str) -> bool:
    """Tell what oauth2-proxy 7.15 would (oauthproxy.go, isAllowedRoute)."""
    for text in patterns:
        parts = re.split("!?=", text, maxsplit=1)
        wanted, expression = ("", parts[0]) if len(parts) == 1 else (parts[0].upper(), parts[1])
        if wanted in ("", method) and (re.search(expression, path) is not None) is not ("!=" in text):
            return True
    return False


@pytest.mark.parametrize("seed", range(60))
def test_no_request_gets_in_that_did_not(seed):
    """[11] Whatever the lists: what is public here was public there, and goes to the same upstream."""
    rng = random.Random(seed)
    patterns = [pattern(rng) for _ in range(rng.randint(1, 4))]
    upstreams = {"/": 3000, "/api/": 3001, "/a/b": 3002}
    draft = imported(
        {
            "skip_auth_routes": patterns,
            "upstreams": [f"http://127.0.0.1:{port}{path}" for path, port in upstreams.items()],
            "api_routes": ["^/api/a/"],
        }
    )
    if draft.errors:
        assert all("!=" in each for each in draft.errors)
        return
    settings = checked(draft)
    known = compile_settings(settings)
    knowledge = Knowledge(known, {}, Denylist(), Memory(), lambda _: None, lambda _: False)
    for _ in range(120):
        path = "/" + "/".join(rng.choice([*PIECES, "ab", "apix"]) for _ in range(rng.randint(0, 3)))
        path += rng.choice(["", "/"]) if path != "/" else ""
        method = rng.choice(["GET", "POST", "DELETE"])
        host = b"app.example.com"
        request = Request(method.encode(), path.encode(), host, ((b"Host", host),), "192.0.2.1")
        route = route_of(request, knowledge)
        assert route is not None, path
        if route.access == "public":
            # a directory without its slash is the directory to many an upstream, and so is one place here
            assert is_public_there(patterns, method, path) or is_public_there(patterns, method, path + "/"), (
                path
            )
        if path == "/a/b" or path.startswith("/api/"):
            port = upstreams["/a/b" if path == "/a/b" else "/api/"]
            assert str(port) in settings.upstreams[route.upstream].servers[0]


def test_paths_of_our_own():
    """[11] What is below the prefix needs no route; the path for balancers may be public besides."""
    draft = imported({"skip_auth_routes": ["^/oauth2/", "^/oauth2/static/", "^/ping$", "^/ready$"]})
    assert {each["path"] for each in checked(draft).model_dump()["routes"]} >= {"/ping", "/ready", "/"}
    assert sum("own endpoints" in each for each in draft.notes) == 2


def test_addresses_of_a_file():
    """[11] They stand in the file then; one that cannot be read refuses."""
    files = {"emails": '# people\nAlice@Example.com\n"bob@example.com",x\n\n'}
    draft = imported({"email_domains": ["example.org"], "authenticated_emails_file": "emails"}, files=files)
    assert draft.sections["require"] == {
        "any": [
            {"email_domains": ["example.org"]},
            {"claims": {"email": {"any_of": ["alice@example.com", "bob@example.com"]}}},
        ]
    }
    checked(draft)
    assert imported({"authenticated_emails_file": "nowhere"}).errors
    assert imported({"email_domains": []}).errors


REFUSED = [
    ({"reverse_proxy": True}, "trusted_proxy_ips"),
    ({"reverse_proxy": True, "trusted_proxy_ips": ["0.0.0.0/0"]}, "trusted_proxy_ips"),
    (
        {"reverse_proxy": True, "trusted_proxy_ips": ["10.0.0.1"], "real_client_ip_header": "X-Evil"},
        "real_client_ip_header",
    ),
    ({"provider": "bitbucket"}, "provider"),
    ({"provider": "azure", "oidc_issuer_url": ""}, "azure_tenant"),
    (
        {"provider": "entra-id", "oidc_issuer_url": "https://login.microsoftonline.com/common/v2.0"},
        "oidc_issuer_url",
    ),
    ({"provider": "login.gov"}, "jwt_key_file"),
    ({"oidc_issuer_url": ""}, "oidc_issuer_url"),
    ({"client_id": ""}, "client_id"),
    ({"redirect_url": "/oauth2/callback"}, "redirect_url"),
    ({"http_address": "unix:///run/x"}, "http_address"),
    ({"http_address": "fd:3"}, "http_address"),
    ({"upstreams": ["file:///var/www/#/"]}, "upstreams"),
    ({"upstreams": ["static://503"]}, "upstreams"),
    ({"upstreams": ["ftp://x/"]}, "upstreams"),
    ({"upstreams": ["static://202"]}, "reverse_proxy"),
    ({"oidc_enabled_signing_algs": ["HS256"]}, "oidc_enabled_signing_algs"),
    ({"provider_ca_files": ["/a", "/b"]}, "provider_ca_files"),
    ({"session_store_type": "redis"}, "redis_connection_url"),
    ({"basic_auth_password": "p", "pass_access_token": True}, "pass_access_token"),
    ({"extra_jwt_issuers": ["x"], "skip_jwt_bearer_tokens": True}, "extra_jwt_issuers"),
    ({"oidc_audience_claims": ["azp"]}, "oidc_audience_claims"),
    ({"skip_auth_routes": ["^/a=b"]}, "skip_auth_routes"),
    ({"skip_auth_routes": ["FETCH=^/a/"]}, "skip_auth_routes"),
    ({"google_groups": ["g@example.com"]}, "google_groups"),
    ({"auth_request_response_mode": "fragment"}, "auth_request_response_mode"),
]


@pytest.mark.parametrize(
    ("given", "option"), REFUSED, ids=[f"{each[1]}-{number}" for number, each in enumerate(REFUSED)]
)
def test_what_cannot_be_said_refuses(given, option):
    """[11] What would let in, or leave nothing that works, is an error at its option."""
    assert any(each.startswith(f"{option}: ") for each in imported(given).errors)


def test_a_proxy_that_asks():
    """[11.10] An upstream that is static stands for one: nothing is forwarded from here."""
    draft = imported(
        {
            "upstreams": ["static://202"],
            "reverse_proxy": True,
            "trusted_proxy_ips": ["10.0.0.1"],
            "set_xauthrequest": True,
        }
    )
    settings = checked(draft)
    assert (settings.asked_by, settings.session.mode) == (("nginx",), "redis")


def test_the_site_may_be_told():
    """[11] Where the file leaves it to the Host field, somebody has to say it."""
    draft = imported(without=["redirect_url"], public_url="https://App.example.com/")
    assert draft.sections["public_url"] == "https://app.example.com"
    assert imported(without=["redirect_url"]).errors


ALPHA = """
upstreamConfig:
  upstreams:
    - {id: app, path: /, uri: "http://127.0.0.1:3000", timeout: 10s, passHostHeader: false}
    - {id: old, path: "^/old/(.*)$", rewriteTarget: "/new/$1", uri: "http://127.0.0.1:3001"}
    - {id: bare, path: "^/bare/(.*)", rewriteTarget: "/$1", uri: "http://127.0.0.1:3002"}
injectRequestHeaders:
  - {name: X-User, values: [{claimSource: {claim: user}}]}
  - {name: X-Groups, values: [{claim: groups}]}
  - {name: X-Secret, values: [{secretSource: {value: aHVudGVyMg==}}]}
  - {name: X-Env, values: [{secretSource: {fromEnv: UPSTREAM_SECRET}}]}
  - {name: Authorization, values: [{claimSource: {claim: access_token, prefix: "Bearer "}}]}
injectResponseHeaders:
  - {name: X-Auth-Request-User, values: [{claimSource: {claim: user}}]}
server: {bindAddress: "0.0.0.0:4180"}
providers:
  - id: x
    provider: oidc
    clientID: app
    clientSecret: hunter2
    oidcConfig: {issuerURL: "https://login.example.com", groupsClaim: roles, insecureSkipNonce: false}
    loginURLParameters: [{name: hd, default: [example.com]}, {name: prompt, default: [login]}]
"""


def test_the_alpha_configuration():
    """[11] Upstreams, rewritten prefixes, header fields, secrets, servers and the provider."""
    alpha = read_alpha(ALPHA.encode())
    draft = imported(alpha=alpha, without=["upstreams", "client_secret"])
    settings = checked(draft)
    routes = {each.path: each for each in settings.routes}
    assert (routes["/old/"].replace_prefix, routes["/bare/"].strip_prefix) == ("/new/", True)
    assert settings.identity_headers == {"X-User": "sub", "X-Groups": "roles", "X-Auth-Request-User": "sub"}
    assert set(routes["/"].request_headers) == {"X-Secret", "X-Env"}
    assert routes["/"].authorization == "access_token"
    assert settings.upstreams["app"].host == "rewrite"
    assert settings.providers["oidc"].extra_authorization_parameters == {
        "hd": "example.com",
        "prompt": "login",
    }
    assert "hunter2" not in draft.to_yaml("x")
    assert "aHVudGVyMg" not in draft.to_yaml("x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "a: b",
        "providers: []",
        "providers: [{}, {}]",
        "providers: [{nothing: 1}]",
        "providers: [{provider: oidc}]\nupstreamConfig: {upstreams: x}",
        "providers: [{}]\nserver: {tls: {key: {value: x}}}",
        "providers: [{}]\nupstreamConfig: {upstreams: [{odd: 1}]}",
        "\x00",
        "a: &a [*a]",
    ],
)
def test_what_is_no_alpha_configuration(text):
    """[11] Garbage, and members that there are not, are told."""
    with pytest.raises(Unreadable):
        read_alpha(text.encode())


@pytest.mark.parametrize(
    ("path", "target"),
    [("/x/{id}", None), ("^/x/[0-9]+", "/y"), ("^/x/(.*)$", "/y?z=$1"), ("^/x/(.*)$", "$1$1")],
)
def test_rewrites_that_are_no_prefix(path, target):
    """[11] A regular expression that is no prefix is an error that says so."""
    upstream = {"path": path, "uri": "http://127.0.0.1:1"} | (
        {} if target is None else {"rewriteTarget": target}
    )
    alpha = read_alpha(
        yaml.safe_dump(
            {"providers": [{"provider": "oidc"}], "upstreamConfig": {"upstreams": [upstream]}}
        ).encode()
    )
    assert any("prefix" in each for each in imported(alpha=alpha, without=["upstreams"]).errors)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"email_domain = '*'", "email_domains is meant"),
        (b"cookie_expire = 'soon'", "a duration"),
        (b"cookie_expire = 5", "a duration"),
        (b"reverse_proxy = 'maybe'", "true or false"),
        (b"upstreams = [1]", "a list of texts"),
        (b"client_id = 5", "a text"),
        (b"logging_max_age = 'x'", "a whole number"),
        (b"x = ", "no TOML"),
        (b"\xff", "no UTF-8"),
        (b"[section]\na = 1", "no such option"),
        (b"OAUTH2_PROXY_NOTHING=1", "no such option"),
        (b"#" * 2_000_000, "too long"),
        (b"a=" + b"[" * 100_000, "no TOML"),
    ],
)
def test_what_is_no_file(data, said):
    """[11] A file that oauth2-proxy would refuse is refused, by words that hold nothing of its values."""
    with pytest.raises(Unreadable, match=said):
        read_file(data)


def test_a_file_of_environment_variables():
    """[11] Lines as its environment has them are options as well."""
    lines = (
        b"# x\nexport OAUTH2_PROXY_CLIENT_ID='app'\nOAUTH2_PROXY_EMAIL_DOMAINS=a.example, b.example\n"
        b"OAUTH2_PROXY_REVERSE_PROXY=true\n"
    )
    options = read_file(lines)
    assert options.text("client_id") == "app"
    assert options.items("email_domains") == ["a.example", "b.example"]
    assert options.flag("reverse_proxy")


def test_nothing_of_a_file_breaks_out_of_its_place():
    """[11] Neither a line of its own, nor a reference of ours, nor a way to make the command fail."""
    assert checked(imported({"client_id": "${env:HOME}"})).providers["oidc"].client_id == "${env:HOME}"
    for path in ("/a\nx: y", "/a b/", "/a%2Fb", "/a//b", "/../", "/\u00fc", "/a;b"):
        draft = imported({"skip_auth_routes": [f"^{path}$"]})
        assert any("canonical" in each or "prefix" in each for each in draft.errors), path
        assert imported({"upstreams": [f"http://127.0.0.1:1{path}"]}).errors or "\n" in path
        assert "\nx: y" not in draft.to_yaml("x")
    alpha = read_alpha(
        yaml.safe_dump(
            {
                "providers": [{"provider": "oidc"}],
                "injectRequestHeaders": [
                    {"name": "X\nroutes: []", "values": [{"secretSource": {"value": "eA=="}}]},
                    {"name": "X", "values": [{"claimSource": {"claim": "id_token\nroutes: []"}}]},
                ],
            }
        ).encode()
    )
    text = imported(alpha=alpha).to_yaml("x\nroutes: []")
    assert "\nroutes: []" not in text
    for url in ("http://[", "https://a:x", "http://h:99999", "", "//", "\x00"):
        for name in (
            "redirect_url",
            "upstreams",
            "redis_connection_url",
            "login_url",
            "resource",
            "oidc_issuer_url",
        ):
            value = [url] if name == "upstreams" else url
            imported({name: value, "session_store_type": "redis", "provider": "azure"}).to_yaml("x")


def toml(given: dict) -> str:
    return "\n".join(f"{name} = {json.dumps(value)}" for name, value in given.items())


def test_the_command(tmp_path, monkeypatch, capsys):
    """[11] It prints a file that ``gateway check`` takes, and says what is not as it was; or every error."""
    source = tmp_path / "oauth2-proxy.cfg"
    source.write_text(toml(BASE | {"cookie_path": "/x", "skip_auth_routes": ["^/static/"]}))
    target = tmp_path / "gateway.yaml"
    assert cli.main(["import", "oauth2-proxy", str(source), "--output", str(target)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "cookie_path" in err
    assert "set GATEWAY_CLIENT_SECRET" in err
    assert "hunter2" not in err + target.read_text()
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", "--config", str(target)]) == 0
    assert cli.main(["import", "oauth2-proxy", str(source), "--output", str(target)]) == 1
    assert cli.main(["import", "oauth2-proxy", str(source)]) == 0
    capsys.readouterr()
    source.write_text(toml(BASE | {"skip_auth_regex": ["x"], "google_groups": ["g"]}))
    assert cli.main(["import", "oauth2-proxy", str(source)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert cli.main(["import", "oauth2-proxy", str(tmp_path / "nowhere")]) == 1
    assert sys.modules
