"""The demo provider by itself, as a client on the wire meets it."""

import asyncio
import base64
import hashlib
import json
import re
from urllib.parse import urlsplit

import aiohttp
import jwt
import pytest

from gateway.demo.provider import DemoProvider
from tests.support.relying_party import ALL_SCOPES, CALLBACK, SECRET, query_of, started, unverified

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def client():
    async with started() as client:
        yield client


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
async def test_it_refuses_to_be_reachable(host):
    """Public passwords are for the loopback alone."""
    with pytest.raises(ValueError, match="loopback"):
        DemoProvider("demo", SECRET, (), "demo-api", host=host)


async def test_other_host_names_are_refused(client):
    """A page that points its own name at the loopback gets nothing (DNS rebinding)."""
    answer, _ = await client.get("/mint?user=alice", headers={"Host": "evil.example"})
    assert answer.status == 421


async def test_discovery_tells_what_there_is(client):
    """Discovery names this issuer and endpoints that answer."""
    _, text = await client.get("/.well-known/openid-configuration")
    document = json.loads(text)
    assert document["issuer"] == client.provider.issuer == f"http://127.0.0.1:{client.provider.port}"
    assert document["backchannel_logout_supported"] is True
    assert document["authorization_response_iss_parameter_supported"] is True
    for name, url in document.items():
        if name.endswith(("_endpoint", "_uri")):
            answer, _ = await client.get(urlsplit(url).path)
            assert answer.status != 404, name
    assert client.provider.counts["discovery"] == 1


async def test_the_code_flow(client):
    """A login: form, 303 with code, state and iss, then tokens that say who, when and for whom."""
    answer, page = await client.form()
    assert answer.status == 200
    assert "script" not in page.lower()
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://localhost:1;" in policy
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy
    answer, _ = await client.submit(page)
    assert answer.status == 303
    assert answer.headers["Location"].startswith(CALLBACK + "?")
    back = query_of(answer)
    assert (back["state"], back["iss"]) == ("st&<>", client.provider.issuer)
    answer, tokens = await client.redeem(back["code"])
    assert answer.headers["Cache-Control"] == "no-store"
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("Bearer", 60, ALL_SCOPES)
    now = int(client.clock.now)
    claims = await client.read(tokens["id_token"], "demo")
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(half).decode().rstrip("=")
    assert (claims["sub"], claims["nonce"], claims["auth_time"], claims["acr"]) == (
        "alice",
        "n-1",
        now,
        "pwd",
    )
    assert (claims["groups"], claims["email"], claims["amr"]) == (["admins"], "alice@example.com", ["pwd"])
    assert claims["sid"]
    assert "password" not in claims
    access = await client.read(tokens["access_token"], "demo-api")
    header = jwt.get_unverified_header(tokens["access_token"])
    assert (header["typ"], access["client_id"], access["exp"], access["iat"]) == (
        "at+jwt",
        "demo",
        now + 60,
        now,
    )
    assert access["jti"]
    assert access["auth_time"] == now


async def test_claims_follow_scopes(client):
    """Without the email and profile scopes the ID token does not have those claims; groups need no scope."""
    claims = unverified((await client.log_in(scope="openid"))["id_token"])
    assert not {"email", "name", "preferred_username"} & claims.keys()
    assert claims["groups"] == ["admins"]


async def test_no_refresh_token_without_offline_access(client):
    """OIDC Core section 11."""
    assert "refresh_token" not in await client.log_in(scope="openid")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "x"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"max_age": "x"}, "invalid_request"),
        ({"request": "x"}, "request_not_supported"),
        ({"request_uri": "x"}, "request_uri_not_supported"),
    ],
)
async def test_bad_authorization_requests_go_back_with_an_error(client, change, error):
    """RFC 6749 section 4.1.2.1: the error, the state and the issuer go to the registered address."""
    answer, _ = await client.form(**change)
    assert answer.status == 303
    back = query_of(answer)
    assert (back["error"], back["state"], back["iss"]) == (error, "st&<>", client.provider.issuer)
    assert "code" not in back


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "other"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": "https://evil.example/"},
    ],
)
async def test_no_redirect_to_a_stranger(client, change):
    """An unregistered client or address gets a page, never a redirect."""
    answer, _ = await client.form(**change)
    assert answer.status == 400
    assert "Location" not in answer.headers


