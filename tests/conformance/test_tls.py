"""TLS on the public listener, between real clients and both loops."""

import asyncio
import contextlib
import socket
import ssl
import time

import pytest
from cryptography import x509

from gateway.config.settings.listener import TlsSettings
from gateway.http.downstream import writer
from gateway.http.downstream.balancer import BalancerAnswer
from gateway.http.downstream.certificates import CertificateError, Certificates
from gateway.http.ports import Limits
from tests.support.certificates import Authority
from tests.support.http import GET, Handler, Plane, always, echo, figures


@pytest.fixture
def authority(tmp_path):
    """A fresh authority."""
    return Authority(tmp_path)


def settings(*pairs, **more):
    return TlsSettings.model_validate({"certificates": [pair.written for pair in pairs], **more})


def listening(tls: TlsSettings, **more):
    return Plane(certificates=Certificates(tls), **more)


async def names(plane, context, server_name):
    """Return the names of the certificate that a client is shown who asks for a name."""
    context.check_hostname = False
    client = await plane.client(ssl=context, server_hostname=server_name)
    shown = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    extension = x509.load_der_x509_certificate(shown).extensions
    found = extension.get_extension_for_class(x509.SubjectAlternativeName).value
    client.writer.transport.abort()
    return found.get_values_for_type(x509.DNSName)


async def test_requests_over_tls(authority):
    """Several requests and bodies pass on one connection, and the handler sees that it is TLS."""
    pair = authority.issue("localhost")
    async with listening(settings(pair)) as plane:
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost")
        assert (await client.ask(GET)).body == b"GET / 0"
        body = b"x" * 300_000
        post = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert (await client.ask(post + body)).body == b"POST /a 300000"
        assert (await client.ask(GET)).status == 200
        assert [each.request.tls for each in plane.handler.exchanges] == [True] * 3
        assert {each.request.peer for each in plane.handler.exchanges} == {"127.0.0.1"}
        assert figures(plane.server)["client_connections"] == 1
        assert figures(plane.server)["tls_handshakes"] == 0


async def test_large_responses_over_tls(authority):
    """A response larger than every buffer arrives whole."""
    content = bytes(range(256)) * 20_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    async with listening(settings(authority.issue("localhost")), behaviour=always(answer)) as plane:
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost")
        assert (await client.ask(GET)).body == content


async def test_a_request_sent_with_the_end_of_the_handshake(authority):
    """TLS 1.3 lets a client send its request in the flight that ends the handshake: none of it is lost."""
    pair = authority.issue("localhost")
    async with listening(settings(pair)) as plane:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.trusting().wrap_bio(incoming, outgoing, server_hostname="localhost")
        client = await plane.client()
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await client.send(outgoing.read())
                incoming.write(await client.some())
        tls.write(GET)
        await client.send(outgoing.read())
        answer = b""
        while not answer.endswith(b"GET / 0"):
            incoming.write(await client.some())
            with contextlib.suppress(ssl.SSLWantReadError):
                answer += tls.read(65536)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_certificates_by_name(authority):
    """SNI chooses by exact name, then by a wildcard of one label; every other name gets the first."""
    tls = settings(
        authority.issue("first.example", "also.example"),
        authority.issue("second.example"),
        authority.issue("*.wild.example"),
        authority.issue("own.wild.example"),
    )
    async with listening(tls) as plane:
        context = authority.trusting()
        first = ["first.example", "also.example"]
        assert await names(plane, context, "also.example") == first
        assert await names(plane, context, "second.example") == ["second.example"]
        assert await names(plane, context, "SECOND.example") == ["second.example"]
        assert await names(plane, context, "a.wild.example") == ["*.wild.example"]
        assert await names(plane, context, "own.wild.example") == ["own.wild.example"]
        assert await names(plane, context, "a.b.wild.example") == first
        assert await names(plane, context, "wild.example") == first
        assert await names(plane, context, "unknown.example") == first
        assert await names(plane, context, None) == first


