"""The files that the gateway proves with to a provider who it is, as the configuration names them."""

from pathlib import Path

import pytest

from gateway.edge.configfile.load import ConfigurationError, parse
from tests.support.certificates import Authority
from tests.support.client_keys import pem
from tests.support.configuration import KEY

CONFIGURATION = """\
public_url: https://app.example.com
secret_keys: [{key}]
upstreams: {{app: {{servers: [http://127.0.0.1:1]}}}}
routes: [{{path: /, upstream: app, access: required}}]
providers:
  p:
    issuer: https://i.example
    client_id: c
    audiences: [a]
{client}
"""


def load(client: str, here: Path):
    lines = "\n".join(f"    {line}" for line in client.splitlines())
    return parse(CONFIGURATION.format(key=KEY, client=lines).encode(), "gateway.yaml", here, {})


def refused(client: str, here: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(client, here)
    return str(caught.value)


def test_a_certificate_and_its_key(tmp_path):
    """[11.5]: paths start at the file; what does not fit, or soon ends, is told before a start."""
    authority = Authority(tmp_path)
    authority.issue("own", file="own", client=True)
    authority.issue("other", file="other", client=True)
    tls = "client_auth: tls_client_auth\nclient_certificate: own.crt\n"
    found = load(f"{tls}client_key: own.key", tmp_path).settings.providers["p"]
    assert found.client_certificate == str(tmp_path / "own.crt")
    assert found.client_key == str(tmp_path / "own.key")
    assert "gateway.yaml:11: providers.p.client_certificate" in refused(
        f"{tls}client_key: other.key", tmp_path
    )
    assert "cannot be read" in refused(f"{tls}client_key: nope.key", tmp_path)
    assert "cannot be read" in refused(tls.replace("own.crt", "nope.crt"), tmp_path)
    authority.issue("own", file="own", client=True, days=3)
    warnings = [str(each) for each in load(f"{tls}client_key: own.key", tmp_path).warnings]
    assert any("providers.p.client_certificate: this certificate expires" in each for each in warnings)


def test_signing_keys_are_read_where_they_are(tmp_path):
    """R16 [11.5]: from files with line breaks; one that is none is told, without a letter of it."""
    (tmp_path / "good.pem").write_text(pem())
    (tmp_path / "bad.pem").write_text("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n")
    head = "client_auth: private_key_jwt\nsigning_keys:\n"
    found = load(f'{head}  - "${{file:good.pem}}"', tmp_path).settings.providers["p"]
    assert [each.get_secret_value().strip() for each in found.signing_keys] == [pem().strip()]
    told = refused(f'{head}  - "${{file:good.pem}}"\n  - "${{file:bad.pem}}"', tmp_path)
    assert "gateway.yaml:13: providers.p.signing_keys[1]" in told
    assert "hunter2" not in told
    assert "control character" in refused(f'{head}  - "a\\x00b"', tmp_path)
    # a line break is as odd as before anywhere else
    assert "line break" in refused('client_secret: "a\\nb"', tmp_path)


def test_no_other_setting_takes_a_key(tmp_path):
    """[11.5]: the exception is for signing_keys alone, wherever the same text stands."""
    (tmp_path / "good.pem").write_text(pem())
    assert "line break" in refused('client_secret: "${file:good.pem}"', tmp_path)
