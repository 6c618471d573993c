"""Helm, built from its module, and schemas of others: ``python -m tests.support.helm``.

With ``--write`` it writes the plain manifests of deploy/kubernetes/ anew, from the chart.

The schemas are those of the custom resources that the chart can make: the Gateway API's routes, and what the
Prometheus operator reads. Their modules have them; nothing else of these modules is used.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.configuration import TREE

VERSION: Final = "v3.19.5"
_MODULE: Final = "helm.sh/helm/v3/cmd/helm"
_SCHEMAS: Final = {
    "sigs.k8s.io/gateway-api@v1.4.0": ("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",),
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": (
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
}
_PATIENCE: Final = 1800.0
KUBERNETES: Final = "1.33.0"
CHART: Final = TREE / "deploy/kubernetes/chart"
PLAIN: Final[dict[str, tuple[frozenset[str], tuple[str, ...]]]] = {
    "token-gateway.yaml": (frozenset(), ()),
    "ingress.yaml": (frozenset({"Ingress"}), ("ingress.enabled=true", "ingress.tlsSecret=app-tls")),
    "gateway-api.yaml": (frozenset({"HTTPRoute"}), ("httpRoute.enabled=true",)),
    "autoscaling.yaml": (frozenset({"HorizontalPodAutoscaler"}), ("autoscaling.enabled=true",)),
    "servicemonitor.yaml": (frozenset({"ServiceMonitor"}), ("serviceMonitor.enabled=true",)),
}
"""The plain manifests: which kinds of the chart each has (none named: all), and by which values."""
_HEAD: Final = "# Made of the chart: python -m tests.support.helm --write\n"
PLAIN_VALUES: Final = CHART / "ci/plain.yaml"


def folder() -> Path:
    """Return where both are once they are made ready."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "token-gateway-bench" / f"helm-{VERSION}"


def program() -> Path | None:
    """Return Helm: one of this version from PATH or built before; None where there is none."""
    built = folder() / "helm"
    if built.exists():
        return built
    found = shutil.which("helm")
    return Path(found) if found is not None else None


def custom_schema(kind: str, version: str) -> dict[str, Any] | None:
    """Return the JSON Schema of a custom resource, None where it was not made ready."""
    for path in sorted(folder().glob("schemas/*.yaml")):
        definition = yaml.safe_load(path.read_text(encoding="utf-8"))
        if definition["spec"]["names"]["kind"] == kind:
            for each in definition["spec"]["versions"]:
                if each["name"] == version:
                    schema: dict[str, Any] = each["schema"]["openAPIV3Schema"]
                    return schema
    return None


def rendered(helm: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Return what the chart makes of these further words of ``helm template``."""
    command = [str(helm), "template", "token-gateway", str(CHART), "--kube-version", KUBERNETES, *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def plain(helm: Path) -> dict[str, str]:
    """Return the plain manifests by their names."""
    made = {}
    for name, (kinds, values) in PLAIN.items():
        given = (f"--set={each}" for each in values)
        done = rendered(helm, "--no-hooks", f"--values={PLAIN_VALUES}", *given)
        done.check_returncode()
        documents = [each for each in yaml.safe_load_all(done.stdout) if each]
        chosen = [each for each in documents if not kinds or each["kind"] in kinds]
        made[name] = _HEAD + yaml.safe_dump_all(_unlabelled(chosen), sort_keys=False, width=110)
    return made


def _unlabelled(documents: list[Any]) -> list[Any]:
    """Return documents without what only Helm needs."""
    for document in documents:
        for labels in (
            document["metadata"]["labels"],
            document.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {}),
        ):
            labels.pop("helm.sh/chart", None)
            labels.pop("app.kubernetes.io/managed-by", None)
        annotations = document.get("spec", {}).get("template", {}).get("metadata", {}).get("annotations", {})
        for name in [each for each in annotations if each.startswith("checksum/")]:
            del annotations[name]
    return documents


def build(go: str) -> None:
    """Make both ready where they are not yet; Helm takes some minutes.

    Raises:
        subprocess.SubprocessError, OSError: they cannot be had.
    """
    target = folder()
    (target / "schemas").mkdir(parents=True, exist_ok=True)
    (module := target / "module").mkdir(exist_ok=True)
    (module / "go.mod").write_text("module helm\n")

    def call(*arguments: str, **environment: str) -> str:
        done = subprocess.run(
            [go, *arguments],
            cwd=module,
            env={**os.environ, "GOFLAGS": "-mod=mod", **environment},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
        return done.stdout

    for name, files in _SCHEMAS.items():
        if not all((target / "schemas" / Path(each).name).exists() for each in files):
            there = Path(json.loads(call("mod", "download", "-json", name))["Dir"])
            for each in files:
                shutil.copy(there / each, target / "schemas" / Path(each).name)
    if program() is None:
        # without symbols it links in half the time
        call("install", "-ldflags=-s -w", f"{_MODULE}@{VERSION}", GOBIN=str(target))


def main() -> int:
    """Make both ready, and say why not."""
    go = shutil.which("go")
    if go is None:
        sys.stderr.write("helm: Go is not here, so neither it nor schemas are made ready\n")
        return 1
    try:
        build(go)
    except (subprocess.SubprocessError, OSError) as error:
        why = getattr(error, "stderr", None) or str(error)
        sys.stderr.write(f"helm: not made ready: {str(why)[-500:]}\n")
        return 1
    helm = program()
    sys.stdout.write(f"{helm}\n")
    if helm is not None and "--write" in sys.argv[1:]:
        for name, text in plain(helm).items():
            (CHART.parent / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
