"""The chart and the plain manifests: rendered by Helm, held against the schemas of Kubernetes and others."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from gateway.config.settings.listener import LimitSettings
from gateway.edge.configfile.load import parse
from gateway.edge.telemetry.metric_catalogue import CATALOGUE
from tests.support import helm
from tests.support.configuration import TREE

FOLDER = TREE / "deploy/kubernetes"
VERSIONS = ("1.29", "1.33")
GATEWAY = {"secret-key": "p9U/689CfGpE5xWWMlzcr9J7hTQZuClwclrw3S8uaqs=", "admin-token": "t" * 32}


@pytest.fixture(scope="module")
def program() -> Path:
    """Helm."""
    found = helm.program()
    if found is None:
        pytest.skip("Helm is not here (python -m tests.support.helm builds it, with Go)")
    return found


def documents(text: str) -> list[dict[str, Any]]:
    """Return the manifests of a file."""
    return [each for each in yaml.safe_load_all(text) if each]


def validate(manifest: dict[str, Any]) -> None:
    """Hold a manifest against the schema of its kind, nothing unknown allowed; skip where there is none."""
    group = manifest["apiVersion"].partition("/")[0]
    if group not in ("gateway.networking.k8s.io", "monitoring.coreos.com"):
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)
        return
    schema = helm.custom_schema(manifest["kind"], manifest["apiVersion"].rpartition("/")[2])
    if schema is None:
        pytest.skip(f"the schema of {manifest['kind']} is not here (python -m tests.support.helm fetches it)")
    jsonschema.validate(manifest, closed(schema))


def closed(schema: Any) -> Any:
    """Return a schema that allows no unknown members, as the API server does where it is told to."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(value) for name, value in schema.items()}
    if str(made.get("pattern", "")).startswith("^(?i)"):
        # as Go writes it
        made["pattern"] = made["pattern"].replace("^(?i)", "(?i)^")
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
        made["properties"].setdefault("metadata", {"type": "object"})
    return made