async def test_renewal_under_an_open_connection(authority):
    """A renewed certificate serves new connections, whether they name the server or not; open ones go on."""
    tls = settings(authority.issue("old.example", file="site"))
    async with listening(tls) as plane:
        context = authority.trusting()
        context.check_hostname = False
        client = await plane.client(ssl=context, server_hostname="old.example")
        assert (await client.ask(GET)).status == 200
        certificates = plane.server.certificates
        assert not certificates.refresh()
        authority.issue("new.example", file="site", days=90)
        before = certificates.expires
        assert certificates.refresh()
        assert certificates.expires > before
        assert (await client.ask(GET)).status == 200
        assert await names(plane, context, "old.example") == ["new.example"]
        assert await names(plane, context, None) == ["new.example"]
        assert figures(plane.server)["tls_certificate_reloads"] == 1


async def test_a_broken_renewal_changes_nothing(authority):
    """Files that do not fit keep the old certificate, are told of once, and the next good ones are taken."""
    pair = authority.issue("old.example", file="site")
    async with listening(settings(pair)) as plane:
        certificates = plane.server.certificates
        other = authority.issue("other.example")
        pair.certificate.write_bytes(other.certificate.read_bytes())
        with pytest.raises(CertificateError, match="do not belong together"):
            certificates.refresh()
        assert not certificates.refresh()
        context = authority.trusting()
        assert await names(plane, context, "old.example") == ["old.example"]
        pair.key.unlink()
        with pytest.raises(CertificateError, match="cannot be read"):
            certificates.refresh()
        assert await names(plane, context, "old.example") == ["old.example"]
        pair.key.write_bytes(other.key.read_bytes())
        assert certificates.refresh()
        assert await names(plane, context, "old.example") == ["other.example"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("minimum", "spoken", "accepted"),
    [
        ("1.2", ssl.TLSVersion.TLSv1_1, False),
        ("1.2", ssl.TLSVersion.TLSv1_2, True),
        ("1.2", ssl.TLSVersion.TLSv1_3, True),
        ("1.3", ssl.TLSVersion.TLSv1_2, False),
        ("1.3", ssl.TLSVersion.TLSv1_3, True),
    ],
)
async def test_versions(authority, minimum, spoken, accepted):
    """TLS 1.1 is never spoken, and 1.2 only where the configuration says so."""
    async with listening(settings(authority.issue("localhost"), minimum_version=minimum)) as plane:
        context = authority.trusting()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = spoken
        if accepted:
            client = await plane.client(ssl=context, server_hostname="localhost")
            assert (await client.ask(GET)).status == 200
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await plane.client(ssl=context, server_hostname="localhost")
            await plane.eventually(lambda: plane.server.handshakes_failed == 1)


async def test_weak_suites_are_refused(authority):
    """A TLS 1.2 client that knows only CBC or static key exchange is turned away."""
    async with listening(settings(authority.issue("localhost"))) as plane:
        context = authority.trusting()
        context.set_ciphers("ECDHE+AES:!AESGCM:!AESCCM")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await plane.client(ssl=context, server_hostname="localhost")


@pytest.mark.parametrize("offered", [["http/1.1"], ["h2", "http/1.1"]])
async def test_alpn(authority, offered):
    """HTTP/1.1 is agreed on, whatever else a client offers (RFC 7301)."""
    async with listening(settings(authority.issue("localhost"))) as plane:
        context = authority.trusting()
        context.set_alpn_protocols(offered)
        client = await plane.client(ssl=context, server_hostname="localhost")
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        assert (await client.ask(GET)).status == 200


async def outcome(plane, context):
    """Return the status that a client gets, or None where TLS turns it away."""
    try:
        client = await plane.client(ssl=context, server_hostname="localhost")
        # in TLS 1.3 a client learns only afterwards that it was turned away
        return (await client.ask(GET)).status
    except (OSError, asyncio.IncompleteReadError):
        return None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("demand", ["required", "optional"])
