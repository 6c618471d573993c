"""The listener's TLS as it is configured: checks, files, names, HSTS."""

import asyncio
import re
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.config.changes import needs_restart
from gateway.config.checks.every import warn
from gateway.config.settings.listener import TlsSettings
from gateway.config.settings.root import Settings
from gateway.core.headers.request import Request
from gateway.core.headers.rules import forwarded_of
from gateway.core.headers.upstream import upstream_headers
from gateway.core.runtime import compile_settings
from gateway.core.runtime import problems as check
from gateway.edge.configfile.certificate_dates import judge_dates
from gateway.edge.configfile.load import ConfigurationError, parse
from gateway.http.downstream import certificates as module
from gateway.http.downstream.certificates import CertificateError, Certificates, names_of, watch
from tests.support.certificates import Authority
from tests.support.configuration import KEY
from tests.support.pure import response_headers

FILES = {"certificate": "a.pem", "key": "b.pem"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """One authority for the module."""
    return Authority(tmp_path_factory.mktemp("authority"))


def settings(**more):
    return Settings.model_validate(
        {
            "public_url": "https://app.example.com",
            "secret_keys": [KEY],
            "providers": {
                "p": {
                    "issuer": "https://i.example",
                    "client_id": "c",
                    "client_secret": "s",
                    "audiences": ["a"],
                }
            },
            "upstreams": {"app": {"servers": ["http://127.0.0.1:1"]}},
            "routes": [{"path": "/", "upstream": "app", "access": "required"}],
            **more,
        }
    )


def test_both_forms():
    """One certificate may be written without a list."""
    short = settings(tls=FILES).tls
    assert short.chains == settings(tls={"certificates": [FILES]}).tls.chains
    assert [chain.key for chain in short.chains] == ["b.pem"]
    assert settings().tls is None


@pytest.mark.parametrize(
    ("tls", "where"),
    [
        ({}, "tls"),
        ({"certificates": []}, "tls"),
        ({"certificate": "a.pem"}, "tls.key"),
        ({"key": "a.pem"}, "tls.certificate"),
        (FILES | {"certificates": [FILES]}, "tls.certificate"),
        (FILES | {"client_certificates": "required"}, "tls.client_ca"),
        (FILES | {"client_certificates": "optional"}, "tls.client_ca"),
        (FILES | {"client_ca": "c.pem"}, "tls.client_certificates"),
        (FILES | {"hsts": {"preload": True}}, "tls.hsts.preload"),
        (
            FILES | {"hsts": {"preload": True, "include_subdomains": True, "max_age": "30d"}},
            "tls.hsts.preload",
        ),
    ],
)
def test_checks(tls, where):
    """What cannot be meant is an error at its place."""
    assert [str(problem).partition(": ")[0] for problem in check(settings(tls=tls))] == [where]


def test_a_site_without_https():
    """TLS on a site that is not https is hardly meant, and HSTS there would never be sent."""
    plain = {"public_url": "http://localhost:8080", "tls": FILES}
    assert any("no public_url is https" in str(problem) for problem in warn(settings(**plain)))
    plain["tls"] = FILES | {"hsts": {}}
    assert [problem.path for problem in check(settings(**plain))] == [("tls", "hsts")]


@pytest.mark.parametrize(
    "wrong", [{"minimum_version": "1.1"}, {"minimum_version": "1.0"}, {"ciphers": "ALL"}]
)
def test_no_way_to_weaken_it(wrong):
    """Nothing older than TLS 1.2 can be configured, and no cipher suite."""
    with pytest.raises(ValueError, match="validation error"):
        settings(tls=FILES | wrong)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ({}, b"max-age=31536000"),
        ({"max_age": "0s"}, b"max-age=0"),
        (
            {"include_subdomains": True, "preload": True, "max_age": "730d"},
            b"max-age=63072000; includeSubDomains; preload",
        ),
    ],
)
def test_hsts(written, value):
    """Strict-Transport-Security for each https site, under each spelling of its authority (RFC 6797)."""
    compiled = compile_settings(settings(tls=FILES | {"hsts": written}))
    header = (b"Strict-Transport-Security", value)
    assert compiled.hsts == dict.fromkeys((b"app.example.com", b"app.example.com:443"), header)
    upstream = [(b"strict-transport-security", b"max-age=1"), (b"X-Other", b"1")]
    assert response_headers(upstream, compiled.rules, []) == [(b"X-Other", b"1")]


