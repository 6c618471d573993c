"""What the files for proxies say belongs into the gateway's configuration is good there as it stands."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from gateway.edge.configfile.load import load

CONFIG = Path(__file__).resolve().parents[2] / "config"
FILES = sorted(
    each
    for each in (CONFIG / "proxies").rglob("*")
    if each.is_file()
    and re.search("The gateway's configuration:(?s:.)*?trusted_proxies:", each.read_text()[:1000])
)
MINIMAL = (CONFIG / "minimal.yaml").read_text()


def told(text: str) -> str:
    """Return the YAML after "The gateway's configuration:", from its line on to the first empty comment."""
    _, _, rest = text.partition("The gateway's configuration:")
    block = re.split(r"\n#?\s*\n", rest)[0]
    return "\n".join(line.lstrip("#-").strip() for line in block.splitlines())


@pytest.mark.parametrize("file", FILES, ids=[str(each.relative_to(CONFIG)) for each in FILES])
def test_a_proxys_lines_for_the_gateway_are_good(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[12.proxies] Copied into the smallest configuration they give neither a problem nor a warning."""
    lines = told(file.read_text())
    assert "trusted_proxies" in yaml.safe_load(lines)
    monkeypatch.setenv("GATEWAY_SECRET_KEY", b64encode(sha256(b"a key").digest()).decode())
    monkeypatch.setenv("GATEWAY_CLIENT_SECRET", "a-secret-of-a-client")
    config = tmp_path / "gateway.yaml"
    config.write_text(f"{MINIMAL}\n{lines}\nredis: {{url: redis://localhost:6379/0}}\n")
    assert load(config).warnings == []


def test_the_files_are_found() -> None:
    """No file is left out by another spelling of the sentence."""
    assert len(FILES) >= 11