async def test_a_wrong_password_shows_the_form_again(client):
    """Wrong password, unknown name, empty password: the form again, escaped, and it still works after."""
    _, page = await client.form()
    for user, password in (("alice", "bob"), ('"><b>', "x"), ("alice", ""), ("", ""), ("ü\x00", "ü")):
        answer, page = await client.submit(page, user, password)
        assert answer.status == 403
        assert "do not match" in page
        assert "<b>" not in page
        # whoever has given a name goes on with the password
        focused = page.partition(" autofocus")[0].rpartition("<input id=")[2]
        assert focused.startswith('"password"' if user else '"username"')
    answer, _ = await client.submit(page)
    assert answer.status == 303


async def test_a_form_serves_one_login_and_not_for_ever(client):
    """The same form twice, a made-up one, and one of ten minutes ago lead nowhere."""
    _, page = await client.form()
    assert (await client.submit(page))[0].status == 303
    assert (await client.submit(page))[0].status == 400
    assert (await client.post("/login", {"transaction": "x", "username": "alice", "password": "alice"}))[
        0
    ].status == 400
    _, page = await client.form()
    client.clock.now += 601
    assert (await client.submit(page))[0].status == 400


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"redirect_uri": CALLBACK + "x"}, "invalid_grant"),
        ({"redirect_uri": ""}, "invalid_request"),
        ({"code": "x"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "unsupported_grant_type"),
    ],
)
async def test_a_code_is_bound_to_what_it_was_asked_with(client, change, error):
    """R2: PKCE, redirect URI and code must all be right; a failed attempt spends the code."""
    code = await client.code()
    answer, document = await client.redeem(code, **change)
    assert answer.status == 400
    assert document["error"] == error
    if error == "invalid_grant" and "code" not in change:
        assert (await client.redeem(code))[1]["error"] == "invalid_grant"


async def test_a_code_lives_a_minute(client):
    """RFC 6749 section 4.1.2."""
    code = await client.code()
    client.clock.now += 60
    assert (await client.redeem(code))[1]["error"] == "invalid_grant"


async def test_a_code_used_twice_ends_the_login(client):
    """RFC 6749 section 4.1.2: what came of the first use dies too."""
    code = await client.code()
    _, tokens = await client.redeem(code)
    assert (await client.redeem(code))[1]["error"] == "invalid_grant"
    answer, _ = await client.refresh(tokens["refresh_token"])
    assert answer.status == 400


@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect"])
async def test_the_client_authenticates(client, path):
    """R15: basic and post are both good; wrong, absent, garbled or double is not."""
    fields = {"grant_type": "client_credentials", "token": "x"}
    for auth in ("basic", "post"):
        assert (await client.post(path, fields, auth=auth))[0].status == 200
    for header in ("Basic", "Basic !", "Basic " + base64.b64encode(b"demo:wrong").decode(), "Bearer x"):
        answer, text = await client.post(path, fields, auth=None, headers={"Authorization": header})
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
        assert json.loads(text)["error"] == "invalid_client"
    assert (await client.post(path, fields, auth=None))[0].status == 401
    answer, text = await client.post(path, {**fields, "client_secret": SECRET})
    assert (answer.status, json.loads(text)["error"]) == (400, "invalid_request")


async def test_garbage_at_every_endpoint(client):
    """No garbage makes a 500: not bytes, not huge bodies, not repeated parameters."""
    bodies = [b"", b"\xff\xfe", b"a=1&a=2", b"&" * 500, b"a=" + b"x" * 70_000, b"grant_type=%ff%00", b"{}"]
    for path in (
        "/authorize",
        "/login",
        "/token",
        "/revoke",
        "/introspect",
        "/userinfo",
        "/logout",
        "/mint",
        "/jwks",
        "/%00",
        "//",
    ):
        for body in bodies:
            for kind in ("application/x-www-form-urlencoded", "application/json", "multipart/form-data"):
                async with client.session.post(
                    client.provider.base + path, data=body, headers={"Content-Type": kind}
                ) as answer:
                    assert answer.status in (200, 400, 401, 404, 405, 413), (path, body[:9])
        answer, _ = await client.get(path + "?%ff=%fe&x=1&x=2")
        assert answer.status < 500


async def test_refresh_tokens_rotate(client):
    """Each refresh gives a new token; the ID token is about the same login and has no nonce."""
    tokens = await client.log_in()
    first = unverified(tokens["id_token"])
    for _ in range(3):
        client.clock.now += 30
        answer, text = await client.refresh(tokens["refresh_token"])
        assert answer.status == 200
        fresh = json.loads(text)
        assert fresh["refresh_token"] != tokens["refresh_token"]
        tokens = fresh
        claims = unverified(tokens["id_token"])
        assert "nonce" not in claims
        for name in ("iss", "sub", "aud", "sid", "auth_time"):
            assert claims[name] == first[name]
        assert claims["iat"] > first["iat"]
    assert client.provider.counts["token:refresh_token"] == 3