def settings_of(manifests: list[dict[str, Any]], tmp_path: Path) -> Any:
    """Return the settings of the configuration in its ConfigMap, as the pod reads them."""
    (config,) = (each for each in manifests if each["kind"] == "ConfigMap")
    (deployment,) = (each for each in manifests if each["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    (mount,) = (each["mountPath"] for each in container["volumeMounts"] if each["name"] == "secrets")
    text = config["data"]["gateway.yaml"]
    for name in set(re.findall(re.escape(mount) + r"/([a-z-]+)", text)):
        (tmp_path / name).write_text(GATEWAY.get(name, "made-up-secret"))
        (tmp_path / name).chmod(0o600)
    text = text.replace(mount, str(tmp_path))
    return parse(text.encode(), "gateway.yaml", tmp_path, {}).settings


@pytest.mark.parametrize("values", ["small", "large"])
def test_the_chart(program: Path, tmp_path: Path, values: str):
    """[12.kubernetes]: it is linted, every manifest is valid, and the gateway takes its configuration."""
    file = helm.CHART / f"ci/{values}.yaml"
    linted = subprocess.run(
        [program, "lint", "--strict", helm.CHART, "-f", file], check=False, capture_output=True, text=True
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
    done = helm.rendered(program, "-f", str(file))
    assert done.returncode == 0, done.stderr
    manifests = documents(done.stdout)
    for manifest in manifests:
        validate(manifest)
    settings = settings_of(manifests, tmp_path)
    assert settings.listen.endswith(":8080")
    kinds = {each["kind"] for each in manifests}
    assert {"ConfigMap", "Deployment", "Service"} <= kinds
    if values == "large":
        assert kinds >= {
            *("HorizontalPodAutoscaler", "HTTPRoute", "Ingress", "NetworkPolicy", "PodDisruptionBudget"),
            *("PrometheusRule", "ServiceMonitor"),
        }
        assert "Secret" not in kinds


def test_nobody_is_trusted_whom_the_operator_has_not_named(program: Path, tmp_path: Path):
    """[12.kubernetes]: Helm merges maps; no provider, upstream or proxy of the chart's own is among them."""
    own = yaml.safe_load(helm.PLAIN_VALUES.read_text())
    own["config"]["providers"] = {"okta": own["config"]["providers"]["corporate"]}
    own["config"]["upstreams"] = {"site": {"servers": ["http://site:8000"]}}
    own["config"]["routes"] = [{"path": "/", "upstream": "site", "access": "required"}]
    del own["config"]["trusted_proxies"], own["config"]["forwarding"]
    (tmp_path / "my-values.yaml").write_text(yaml.safe_dump(own))
    done = helm.rendered(program, "-f", str(tmp_path / "my-values.yaml"))
    settings = settings_of(documents(done.stdout), tmp_path)
    assert (list(settings.providers), list(settings.upstreams)) == (["okta"], ["site"])
    assert settings.trusted_proxies == ()


def containers(manifests: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each pod's specification with each of its containers."""
    for manifest in manifests:
        pod = manifest["spec"] if manifest["kind"] == "Pod" else None
        if manifest["kind"] == "Deployment":
            pod = manifest["spec"]["template"]["spec"]
        for container in () if pod is None else pod["containers"]:
            assert pod is not None
            yield pod, container


def test_pods_are_confined_and_have_time(program: Path):
    """R96 [12.kubernetes]: no root, nothing writable, no token of the cluster; they end once drained."""
    manifests = documents(helm.rendered(program, "-f", str(helm.CHART / "ci/large.yaml")).stdout)
    found = list(containers(manifests))
    assert len(found) == 2
    for pod, container in found:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    pod, container = found[0]
    waits = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] >= waits + LimitSettings().drain_timeout
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    assert container["image"] == f"token-gateway@{digest}"


def test_the_admin_listener_is_asked_as_it_answers(program: Path):
    """[12.kubernetes]: by TLS where it has a certificate: probes, Prometheus and helm test."""
    words = (
        "--set=config.admin.tls.certificate=/run/secrets/gateway/crt",
        "--set=serviceMonitor.tlsConfig.serverName=x",
    )
    manifests = documents(helm.rendered(program, "-f", str(helm.CHART / "ci/large.yaml"), *words).stdout)
    for manifest in manifests:
        validate(manifest)
    (_, gateway), (_, health) = containers(manifests)
    assert {
        gateway[f"{each}Probe"]["httpGet"]["scheme"] for each in ("startup", "readiness", "liveness")
    } == {"HTTPS"}
    assert health["args"][-1].startswith("https://")
    (monitor,) = (each for each in manifests if each["kind"] == "ServiceMonitor")
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["scheme"], endpoint["tlsConfig"]) == ("https", {"serverName": "x"})


def test_the_pod_of_helm_test_may_ask_and_serves_nobody(program: Path):
    """[12.kubernetes]: the network policy lets it in; no service and no budget takes it for a gateway."""
    manifests = documents(helm.rendered(program, "-f", str(helm.CHART / "ci/large.yaml")).stdout)
    (labels,) = (each["metadata"]["labels"] for each in manifests if each["kind"] == "Pod")
    (policy,) = (each["spec"] for each in manifests if each["kind"] == "NetworkPolicy")
    (admin,) = (each["from"] for each in policy["ingress"] if each["ports"] == [{"port": "admin"}])
    assert {"podSelector": {"matchLabels": labels}} in admin
    chosen = [policy["podSelector"]["matchLabels"]]
    for manifest in manifests:
        if manifest["kind"] in ("Service", "PodDisruptionBudget", "Deployment"):
            selector = manifest["spec"]["selector"]
            chosen.append(selector.get("matchLabels", selector))
    assert len(chosen) == 5
    assert not [each for each in chosen if each.items() <= labels.items()]


def test_the_ingress_lets_through_what_nginx_in_front_does(program: Path):
    """[12.kubernetes] R64: sizes, streams, uploads and times, as config/proxies/front/nginx.conf has them."""
    manifests = documents(helm.rendered(program, "-f", str(helm.CHART / "ci/large.yaml")).stdout)
    (ingress,) = (each for each in manifests if each["kind"] == "Ingress")
    prefix = "nginx.ingress.kubernetes.io/"
    told = {name.removeprefix(prefix): value for name, value in ingress["metadata"]["annotations"].items()}
    front = (TREE / "config/proxies/front/nginx.conf").read_text(encoding="utf-8")
    for name in ("buffer-size", "buffering", "request-buffering"):
        (wanted,) = re.findall(rf"^ *proxy_{name.replace('-', '_')} (\w+);", front, re.MULTILINE)
        assert told[f"proxy-{name}"] == wanted
    assert (told["proxy-body-size"], told["proxy-read-timeout"]) == ("0", "3600")


def test_a_change_of_the_configuration_replaces_the_pods(program: Path):
    """[12.kubernetes]: also of a Secret of the chart's own; an existing Secret is rotated by a reload."""

    def checksums(*words: str) -> dict[str, str]:
        done = helm.rendered(program, "-f", str(helm.CHART / "ci/small.yaml"), *words)
        (pods,) = (each for each in documents(done.stdout) if each["kind"] == "Deployment")
        return pods["spec"]["template"]["metadata"]["annotations"]

    before = checksums()
    changed = checksums("--set", "config.public_url=https://other.example.com")
    rotated = checksums("--set", "secrets.values.client-secret=another")
    assert before["checksum/config"] != changed["checksum/config"]
    assert before["checksum/secret"] == changed["checksum/secret"]
    assert before["checksum/secret"] != rotated["checksum/secret"]
    assert "checksum/config" not in (checksums("--set", "rollOnChange=false") or {})


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--set", "secrets.existing="), "name a Secret"),
        (("--set", "config.public_url=null"), "public_url"),
        (("--set", "secrets.existing=x,config.redis=null"), "set config.redis"),
        (("--set", "secrets.existing=x,config.listen=0.0.0.0:80"), "config.listen"),
        (("--set", "secrets.existing=x,config.admin.listen=127.0.0.1:9000"), "config.admin.listen"),
        (
            ("--set", "secrets.existing=x,autoscaling.enabled=true,autoscaling.cpuUtilization=null"),
            "autoscaling needs",
        ),
        (("--set", "secrets.existing=x,config.workers=4"), "value workers"),
        (("--set", "secrets.existing=x,config.limits.drain_timeout=1m"), "terminationGracePeriodSeconds"),
        (("--set", "secrets.existing=x,preStopSeconds=16"), "terminationGracePeriodSeconds"),
        (("--set", "secrets.existing=x,replicas=many"), "replicas"),
        (("--set", "secrets.existing=x,replica=3"), "replica"),
        (("--set", "secrets.existing=x,service.type=Everything"), "service"),
    ],
)
def test_mistakes_are_told_before_anything_is_made(program: Path, words: tuple[str, ...], complaint: str):
    """[12.kubernetes]: what would serve nobody, and names that there are not, are refused with what to do."""
    done = helm.rendered(program, f"--values={helm.PLAIN_VALUES}", *words)
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize(
    "literal",
    [
        "config.providers.corporate.client_secret=hush",
        "config.providers.corporate.proxy=http://me:hush@proxy:3128",
        "config.secret_keys[0]=hush",
        "config.admin.token=hush",
        "config.admin.tokens.carol.token=hush",
        "config.redis.password=hush",
        "config.redis.url=redis://:hush@redis:6379/0",
        "config.redis.url=redis://me:hush@redis:6379/0",
        "config.upstreams.app.authorization.password=hush",
        "config.telemetry.headers.authorization=hush",
    ],
)
def test_no_secret_stands_in_the_config_map(program: Path, literal: str):
    """[12.kubernetes]: it is no Secret, and many may read it; by reference each of them is taken."""
    chart = ("--set", "secrets.existing=x", f"--values={helm.PLAIN_VALUES}")
    done = helm.rendered(program, *chart, "--set", literal)
    assert done.returncode != 0, done.stdout
    assert "write ${file:/run/secrets/gateway/" in done.stderr
    assert "hush" not in done.stderr
    name = literal.replace("hush", "${file:/run/secrets/gateway/some-name}")
    assert helm.rendered(program, *chart, "--set", name).returncode == 0


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("secrets.values.client-secret=", "no client-secret"),
        ("secrets.values.admin-token=null", "no admin-token"),
        ("secrets.path=/etc/secrets", "config names files in /run/secrets/gateway"),
    ],
)
def test_secrets_that_the_pods_would_miss_are_told(program: Path, given: str, complaint: str):
    """[12.kubernetes]: of the chart's own Secret, and files that are mounted elsewhere than named."""
    done = helm.rendered(program, f"--values={helm.CHART / 'ci/small.yaml'}", "--set", given)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_the_values_of_the_page_will_do(program: Path, tmp_path: Path):
    """[12.kubernetes]: what docs/kubernetes.md has one write, in any namespace and under any name."""
    text = (TREE / "docs/kubernetes.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(image:.*?)```", text, re.DOTALL)
    (tmp_path / "my-values.yaml").write_text(block)
    words = ("-f", str(tmp_path / "my-values.yaml"), "--namespace=web", "--set=nameOverride=edge")
    manifests = documents(helm.rendered(program, *words).stdout)
    for manifest in manifests:
        validate(manifest)
    assert settings_of(manifests, tmp_path).public_url == ("https://app.example.com",)
    (deployment,) = (each for each in manifests if each["kind"] == "Deployment")
    assert deployment["metadata"]["name"] == "token-gateway-edge"