async def test_client_certificates(authority, tmp_path, demand, version):
    """Required: nobody without a certificate of the named authority. Optional: nobody with a wrong one."""
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "other")
    tls = settings(authority.issue("localhost"), client_certificates=demand, client_ca=str(authority.file))
    async with listening(tls) as plane:
        known = authority.trusting(authority.issue("client", client=True))
        foreign = authority.trusting(other.issue("client", client=True))
        server_cert = authority.trusting(authority.issue("not-a-client"))
        nobody = authority.trusting()
        for context in (known, foreign, server_cert, nobody):
            context.maximum_version = version
        assert await outcome(plane, known) == 200
        assert await outcome(plane, foreign) is None
        assert await outcome(plane, server_cert) is None
        assert await outcome(plane, nobody) == (200 if demand == "optional" else None)
        # one that got in before is asked again: no session is resumed
        assert await outcome(plane, known) == 200
        seen = 2 if demand == "required" else 3
        assert len(plane.handler.exchanges) == seen


async def test_authorities_are_renewed_too(authority, tmp_path):
    """A changed file of authorities holds from the next handshake on."""
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "other")
    file = tmp_path / "clients.pem"
    file.write_bytes(authority.file.read_bytes())
    tls = settings(authority.issue("localhost"), client_certificates="required", client_ca=str(file))
    async with listening(tls) as plane:
        known = authority.trusting(authority.issue("client", client=True))
        later = authority.trusting(other.issue("client", client=True))
        assert (await outcome(plane, known), await outcome(plane, later)) == (200, None)
        file.write_bytes(other.file.read_bytes() + b"\n")
        assert plane.server.certificates.refresh()
        assert (await outcome(plane, known), await outcome(plane, later)) == (None, 200)


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\x00" * 1000],
)
async def test_what_is_no_handshake_is_cut(authority, garbage):
    """Garbage on a TLS port are counted and cut; they reach no handler (R60)."""
    async with listening(settings(authority.issue("localhost"))) as plane:
        client = await plane.client()
        await client.send(garbage)
        assert await client.ended()
        await plane.eventually(lambda: plane.server.handshakes_failed == 1)
        assert plane.handler.exchanges == []
        assert len(plane.server.admission) == 0