def test_without_hsts_the_upstream_may_send_it():
    """Where the gateway says nothing, the upstream's field passes."""
    compiled = compile_settings(settings(tls=FILES))
    assert compiled.hsts == {}
    upstream = [(b"Strict-Transport-Security", b"max-age=1")]
    assert response_headers(upstream, compiled.rules, []) == upstream


@pytest.mark.parametrize(
    "name",
    ["Client-Cert", "client_cert_chain", "X-Client-Cert", "X-CLIENT_CERT-Subject", "SSL_Client_Verify",
     "X-SSL-Client-CN", "X-Forwarded-Client-Cert"],
)  # fmt: skip
def test_nobody_tells_of_a_certificate_himself(name):
    """What a proxy says of a client's certificate (RFC 9440 and older) a client cannot say (R53)."""
    rules = compile_settings(settings(tls=FILES)).rules
    request = Request(
        b"GET", b"/", b"app.example.com", ((name.encode(), b"x"), (b"X-Other", b"1")), "192.0.2.1"
    )
    found = upstream_headers(
        request, forwarded_of(request, rules), rules, None, pass_authorization=False, request_id="r"
    )
    names = {key.lower() for key, _ in found}
    assert b"x-other" in names
    assert name.lower().encode() not in names


def test_switching_tls_needs_a_restart():
    """Another certificate does not, plain HTTP instead of TLS does."""
    without, first, second = settings(), settings(tls=FILES), settings(tls=FILES | {"hsts": {}})
    assert needs_restart(first, second) == []
    assert (
        needs_restart(without, first) == needs_restart(first, without) == ["tls: this change needs a restart"]
    )


def load(pair):
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes())


def test_names_of(authority):
    """DNS names count, lower case; without any there is none, whatever the common name says (RFC 9525)."""
    assert names_of(load(authority.issue("A.example", "*.B.example"))) == ("a.example", "*.b.example")
    assert names_of(load(authority.issue(file="bare"))) == ()


CONFIGURATION = """\
public_url: https://app.example.com
secret_keys: ["{key}"]
providers:
  p: {{issuer: "https://login.example.com", client_id: app, client_secret: s, audiences: [api]}}
upstreams: {{app: {{servers: ["http://127.0.0.1:3000"]}}}}
routes:
  - {{path: /, upstream: app, access: required}}
tls:
  {tls}
"""


def load_section(tls, base):
    text = CONFIGURATION.format(key=KEY, tls=tls.replace("\n", "\n  "))
    return parse(text.encode(), "gateway.yaml", base, {})


def read(tls, base):
    return load_section(tls, base).settings.tls


def refused(tls, base):
    with pytest.raises(ConfigurationError) as caught:
        read(tls, base)
    return str(caught.value)


def test_paths_start_at_the_file(authority):
    """Relative paths start from the configuration's directory, in both forms."""
    authority.issue("site.example", file="site")
    here = authority.directory
    found = read("certificate: site.crt\nkey: site.key", here)
    assert found.certificate == str(here / "site.crt")
    listed = "certificates: [{certificate: site.crt, key: site.key}]\n"
    listed += "client_ca: authority.pem\nclient_certificates: optional"
    found = read(listed, here)
    assert (found.chains[0].key, found.client_ca) == (str(here / "site.key"), str(here / "authority.pem"))


