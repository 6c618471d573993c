"""https upstreams: who is not who it should be gets nothing; the gateway proves itself if asked."""

import contextlib
import ssl
from pathlib import Path

import pytest

from tests.support.certificates import Authority, Pair
from tests.support.cluster import post
from tests.support.http import GET, Plane, Upstream, UpstreamSide, figures


@contextlib.asynccontextmanager
async def upstream(pair: Pair, client_ca: Path | None = None, *, names: list | None = None):
    """Serve with a certificate; with ``client_ca`` demand one that it has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    if names is not None:
        context.sni_callback = lambda _, name, __: names.append(name)
    server = await Upstream().start(ssl=context)
    try:
        yield server
    finally:
        await server.close()


def plane(server: Upstream, authority: Authority | None, host: str = "localhost", **tls) -> Plane:
    """Return a data plane before it."""
    if authority is not None:
        tls["ca_file"] = str(authority.file)
    return Plane(servers=(f"https://{host}:{server.port}",), tls=tls)


async def ask(side: Plane) -> int:
    """Return the status that a client sees."""
    return (await (await side.client()).ask(post())).status


async def test_cve_2026_31923_who_is_not_verified_gets_nothing(tmp_path):
    """CVE-2026-31923: expired, another name, another authority: 502, and not a byte of HTTP was sent."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    good = authority.issue("localhost")
    cases = [
        (good, authority, 200),
        (authority.issue("localhost", file="expired", days=-0.5), authority, 502),
        (authority.issue("elsewhere.example"), authority, 502),
        (good, other, 502),
        (good, None, 502),
    ]
    for pair, trusted, status in cases:
        async with upstream(pair) as server, plane(server, trusted) as side:
            assert await ask(side) == status
            assert len(server.seen) == (status == 200)


async def test_the_server_s_name(tmp_path):
    """``server_name`` is what SNI says and what the certificate must hold, wherever the server is."""
    authority, names = Authority(tmp_path), []
    pair = authority.issue("app.internal")
    async with upstream(pair, names=names) as server:
        async with plane(server, authority, "127.0.0.1", server_name="app.internal") as side:
            assert await ask(side) == 200
        async with plane(server, authority, "127.0.0.1") as side:
            assert await ask(side) == 502
        async with plane(server, authority, "localhost") as side:
            assert await ask(side) == 502
        assert names[0] == "app.internal"
        assert len(server.seen) == 1


async def test_a_client_certificate(tmp_path):
    """A server that demands one gets it, its key beside it or in the same file; without, nothing goes."""
    authority = Authority(tmp_path)
    own = authority.issue("gateway", client=True)
    both = tmp_path / "both.pem"
    both.write_bytes(own.key.read_bytes() + own.certificate.read_bytes())
    strange = Authority(tmp_path, "strange").issue("gateway", file="strange-client", client=True)
    async with upstream(authority.issue("localhost"), authority.file) as server:
        for tls, status in (
            ({"client_certificate": str(own.certificate), "client_key": str(own.key)}, 200),
            ({"client_certificate": str(both)}, 200),
            ({}, 502),
            ({"client_certificate": str(strange.certificate), "client_key": str(strange.key)}, 502),
        ):
            before = len(server.seen)
            async with plane(server, authority, **tls) as side:
                assert await ask(side) == status
            assert len(server.seen) == before + (status == 200)


async def test_files_are_read_again_at_a_reload(tmp_path):
    """The same settings with another certificate in the same file are a new pool; unchanged, the old one."""
    authority, strange = Authority(tmp_path), Authority(tmp_path, "strange")
    own = strange.issue("gateway", client=True)
    tls = {"client_certificate": str(own.certificate), "client_key": str(own.key)}
    pair = authority.issue("localhost")
    async with upstream(pair, authority.file) as server, plane(server, authority, **tls) as side:
        assert await ask(side) == 502
        pool = side.server.pools["app"]
        upstreams = {"app": pool.settings}
        assert side.server.build_pools(upstreams)["app"] is pool
        authority.issue("gateway", client=True)
        side.server.configure(side.server.build_pools(upstreams), side.limits)
        assert await ask(side) == 200
        own.key.write_text("garbage")
        with pytest.raises(OSError):
            side.server.build_pools(upstreams)
        assert await ask(side) == 200


async def test_verification_can_be_switched_off(tmp_path):
    """``verify: false`` believes anybody; it is never the default."""
    pair = Authority(tmp_path).issue("elsewhere.example")
    async with upstream(pair) as server, plane(server, None, verify=False) as side:
        assert await ask(side) == 200


async def test_a_key_with_a_password_is_refused(tmp_path):
    """Nobody is asked for it at the terminal."""
    from cryptography.hazmat.primitives import serialization

    own = Authority(tmp_path).issue("gateway", client=True)
    key = serialization.load_pem_private_key(own.key.read_bytes(), None)
    own.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    tls = {"client_certificate": str(own.certificate), "client_key": str(own.key)}
    with pytest.raises(OSError):
        async with Plane(servers=("https://localhost:1",), tls=tls):
            pass


async def test_an_https_server_that_speaks_http():
    """No TLS at the other end: 502, and no request in the clear."""

    async def answer(side: UpstreamSide) -> None:
        await side.send(b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n")
        first.append(await side.some())

    first: list[bytes] = []
    async with Plane(answer) as plain:
        async with Plane(servers=(f"https://127.0.0.1:{plain.upstream.port}",)) as side:
            assert (await (await side.client()).ask(GET)).status == 502
        # a TLS record (RFC 8446 section 5.1), or nothing yet
        assert all(each[:1] == b"\x16" for each in first)


async def test_health_checks_are_verified_too(tmp_path):
    """A server that cannot prove its name is not well."""
    pair = Authority(tmp_path).issue("localhost")
    health = {"path": "/", "interval": 0.05, "unhealthy_after": 1}
    async with upstream(pair) as server:
        async with Plane(servers=(f"https://localhost:{server.port}",), health=health) as side:
            await side.eventually(lambda: figures(side.server)["upstream_app_server_0_healthy"] == 0)
        assert not server.seen


async def test_a_server_that_cannot_be_reached_is_tried_last(tmp_path):
    """For a while after one failed handshake, nobody pays for another."""
    authority, tries = Authority(tmp_path), []
    bad, good = authority.issue("elsewhere.example"), authority.issue("localhost")
    async with upstream(bad, names=tries) as first, upstream(good) as second:
        servers = tuple(f"https://localhost:{each.port}" for each in (first, second))
        settings = {"balance": "round_robin", "breaker": {"failures": 0}}
        async with Plane(servers=servers, tls={"ca_file": str(authority.file)}, **settings) as side:
            for _ in range(6):
                assert await ask(side) == 200
        assert len(second.seen) == 6
        assert len(tries) == 1