@pytest.mark.parametrize(
    ("pieces", "word"),
    [
        ([GET], b"tls_expected"),
        ([GET[:1], GET[1:]], b"tls_expected"),
        ([b"GET / HTTP/1.0\r\nHost: h:8443\r\n\r\n"], b"tls_expected"),
        ([b"POST /x?y HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"], b"tls_expected"),
        ([b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"], b"tls_expected"),
        ([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], b"request_malformed"),
        ([b"GET / HTTP/1.1\r\n\r\n"], b"host_invalid"),
        ([b"GET nonsense\r\n\r\n"], b"request_malformed"),
    ],
)
async def test_plain_http_where_tls_is_spoken(authority, pieces, word):
    """[3.12]: 400 leads to https; it reaches no handler, and counts as a failed handshake."""
    async with listening(settings(authority.issue("localhost"))) as plane:
        client = await plane.client()
        answer = await client.ask(*pieces)
        assert (answer.status, answer.body) == (400, word)
        assert answer.get("connection") == "close"
        client.writer.write(GET)
        assert await client.ended()
        client.writer.transport.abort()
        assert plane.handler.exchanges == []
        assert plane.server.handshakes_failed == 1
        await plane.eventually(lambda: len(plane.server.admission) == 0)


async def test_balancers_ask_by_https_where_tls_is_spoken(authority):
    """[3.12] [3.8]: the path that balancers ask is answered over TLS alone."""
    async with listening(settings(authority.issue("localhost"))) as plane:
        plane.server.answer_balancers(BalancerAnswer(b"/up", lambda: True))
        asking = b"GET /up HTTP/1.0\r\n\r\n"
        assert (await (await plane.client()).ask(asking)).body == b"tls_expected"
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost")
        assert (await client.ask(asking)).body == b"ready\n"


async def test_plain_http_that_never_ends_its_head(authority):
    """[3.12], R60: what holds outside holds here: size, time, number."""
    tls = settings(authority.issue("localhost"))
    async with listening(tls, limits=Limits(head=1024, head_timeout=0.2, connections=3)) as plane:
        long = await plane.client()
        assert (await long.ask(b"GET / HTTP/1.1\r\nX: " + b"y" * 2000)).status == 431
        slow = await plane.client()
        assert (await slow.ask(b"GET / HTTP/1.1\r\nX: ")).status == 408
        for client in (long, slow):
            client.writer.transport.abort()
        await plane.eventually(lambda: len(plane.server.admission) == 0)
        assert await outcome(plane, authority.trusting()) == 200


async def test_who_never_shakes_hands_is_cut(authority):
    """A client that says nothing holds its place only until the handshake's time-out (R60)."""
    async with listening(settings(authority.issue("localhost"), handshake_timeout="200ms")) as plane:
        silent = [await plane.client() for _ in range(5)]
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost")
        assert (await client.ask(GET)).status == 200
        for each in silent:
            assert await each.ended()
        await plane.eventually(lambda: figures(plane.server)["tls_handshakes"] == 0)
        assert plane.server.handshakes_failed == 5
        assert (await client.ask(GET)).status == 200


async def test_handshakes_count_as_connections(authority):
    """Who has not shaken hands yet takes a place as well: the number of both is bounded (R60)."""
    tls = settings(authority.issue("localhost"), handshake_timeout="10s")
    async with listening(tls, limits=Limits(connections=4)) as plane:
        silent = [await plane.client() for _ in range(4)]
        await plane.eventually(lambda: figures(plane.server)["tls_handshakes"] == 4)
        assert await (await plane.client()).ended()
        silent[0].writer.transport.abort()
        await plane.eventually(lambda: figures(plane.server)["tls_handshakes"] == 3)
        assert await outcome(plane, authority.trusting()) == 200


async def test_a_refused_request_over_tls(authority):
    """An upload that is refused in its middle gets its answer, and an orderly end after it."""
    handler = Handler(max_body=10)
    async with listening(settings(authority.issue("localhost")), handler=handler) as plane:
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost")
        answer = await client.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nxxxx")
        assert answer.status == 413
        assert answer.get("connection") == "close"
        assert await client.some() == b""
        await plane.eventually(lambda: figures(plane.server)["client_connections"] == 0)


def upload_slowly(port, context, head):
    """Send a head, and pieces of a body for longer than one second, and only then read; return what came."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        wrapped.sendall(head)
        for _ in range(15):
            time.sleep(0.1)
            # a reset would raise here
            wrapped.sendall(b"y" * 100)
        found = b""
        while piece := wrapped.recv(65536):
            found += piece
        wrapped.sendall(b"y" * 100)
        return found


@pytest.mark.parametrize(
    ("version", "where"),
    [
        (ssl.TLSVersion.TLSv1_2, "limit"),
        (ssl.TLSVersion.TLSv1_3, "limit"),
        (ssl.TLSVersion.TLSv1_3, "upstream"),
    ],
)
async def test_a_slow_upload_reads_its_refusal(authority, version, where, monkeypatch):
    """[3.12]: who goes on sending after the answer is not reset: the answer and its end are there to be read.

    RFC 9112 section 9.6, over TLS as without it.
    """
    monkeypatch.setattr(writer, "_QUIET_SECONDS", 0.3)
    content = bytes(300_000)
    answer = b"HTTP/1.1 413 No\r\nContent-Length: 300000\r\nConnection: close\r\n\r\n" + content

    async def early(side):
        await side.request(body=False)
        await side.send(answer)
        await side.ended()

    handler = Handler(max_body=10 if where == "limit" else None)
    async with listening(settings(authority.issue("localhost")), behaviour=early, handler=handler) as plane:
        context = authority.trusting()
        context.maximum_version = version
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n"
        found = await asyncio.to_thread(upload_slowly, plane.server.port, context, head)
        assert found.startswith(b"HTTP/1.1 413 ")
        assert found.endswith(b"\r\n\r\nbody_too_large" if where == "limit" else content)
        await plane.eventually(lambda: figures(plane.server)["client_connections"] == 0)


async def test_an_upload_is_not_told_of_the_end_in_its_middle(authority, monkeypatch):
    """[3.12]: many clients take a close_notify for the end of both directions: it waits for quiet."""
    monkeypatch.setattr(writer, "_QUIET_SECONDS", 1000)
    async with listening(settings(authority.issue("localhost")), handler=Handler(max_body=10)) as plane:
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost")
        await client.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
        await plane.eventually(lambda: plane.handler.faults)
        for _ in range(3):
            await asyncio.sleep(0.2)
            await client.send(b"y" * 100)
        answer = await client.answer()
        assert (answer.status, answer.body) == (413, b"body_too_large")


async def test_an_answer_that_ends_with_its_connection_ends_at_once(authority, monkeypatch):
    """[3.12]: in HTTP/1.0 the end of the connection may be that of the answer."""
    monkeypatch.setattr(writer, "_QUIET_SECONDS", 1000)
    monkeypatch.setattr(writer, "_LINGER_SECONDS", 1000)

    async def early(side):
        await side.request(body=False)
        await side.send(b"HTTP/1.1 200 OK\r\n\r\nhello")

    async with listening(settings(authority.issue("localhost")), behaviour=early) as plane:
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost")
        await client.send(b"POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
        assert (await client.rest()).endswith(b"\r\n\r\nhello")


def upload_for_ever(port, context, head):
    """Send until that fails."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        wrapped.sendall(head)
        while True:
            wrapped.sendall(b"y" * 100_000)


async def test_who_never_stops_sending_is_cut_over_tls(authority):
    """[3.12], R60: what is sent after the answer is thrown away for a while, and not for ever."""
    async with listening(settings(authority.issue("localhost")), handler=Handler(max_body=10)) as plane:
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n"
        await asyncio.to_thread(upload_for_ever, plane.server.port, authority.trusting(), head)
        await plane.eventually(lambda: figures(plane.server)["client_connections"] == 0)


async def test_a_reader_that_stalls_over_tls(authority):
    """A client that takes nothing of its response is cut (R60)."""
    content = bytes(8 << 20)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    limits = Limits(write_timeout=0.3)
    tls = settings(authority.issue("localhost"))
    async with listening(tls, behaviour=always(answer), limits=limits) as plane:
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost", limit=1024)
        client.writer.transport.pause_reading()
        await client.send(GET)
        await plane.eventually(lambda: plane.handler.finished)
        assert plane.handler.finished[0].fault is not None
        await plane.eventually(lambda: figures(plane.server)["client_connections"] == 0)


async def test_tunnels_over_tls(authority):
    """A tunnel passes both ways, and its end at the upstream ends it at the client."""

    async def behave(side):
        await side.request()
        await side.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
        assert await side.exactly(4) == b"ping"
        await side.send(b"pong")

    async with listening(settings(authority.issue("localhost")), behaviour=behave) as plane:
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost")
        await client.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
        assert b" 101 " in await client.head()
        await client.send(b"ping")
        assert await client.exactly(4) == b"pong"
        assert await client.some() == b""
        await plane.eventually(lambda: plane.server.in_flight == 0)


async def test_r49_a_websocket_over_tls_is_told_why_it_ends(authority):
    """R49: 1008, then the end, whoever else is to say something."""

    async def behave(side):
        await side.request()
        await side.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00"
        )
        await side.ended()

    async with listening(settings(authority.issue("localhost")), behaviour=behave) as plane:
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost")
        await client.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert b" 101 " in await client.head()
        assert await client.exactly(2) == b"\x81\x00"
        (exchange,) = plane.server.exchanges()
        exchange.abort()
        assert await client.rest() == b"\x88\x02\x03\xf0"
        await plane.eventually(lambda: plane.upstream.open == plane.server.in_flight == 0)


async def test_draining_waits_for_handshakes(authority):
    """Who is at the door when the gateway drains is let in, and nothing is left open."""
    async with listening(settings(authority.issue("localhost"))) as plane:
        client = await plane.client(ssl=authority.trusting(), server_hostname="localhost")
        assert (await client.ask(GET)).status == 200
        silent = await plane.client()
        await plane.eventually(lambda: figures(plane.server)["tls_handshakes"] == 1)
        await plane.server.drain(5.0)
        assert await client.some() == b""
        assert figures(plane.server)["client_connections"] == 0
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await plane.client()
    assert await silent.ended()


async def test_closing_breaks_handshakes_off(authority):
    """Closing waits for no handshake, and leaves no task behind."""
    async with listening(settings(authority.issue("localhost")), behaviour=echo) as plane:
        client = await plane.client()
        await plane.eventually(lambda: figures(plane.server)["tls_handshakes"] == 1)
    assert await client.ended()
    await plane.eventually(lambda: figures(plane.server)["tls_handshakes"] == 0)


def resume(port, context, session=None):
    """Shake hands with an earlier session, and ask; return status, whether it was resumed, session."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as wrapped:
                wrapped.sendall(GET)
                return wrapped.recv(65536)[9:12], wrapped.session_reused, wrapped.session
        except (ssl.SSLError, ConnectionError):
            return b"", False, None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("demand", ["required", "optional"])
@pytest.mark.parametrize("minimum", ["1.2", "1.3"])
async def test_r73_no_session_outlives_the_client_ca(authority, tmp_path, demand, version, minimum):
    """R73 [1.11]: nobody comes back by ticket or id on what another client CA let in, or the same."""
    if minimum == "1.3" and version != ssl.TLSVersion.TLSv1_3:
        pytest.skip("not spoken")
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", "other")
    file = tmp_path / "clients.pem"
    file.write_bytes(authority.file.read_bytes())
    tls = settings(
        authority.issue("localhost"),
        authority.issue("second.example"),
        client_certificates=demand,
        client_ca=str(file),
        minimum_version=minimum,
    )
    async with listening(tls) as plane:
        known = authority.trusting(authority.issue("client", client=True))
        known.minimum_version = known.maximum_version = version
        status, _, session = await asyncio.to_thread(resume, plane.server.port, known)
        assert status == b"200"
        # what was let in a moment ago is asked for its certificate again, which may have expired meanwhile
        status, resumed, session = await asyncio.to_thread(resume, plane.server.port, known, session)
        assert (status, resumed) == (b"200", False)
        file.write_bytes(other.file.read_bytes() + b"\n")
        assert plane.server.certificates.refresh()
        status, _, _ = await asyncio.to_thread(resume, plane.server.port, known, session)
        assert status == b""
        assert len(plane.handler.exchanges) == 2


async def test_r73_without_client_certificates_sessions_are_resumed(authority):
    """R73: where no client is asked for a certificate nothing is skipped, and resuming saves a signature."""
    async with listening(settings(authority.issue("localhost"))) as plane:
        context = authority.trusting()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        _, _, session = await asyncio.to_thread(resume, plane.server.port, context)
        status, resumed, _ = await asyncio.to_thread(resume, plane.server.port, context, session)
        assert (status, resumed) == (b"200", True)
