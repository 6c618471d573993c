"""What is deployed is linted: image, compose file, unit, alert rules; and everything it names exists."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from gateway.cli import main as cli
from gateway.cli.healthcheck import healthcheck
from gateway.config.settings.listener import LimitSettings
from gateway.core.runtime import redirect_uris
from gateway.edge.admin.hosts import is_ours
from gateway.edge.configfile.load import parse
from gateway.edge.telemetry import metrics
from gateway.edge.telemetry.metric_catalogue import CATALOGUE
from tests.support.configuration import TREE
from tests.support.world import SECRET_KEY

DEPLOY = TREE / "deploy"
UNIT = DEPLOY / "gateway.service"
COMPOSE = DEPLOY / "compose.yaml"
RULES = DEPLOY / "prometheus/rules.yaml"
DOCKERFILE = TREE / "Dockerfile"


def tool(name: str) -> str:
    """Return a tool of the virtual environment or of PATH; without it the test is skipped."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def lint(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dockerfile():
    """Hadolint finds nothing."""
    lint(tool("hadolint"), str(DOCKERFILE))


def test_dockerfile_hardening():
    """Hashes are required, the process is nobody's root, ends by SIGTERM and has a health check."""
    text = DOCKERFILE.read_text()
    final = text.rpartition("\nFROM ")[2]
    assert "--require-hashes" in text
    assert re.search(r"^USER [1-9][0-9]*:[1-9][0-9]*$", final, re.MULTILINE)
    assert "STOPSIGNAL SIGTERM" in final
    words = json.loads(re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", final, re.MULTILINE)[1])
    assert words[0] == "gateway"
    assert cli._parser(words[1:]).parse_args(words[1:]).command is healthcheck


def test_the_image_gets_what_it_copies():
    """Every COPY source exists, and .dockerignore lets it, and nothing else, through."""
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    sources = [source for each in copies for source in each.split()]
    assert sources
    allowed = {
        line.removeprefix("!")
        for line in (TREE / ".dockerignore").read_text().splitlines()
        if line[:1] == "!"
    }
    assert set(sources) == allowed
    assert all((TREE / source).exists() for source in sources)


def test_the_lock_covers_the_dependencies():
    """Each run-time dependency is in the lock, each line with hashes."""
    lock = (TREE / "requirements.lock").read_text()
    import tomllib

    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    for dependency in project["dependencies"]:
        name = re.split(r"[^A-Za-z0-9-]", dependency)[0].lower()
        assert re.search(rf"^{name}(\[[a-z]+\])?==\S+.*\\\n +--hash=sha256:", lock, re.MULTILINE), name


def test_compose_schema():
    """The compose file is one, by the compose specification's schema."""
    lint(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(COMPOSE))


def test_compose_references():
    """Networks, volumes, secrets and files that services name are there."""
    compose = yaml.safe_load(COMPOSE.read_text())
    for service in compose["services"].values():
        assert set(service.get("networks", [])) <= set(compose["networks"])
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        assert service["read_only"] is True
        assert "no-new-privileges:true" in service["security_opt"]
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists()
    assert compose["networks"]["back"]["internal"] is True
    assert compose["networks"]["store"]["internal"] is True
    # the store has no password: whoever reaches it can end and begin sessions
    with_store = [name for name, each in compose["services"].items() if "store" in each.get("networks", [])]
    assert with_store == ["gateway", "redis"]
    assert compose["services"]["redis"]["networks"] == ["store"]
    assert [name for name, service in compose["services"].items() if "ports" in service] == [
        "gateway",
        "prometheus",
    ]
    # what other machines may reach is the gateway's public listener alone, and that through a TLS terminator
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_and_its_configuration_agree():
    """The configuration names the secrets, hosts and port of the compose file."""
    compose = yaml.safe_load(COMPOSE.read_text())
    text = (DEPLOY / "gateway.yaml").read_text()
    assert set(re.findall(r"/run/secrets/([a-z-]+)", text)) == set(compose["secrets"])
    configuration = yaml.safe_load(text)
    assert configuration["redis"]["url"].startswith("redis://redis:")
    assert configuration["upstreams"]["app"]["servers"] == ["http://app:3000"]
    assert "app" in compose["services"]
    port = compose["services"]["gateway"]["ports"][0].rpartition(":")[2]
    assert configuration["listen"] == f"0.0.0.0:{port}"


def test_compose_with_a_provider(tmp_path: Path):
    """[12.compose]: Dex beside it: the files agree about the issuer, the client and where it is reached."""
    path = DEPLOY / "compose.dex.yaml"
    lint(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(path))
    compose, base = yaml.safe_load(path.read_text()), yaml.safe_load(COMPOSE.read_text())
    assert set(compose["services"]) - {"dex"} <= set(base["services"])
    for service in compose["services"].values():
        for volume in service["volumes"]:
            assert (DEPLOY / volume.partition(":")[0]).exists()
    service = compose["services"]["dex"]
    dex = yaml.safe_load((DEPLOY / "dex.yaml").read_text())
    text = (DEPLOY / "gateway.dex.yaml").read_text()
    for name in set(re.findall(r"/run/secrets/([a-z-]+)", text)):
        (tmp_path / name).write_text(SECRET_KEY if name == "gateway-secret-key" else "x" * 32)
        assert name in base["secrets"]
    settings = parse(text.replace("/run/secrets", str(tmp_path)).encode(), "x", tmp_path, {}).settings
    provider = settings.providers["dex"]
    (client,) = dex["staticClients"]
    assert provider.issuer == dex["issuer"]
    assert provider.client_id == client["id"]
    assert client["redirectURIs"] == redirect_uris(settings)["dex"][:1]
    assert f"'{client['secret']}'" in path.read_text()
    host = urlsplit(dex["issuer"])
    assert host.hostname in service["networks"]["front"]["aliases"]
    assert service["ports"] == [f"127.0.0.1:{host.port}:{host.port}"]
    assert dex["web"]["http"] == f"0.0.0.0:{host.port}"


def test_prometheus_can_scrape_what_is_deployed():
    """[4.6] The scrape configuration names the service and the admin port, which other containers reach."""
    scrape = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text())
    (job,) = scrape["scrape_configs"]
    host, _, port = job["static_configs"][0]["targets"][0].partition(":")
    admin = yaml.safe_load((DEPLOY / "gateway.yaml").read_text())["admin"]
    assert admin["listen"] == f"0.0.0.0:{port}"
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    assert set(services["prometheus"]["networks"]) & set(services[host]["networks"])
    assert is_ours([f"{host}:{port}"], frozenset())
    assert f'job="{job["job_name"]}"' in RULES.read_text()
    assert [(DEPLOY / "prometheus" / name).resolve() for name in scrape["rule_files"]] == [RULES]
    promtool = shutil.which("promtool")
    if promtool is not None:
        lint(promtool, "check", "config", str(DEPLOY / "prometheus/prometheus.yaml"))


