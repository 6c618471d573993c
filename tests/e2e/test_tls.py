"""A whole gateway that speaks TLS itself."""

import asyncio
import re
import ssl
import time

import aiohttp
import pytest

from gateway.config.settings.root import Settings
from gateway.http.downstream.certificates import CertificateError
from tests.support.certificates import Authority
from tests.support.world import World


@pytest.fixture
async def world(valkey_url, tmp_path):
    """An https site whose TLS ends at the gateway, with Strict-Transport-Security."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    world = World(valkey_url, tmp_path, tls=pair.written | {"hsts": {"max_age": "1d"}})
    world.base = world.base.replace("http://", "https://")
    world.authority, world.pair = authority, pair
    async with world:
        yield world


def connector(world):
    return aiohttp.TCPConnector(ssl=world.authority.trusting(), limit=0)


async def ask(session, world, path, **more):
    async with session.get(world.base + path, allow_redirects=False, **more) as answer:
        await answer.read()
        return answer


async def test_every_answer_over_tls(world):
    """What is let through, pages, problems and redirects carry HSTS once; the upstream hears of https."""
    world.upstream.headers = [("Strict-Transport-Security", "max-age=1; includeSubDomains")]
    async with aiohttp.ClientSession(connector=connector(world)) as session:
        for path, status in (("/public/x", 200), ("/api/x", 401), ("/.gateway/login", 303), ("/a//b", 400)):
            answer = await ask(session, world, path)
            assert answer.status == status
            assert answer.headers.getall("Strict-Transport-Security") == ["max-age=86400"]
        seen = world.upstream.last().headers
        assert seen["X-Forwarded-Proto"] == "https"
        cookies = [
            line
            for line in (await ask(session, world, "/.gateway/login")).headers.getall("Set-Cookie")
            if "Max-Age=0" not in line
        ]
        assert cookies
        assert all(line.startswith("__Host-") and "Secure" in line for line in cookies)


async def test_an_upstream_that_is_away(world):
    """The page of a fault carries HSTS as well."""
    await world.upstream.close()
    async with aiohttp.ClientSession(connector=connector(world)) as session:
        answer = await ask(session, world, "/public/x")
        assert answer.status == 502
        assert answer.headers.getall("Strict-Transport-Security") == ["max-age=86400"]


async def test_a_foreign_name_gets_no_hsts(world):
    """A host that is no https site of ours is told nothing for a day."""
    async with aiohttp.ClientSession(connector=connector(world)) as session:
        answer = await ask(session, world, "/public/x", headers={"Host": "other.example"})
        assert answer.status == 421
        assert "Strict-Transport-Security" not in answer.headers


async def test_hsts_behind_a_proxy_that_speaks_tls(world):
    """[1.1]: which site an answer is of is what the proxy tells, not its Host; the log too."""
    site = f"localhost:{world.public_port}"
    sources = {"address": "X-Forwarded-For", "host": "X-Forwarded-Host"}
    data = world.config() | {"trusted_proxies": ["127.0.0.0/8"], "forwarding": sources}
    world.gateway.reload(Settings.model_validate(data))
    yes, no = ["max-age=86400"], []
    cases = (
        ("inner.example", {"X-Forwarded-Host": site}, yes),
        (site, {"X-Forwarded-Host": "other.example"}, no),
        (site, {"X-Forwarded-Host": site, "X-Forwarded-Proto": "http"}, no),
        ("inner.example", {"X-Forwarded-Host": site, "X-Forwarded-Proto": "https"}, yes),
        (site, {}, no),
        (site, {"X-Forwarded-Host": "a b"}, no),
    )
    async with aiohttp.ClientSession(connector=connector(world)) as session:
        for host, fields, wanted in cases * 2:
            for path in ("/public/x", "/api/x", "/.gateway/login", "/a//b"):
                answer = await ask(session, world, path, headers={"Host": host, **fields})
                assert answer.headers.getall("Strict-Transport-Security", []) == wanted, (host, fields, path)
                called = fields.get("X-Forwarded-Host", host)
                if " " not in called:
                    told = {"request_id": answer.headers["X-Request-ID"], "host": called}
                    await world.eventually(
                        lambda told=told: any(told.items() <= line.items() for line in world.lines)
                    )


async def test_reload_of_the_configuration(world):
    """Another certificate and another HSTS hold at once, and the open connection goes on."""
    async with aiohttp.ClientSession(connector=connector(world)) as session:
        assert (await ask(session, world, "/public/x")).status == 200
        other = world.authority.issue("localhost", "second.example")
        data = world.config() | {"tls": other.written}
        world.gateway.reload(Settings.model_validate(data))
        answer = await ask(session, world, "/public/x")
        assert answer.status == 200
        assert "Strict-Transport-Security" not in answer.headers
    _, writer = await asyncio.open_connection(
        "127.0.0.1", world.public_port, ssl=world.authority.trusting(), server_hostname="second.example"
    )
    writer.close()
    broken = data | {"tls": {"certificate": "/nowhere", "key": "/nowhere"}}
    with pytest.raises(ValueError, match="cannot be read"):
        world.gateway.reload(Settings.model_validate(broken))


async def test_plain_http_is_refused(world):
    """[3.12]: without TLS nobody is served: 400 names the address by https; it is counted, and no error."""
    for accept, page in ((b"text/html", True), (b"*/*", False)):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.public_port)
        host = b"localhost:%d" % world.public_port
        writer.write(
            b"GET /public/x?y=<b> HTTP/1.1\r\nHost: %b\r\nAccept: %b\r\n\r\n".replace(b"<b>", b"'&")
            % (host, accept)
        )
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"Location" not in answer
        assert (b"<html" in answer) == page
        shown = b"https://" + host + b"/public/x?y=" + (b"&#x27;&amp;" if page else b"'&")
        assert shown in answer
    context = world.authority.trusting()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        assert (await ask(session, world, "/public/x")).status == 200
    text = (await world.admin("GET", "/metrics")).text
    assert "gateway_http_tls_handshakes_failed_total 2.0" in text
    assert not [line for line in world.lines if line.get("level") == "error"]


async def test_an_expired_certificate_is_told_and_served(valkey_url, tmp_path):
    """[4.4]: at the start, in the log, with its file; the metric is in the past, and handshakes go on."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost", days=-0.5)
    async with World(valkey_url, tmp_path, tls=pair.written) as world:
        (line,) = [line for line in world.lines if line.get("message") == "certificate expired"]
        assert line["file"] == str(pair.certificate)
        assert line["level"] == "error"
        text = (await world.admin("GET", "/metrics")).text
        (found,) = re.findall(r"^gateway_http_tls_certificate_expires_seconds (\S+)$", text, re.MULTILINE)
        assert float(found) < time.time()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            url = f"https://127.0.0.1:{world.public_port}/public/x"
            async with session.get(url, headers={"Host": f"localhost:{world.public_port}"}) as answer:
                assert answer.status == 200


async def test_a_failed_renewal_names_file_and_reason(world):
    """[4.4]: in the log, in a metric, and what runs goes on."""
    certificates = world.gateway.server.certificates
    world.pair.key.write_text("secret junk")
    with pytest.raises(CertificateError) as caught:
        certificates.refresh()
    world.gateway.certificates.renewed(caught.value)
    (line,) = [line for line in world.lines if line.get("message") == "certificates unchanged"]
    assert line["detail"] == f"{world.pair.certificate} and {world.pair.key} are no usable PEM files"
    assert "junk" not in str(line)
    text = (await world.admin("GET", "/metrics")).text
    assert "gateway_http_tls_certificate_reload_failures_total 1.0" in text
    async with aiohttp.ClientSession(connector=connector(world)) as session:
        assert (await ask(session, world, "/public/x")).status == 200