async def test_reuse_kills_the_family(client):
    """RFC 9700 section 4.14.2: a token that was rotated ends also its successor; another login goes on."""
    tokens, other = await client.log_in(), await client.log_in()
    fresh = json.loads((await client.refresh(tokens["refresh_token"]))[1])
    answer, text = await client.refresh(tokens["refresh_token"])
    assert (answer.status, json.loads(text)["error"]) == (400, "invalid_grant")
    assert (await client.refresh(fresh["refresh_token"]))[0].status == 400
    assert (await client.refresh(other["refresh_token"]))[0].status == 200


async def test_a_refresh_may_not_widen_its_scope(client):
    """RFC 6749 section 6; the refused request spends nothing."""
    token = (await client.log_in(scope="openid offline_access"))["refresh_token"]
    assert json.loads((await client.refresh(token, scope="openid api"))[1])["error"] == "invalid_scope"
    assert (await client.refresh(token))[0].status == 200


async def test_revoke_all(client):
    """Every login is over: refresh is refused, userinfo too, and a new login works."""
    tokens = await client.log_in()
    client.provider.revoke_all()
    assert (await client.refresh(tokens["refresh_token"]))[0].status == 400
    answer, _ = await client.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert answer.status == 401
    await client.log_in()


async def test_userinfo(client):
    """OIDC Core section 5.3: the claims of the scopes, for a good token that has openid, and no other."""
    tokens = await client.log_in()
    answer, text = await client.get(
        "/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}
    )
    assert answer.status == 200
    document = json.loads(text)
    assert (document["sub"], document["name"], document["groups"]) == ("alice", "Alice Example", ["admins"])
    for token, status in (("x", 401), (tokens["id_token"], 401), (client.provider.mint("alice", "api"), 403)):
        assert (await client.get("/userinfo", headers={"Authorization": f"Bearer {token}"}))[
            0
        ].status == status
    assert (await client.get("/userinfo"))[0].status == 401
    client.clock.now += 61
    answer, _ = await client.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert answer.status == 401


async def test_revocation_and_introspection(client):
    """RFC 7009 and 7662: active while good; an access token dies alone, a refresh token with its login."""
    tokens = await client.log_in()

    async def active(name):
        return json.loads((await client.post("/introspect", {"token": tokens[name]}))[1])["active"]

    assert await active("access_token")
    assert await active("refresh_token")
    assert (await client.post("/revoke", {"token": tokens["access_token"]}))[0].status == 200
    assert not await active("access_token")
    assert await active("refresh_token")
    assert (await client.post("/revoke", {"token": tokens["refresh_token"]}))[0].status == 200
    assert not await active("refresh_token")
    assert (await client.post("/revoke", {"token": "unknown"}))[0].status == 200
    assert (await client.post("/revoke", {}))[0].status == 400
    assert client.provider.counts["revocation"] == 4


async def test_client_credentials_and_mint(client):
    """Two ways for curl to a bearer token: of the client itself, and of somebody by name."""
    answer, text = await client.post("/token", {"grant_type": "client_credentials", "scope": "api"})
    assert answer.status == 200
    claims = await client.read(json.loads(text)["access_token"], "demo-api")
    assert (claims["sub"], claims["scope"]) == ("demo", "api")
    assert (await client.post("/token", {"grant_type": "client_credentials", "scope": "openid"}))[
        0
    ].status == 400
    _, token = await client.get("/mint?user=alice&scope=api+root")
    claims = await client.read(token, "demo-api")
    assert (claims["sub"], claims["scope"]) == ("alice", "api")
    assert (await client.get("/mint?user=nobody"))[0].status == 400