def test_unusable_files(authority):
    """Each unusable file is told of at its line, before anything starts; nothing of its content is."""
    here = authority.directory
    authority.issue("site.example", file="site")
    other = authority.issue("other.example", file="other")
    (here / "junk.pem").write_text("-----BEGIN CERTIFICATE-----\nhunter2\n")
    locked = serialization.load_pem_private_key(other.key.read_bytes(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    (here / "locked.key").write_bytes(locked)
    mixed = refused("certificate: site.crt\nkey: other.key", here)
    assert mixed == "gateway.yaml:9: tls.certificate: this certificate and its key do not belong together"
    assert "cannot be read: No such file" in refused("certificate: nope.crt\nkey: site.key", here)
    assert "no usable PEM" in refused("certificate: junk.pem\nkey: site.key", here)
    assert "passphrase" in refused("certificate: other.crt\nkey: locked.key", here)
    second = "certificates:\n  - {certificate: site.crt, key: site.key}\n"
    second += "  - {certificate: site.crt, key: other.key}"
    assert "gateway.yaml:11: tls.certificates[1].certificate" in refused(second, here)
    authorities = "certificate: site.crt\nkey: site.key\nclient_certificates: required\nclient_ca: junk.pem"
    assert "tls.client_ca: this file holds no certificate" in refused(authorities, here)
    assert "tls" in refused("certificate: {}\nkey: []", here)
    assert "tls" in refused("certificates: [1, null, {}]", here)


def warned(section: str, here: Path) -> list[str]:
    found = load_section(section, here)
    return [str(each) for each in found.warnings if "expire" in str(each) or "valid" in str(each)]


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (-0.5, r"tls\.certificate: this certificate expired on \d{4}-\d\d-\d\d \d\d:\d\d UTC"),
        (3, r"tls\.certificate: this certificate expires on \d{4}-.*: renew it"),
        (30, None),
    ],
)
def test_dates_of_certificates(authority, days, told):
    """[4.4]: an expired certificate is told with its date and line, and can be used all the same."""
    authority.issue("site.example", file="site", days=days)
    found = warned("certificate: site.crt\nkey: site.key", authority.directory)
    assert len(found) == (told is not None)
    assert told is None or re.fullmatch(told, found[0])


def test_dates_of_several_certificates_and_authorities(authority, tmp_path):
    """[4.4]: each of several, one of the chain, and authorities of which none is valid any more."""
    here = authority.directory
    authority.issue("good.example", file="good")
    expired = authority.issue("old.example", file="old", days=-0.5)
    (here / "chain.crt").write_bytes((here / "good.crt").read_bytes() + expired.certificate.read_bytes())
    listed = "certificates: [{certificate: good.crt, key: good.key}, {certificate: old.crt, key: old.key}]"
    assert [each.partition(":")[0] for each in warned(listed, here)] == ["tls.certificates[1].certificate"]
    (found,) = warned("certificate: chain.crt\nkey: good.key", here)
    assert "a certificate of its chain expired on" in found
    more = "certificate: good.crt\nkey: good.key\nclient_certificates: required\nclient_ca: "
    (found,) = warned(more + "old.crt", here)
    assert found.startswith("tls.client_ca: the last authority in it expired on")
    assert warned(more + "chain.crt", here) == []


def test_a_certificate_of_tomorrow(authority):
    """[4.4]: one that is not valid yet is told, too."""
    pair = authority.issue("site.example", file="site")
    yesterday = time.time() - 2 * 86400
    assert "is not valid before" in judge_dates(str(pair.certificate), yesterday)
    assert judge_dates(str(pair.key), yesterday) is None
    assert judge_dates("/nowhere", yesterday) is None


@pytest.mark.parametrize("broken", ["certificate", "key", "client_ca"])
@pytest.mark.parametrize("content", [None, b"", b"junk", b"\0" * 100])
def test_certificates_say_what_is_wrong(authority, tmp_path, broken, content):
    """An unusable file is an error that names it and nothing of what is in it."""
    pair = authority.issue("x.example", file=f"x-{broken}")
    files = pair.written | {"client_ca": str(authority.file), "client_certificates": "optional"}
    bad = tmp_path / "bad.pem"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(CertificateError, match=r"bad\.pem") as caught:
        Certificates(TlsSettings.model_validate(files | {broken: str(bad)}))
    assert "junk" not in str(caught.value)


async def test_watch(authority, monkeypatch):
    """A change is told of once, a bad one with its cause; without TLS there is nothing to watch."""
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.01)
    pair = authority.issue("watched.example", file="watched")
    certificates, told = Certificates(TlsSettings.model_validate(pair.written)), []
    current = [None]
    watching = asyncio.create_task(watch(lambda: current[0], told.append))
    try:
        await asyncio.sleep(0.05)
        current[0] = certificates
        authority.issue("watched.example", file="watched", days=60)
        await until(lambda: told and told[-1] is None)
        before = len(told)
        pair.key.write_text("junk")
        await until(lambda: isinstance(told[-1], CertificateError))
        await asyncio.sleep(0.05)
        assert len(told) == before + 1
    finally:
        watching.cancel()


async def until(probe):
    for _ in range(500):
        if probe():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")