def test_the_adapter_offers_what_the_autoscaler_asks():
    """[12.kubernetes]: docs/kubernetes.md has its rule: the metric is ours, the name that of the values."""
    text = (TREE / "docs/kubernetes.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(rules:\n.*?)```", text, re.DOTALL)
    ((rule,),) = yaml.safe_load(block).values()
    values = yaml.safe_load((helm.CHART / "values.yaml").read_text())
    assert rule["name"]["as"] == values["autoscaling"]["requestsMetric"]
    assert rule["name"]["matches"] in CATALOGUE
    assert rule["seriesQuery"].startswith(rule["name"]["matches"] + "{")


def test_the_plain_manifests_are_the_chart_s(program: Path):
    """[12.kubernetes]: python -m tests.support.helm --write makes them."""
    for name, text in helm.plain(program).items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, name


@pytest.mark.parametrize("name", helm.PLAIN)
def test_plain_manifests(name: str, tmp_path: Path):
    """[12.kubernetes]: every one is valid, without Helm too, and the gateway takes the configuration."""
    manifests = documents((FOLDER / name).read_text(encoding="utf-8"))
    assert manifests
    for manifest in manifests:
        validate(manifest)
    if name == "token-gateway.yaml":
        assert settings_of(manifests, tmp_path).redis is not None


def test_the_schema_of_values_is_one():
    """[12.kubernetes]: and the chart's own values hold by it."""
    schema = json.loads((helm.CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    values = yaml.safe_load((helm.CHART / "values.yaml").read_text())
    plain = yaml.safe_load(helm.PLAIN_VALUES.read_text())
    jsonschema.validate({**values, "config": values["config"] | plain["config"]}, schema)
    assert set(schema["properties"]) - {"global"} == set(values)


def test_a_release_whose_name_begins_with_a_digit(program: Path):
    """[12.kubernetes]: names of Services begin with a letter all the same (RFC 1035)."""
    done = helm.rendered(program, "-f", str(helm.CHART / "ci/large.yaml"), "--set", "fullnameOverride=2nd")
    assert done.returncode == 0, done.stderr
    names = [each["metadata"]["name"] for each in documents(done.stdout) if each["kind"] == "Service"]
    assert names == ["gw-2nd", "gw-2nd-admin"]