async def test_tokens_are_exchanged(client):
    """[11.9], RFC 8693: for a known audience, no wider, and only what would be accepted itself."""
    provider = client.provider
    fields = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": provider.mint("alice", "api openid"),
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": "orders-api",
    }
    answer, text = await client.post("/token", fields | {"scope": "api"})
    document = json.loads(text)
    assert answer.status == 200
    assert document["issued_token_type"] == fields["subject_token_type"]
    claims = await client.read(document["access_token"], "orders-api")
    assert (claims["sub"], claims["scope"], claims["act"]) == ("alice", "api", {"sub": "demo"})
    for change, error in (
        ({"audience": "unknown"}, "invalid_target"),
        ({"scope": "api root"}, "invalid_scope"),
        ({"subject_token": "x"}, "invalid_request"),
        ({"subject_token": provider.mint("alice", "api", lifetime=-5)}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
    ):
        answer, text = await client.post("/token", fields | change)
        assert (answer.status, json.loads(text)["error"]) == (400, error)
    assert (await client.post("/token", fields, auth=None))[0].status == 401


async def test_mint_and_sign(client):
    """What tests ask for by hand comes out as asked."""
    provider = client.provider
    claims = unverified(
        provider.mint("alice", "a b", audience="x", lifetime=-5, jti="j", iat=1, department="d")
    )
    assert (claims["aud"], claims["jti"], claims["iat"], claims["department"]) == ("x", "j", 1, "d")
    assert claims["exp"] == int(client.clock.now) - 5
    assert jwt.get_unverified_header(provider.sign({}, {"kid": "k", "typ": None})) == {
        "alg": "RS256",
        "kid": "k",
    }
    assert provider.sign({}, alg="none").endswith(".")
    for alg in ("RS256", "ES256"):
        token = provider.sign({"a": 1}, alg=alg)
        key = (await client.keys())[jwt.get_unverified_header(token)["kid"]]
        assert jwt.decode(token, key, algorithms=[alg]) == {"a": 1}
    assert jwt.decode(provider.sign({"a": 1}, alg="HS256"), SECRET, algorithms=["HS256"]) == {"a": 1}


async def test_acr_values(client):
    """The first requested level that the account can reach is granted, else the usual one."""
    for user, asked, acr, amr in (
        ("alice", "mfa pwd", "mfa", ["pwd", "otp"]),
        ("alice", "unheard-of", "pwd", ["pwd"]),
        ("bob", "mfa", "pwd", ["pwd"]),
    ):
        claims = unverified(
            (await client.log_in(user, acr_values=asked, max_age="0", prompt="login"))["id_token"]
        )
        assert (claims["acr"], claims["amr"]) == (acr, amr)


async def test_keys_rotate_with_an_overlap(client):
    """After a rotation old and new tokens verify; after another the oldest key is gone."""
    seen = set()
    tokens = []
    for _ in range(6):
        tokens.append(client.provider.mint("alice"))
        seen.add(jwt.get_unverified_header(tokens[-1])["kid"])
        client.provider.rotate_keys()
        assert unverified(tokens[-1]) == await client.read(tokens[-1], "demo-api")
    assert len(seen) == 6
    assert jwt.get_unverified_header(tokens[0])["kid"] not in await client.keys()
    assert client.provider.read_access_token(tokens[0])


async def test_rp_initiated_logout(client):
    """The login that the hint names is over; back only to registered addresses, with the state."""
    back = "http://localhost:1/.gateway/logged-out"
    tokens = await client.log_in()
    answer, _ = await client.get(
        f"/logout?id_token_hint={tokens['id_token']}&post_logout_redirect_uri={back}&state=s"
    )
    assert answer.status == 303
    assert answer.headers["Location"] == back + "?state=s"
    assert (await client.refresh(tokens["refresh_token"]))[0].status == 400
    for uri in ("https://evil.example/", back + "/"):
        hint = (await client.log_in())["id_token"]
        answer, _ = await client.get(f"/logout?id_token_hint={hint}&post_logout_redirect_uri={uri}")
        assert (answer.status, "Location" in answer.headers) == (200, False)
    for hint in ("", "x", client.provider.mint("alice"), client.provider.sign({"aud": "demo"}, alg="HS256")):
        answer, _ = await client.get(f"/logout?id_token_hint={hint}&post_logout_redirect_uri={back}")
        assert (answer.status, "Location" in answer.headers) == (400, False)


async def test_it_starts_again_on_its_port(client):
    """Closed twice and started again, it is the same provider: issuer, keys and logins."""
    tokens = await client.log_in()
    issuer = client.provider.issuer
    await client.provider.close()
    await client.provider.close()
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get("/jwks")
    await client.provider.start()
    assert client.provider.issuer == issuer
    assert (await client.refresh(tokens["refresh_token"]))[0].status == 200


async def test_closing_does_not_wait_for_slow_answers(client):
    """A slow fault under way is cut off when the provider closes."""
    client.provider.quirks.add("jwks-slow")
    client.provider.slow_seconds = 3600
    waiting = asyncio.create_task(client.get("/jwks"))
    while not client.provider.counts["jwks"]:  # noqa: ASYNC110 - the counter is all there is to see
        await asyncio.sleep(0.001)
    await client.provider.close()
    with pytest.raises(aiohttp.ClientError):
        await waiting