def test_the_unit_leaves_the_process_its_metrics():
    """[4.6] Without /proc/stat the client library tells nothing of the process."""
    lines = UNIT.read_text().splitlines()
    assert "ProcSubset=pid" not in lines
    assert "ProtectProc=invisible" in lines


def test_the_unit_may_write_where_the_docs_say():
    """[12.systemd]: all else is read-only for it; the store and the audit log have a folder each."""
    lines = set(UNIT.read_text().splitlines())
    (name,) = {
        each
        for page in ("logs.md", "audit.md")
        for each in re.findall(r"`(?:audit\.to: )?file:/var/log/(\w+)/", (TREE / "docs" / page).read_text())
    }
    assert {f"LogsDirectory={name}", "LogsDirectoryMode=0700", f"StateDirectory={name}"} <= lines


def test_stopping_waits_for_the_drain():
    """Compose and systemd kill later than the gateway drains."""
    drain = LimitSettings().drain_timeout
    grace = yaml.safe_load(COMPOSE.read_text())["services"]["gateway"]["stop_grace_period"]
    assert float(grace.removesuffix("s")) > drain
    assert float(re.search(r"^TimeoutStopSec=(\d+)s$", UNIT.read_text(), re.MULTILINE)[1]) > drain


def test_unit(tmp_path):
    """Systemd-analyze accepts the unit; its command is one that exists here, and so are its options."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/gateway/bin/gateway", shutil.which("true") or "/bin/true"))
    done = subprocess.run(
        [analyze, "verify", str(copy)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert UNIT.name not in done.stderr


def test_unit_hardening():
    """R96: The unit keeps the process from what it does not need."""
    lines = set(UNIT.read_text().splitlines())
    assert {
        "DynamicUser=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "NoNewPrivileges=yes",
        "PrivateTmp=yes",
        "CapabilityBoundingSet=",
        "StateDirectory=gateway",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    } <= lines
    assert any(line.startswith("LoadCredential=") for line in lines)


def test_unit_starts_real_commands():
    """ExecStart and ExecStartPre are command lines that the command understands."""
    lines = re.findall(r"^ExecStart(?:Pre)?=\S+/gateway (.*)$", UNIT.read_text(), re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        words = line.split()
        assert cli._parser(words).parse_args(words).config == "/etc/gateway/gateway.yaml"


def test_rules_name_real_metrics():
    """Each metric that a rule or an annotation names is one that the gateway tells."""
    named = set(re.findall(r"\bgateway_[a-z_]+", RULES.read_text()))
    assert named
    process = re.findall(
        r"^\| `(gateway_process_[a-z_]+)` \|", (TREE / "docs/metrics.md").read_text(), re.MULTILINE
    )
    assert named <= CATALOGUE.keys() | set(process)


def test_rules_name_real_outcomes():
    """The outcomes that rules compare are ones that are counted."""
    sources = Path(metrics.__file__).read_text()
    for outcome in set(re.findall(r'outcome!?="([a-z_]+)"', RULES.read_text())):
        assert f'"{outcome}"' in sources, outcome


def test_rules_have_what_an_operator_needs():
    """Each alert has a severity, a summary and what to look at; names are unique."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"] if "record" not in rule]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_commands_in_comments_exist():
    """What the compose file and the reference tell an operator to type is understood by the command."""
    commands = []
    for path in (COMPOSE, TREE / "config/gateway.yaml", TREE / "config/minimal.yaml"):
        commands += re.findall(r"\b(?:gateway|-gateway) ((?:check|schema|revoke|keys)\b.*)", path.read_text())
    assert len(commands) > 4
    for command in commands:
        words = re.split(r"\s{2,}|[>|)]", command)[0].split()
        assert cli._parser(words).parse_args(words).command
