"""Ready configurations with made-up secrets, and what the documentation says of settings."""

import base64
import re
from pathlib import Path

from tests.support.certificates import Authority

TREE = Path(__file__).parents[2]
DOCS = TREE / "docs/configuration.md"
READY = sorted(
    str(path.relative_to(TREE))
    for path in [
        *(TREE / "config").glob("*.yaml"),
        *(TREE / "config/recipes").glob("*/*.yaml"),
        *(TREE / "config/proxies/front").glob("[ac]l*.yaml"),
        *(TREE / "deploy").glob("gateway.yaml"),
    ]
)
KEY = base64.b64encode(bytes((7 * n + 3) % 256 for n in range(32))).decode()
_FILE = re.compile(r"\$\{file:([^}]*)\}")
_CERTIFICATE = re.compile(r"/etc/gateway/tls/[a-z-]+\.(?:pem|key)")


def environment() -> dict[str, str]:
    """Return the variables that the ready configurations name."""
    return {"GATEWAY_SECRET_KEY": KEY, "GATEWAY_CLIENT_SECRET": "a-made-up-secret"}


def with_secrets(path: Path, directory: Path) -> Path:
    """Copy a configuration, its secret files replaced by made-up ones in the same directory."""
    text = path.read_text()
    for name in _FILE.findall(text):
        is_key = "key" in Path(name).name
        (directory / Path(name).name).write_text(f"{KEY if is_key else 'made-up-secret-0123456789'}\n")
    text = _FILE.sub(lambda match: f"${{file:{Path(match[1]).name}}}", text)
    if _CERTIFICATE.search(text):
        pair = Authority(directory).issue("app.example.com")
        found = {".pem": pair.certificate, ".key": pair.key}
        text = _CERTIFICATE.sub(lambda match: str(found[match[0][-4:]]), text)
    copy = directory / path.name
    copy.write_text(text)
    return copy


def rows(text: str) -> dict[str, str]:
    """Return the defaults by setting from the tables of the documentation."""
    return dict(re.findall(r"^\| `([a-z0-9_.*]+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", text, re.MULTILINE))
