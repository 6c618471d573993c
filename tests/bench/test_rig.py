"""Processes, configurations and the harness's provider, without any peer."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
import yaml

from gateway.edge.revocation.denylist_log import decode_entry
from tests.bench import configurations, denied, material, oauth2_proxy, processes, provider, shapes
from tests.bench.configurations import PROXIED, TLS, Place
from tests.bench.envoy import envoy
from tests.bench.material import Material
from tests.bench.measure import Sample
from tests.bench.peers import GATEWAY, NGINX, PEERS
from tests.bench.processes import NotStarted
from tests.bench.rig import Instance, Rig
from tests.bench.rows import PER_SECOND, Scenario
from tests.bench.scenarios import run
from tests.support.ports import free_port


@pytest.fixture(scope="module")
def key() -> bytes:
    return material.new_key()


@pytest.fixture
def place(tmp_path, key) -> Place:
    folder = tmp_path / "material"
    folder.mkdir()
    made = Material(folder, key, "http://127.0.0.1:9", 10, 11)
    made.write()
    return Place(tmp_path, 12, made, admin_port=13)


def test_stat_is_read_past_any_command_name():
    """The second field of /proc/<pid>/stat may hold spaces and brackets."""
    line = "42 (a) b (c) S 7 " + " ".join(str(each) for each in range(5, 60))
    stat = processes.parse_stat(line)
    assert stat.parent == 7
    assert stat.cpu == (14 + 15 + 16 + 17) / processes.TICKS


def test_the_core_is_found_by_its_name():
    """cpu1 is not cpu10, and idle and waiting for a disk are not busy."""
    text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu10 1 1 1 1 1 1 1 1 0 0\ncpu1 10 20 30 400 50 6 7 8 0 0\n"
    assert processes.parse_core(text, 1) == (81, 531)
    with pytest.raises(ValueError, match="no core 3"):
        processes.parse_core(text, 3)


def test_a_process_is_started_and_ended_with_its_children(tmp_path):
    """The whole tree is gone after the body, also when the body fails."""
    nap = "import time; time.sleep(60)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {nap!r}]); {nap}"
    core = min(os.sched_getaffinity(0))
    running = processes.start("tree", [sys.executable, "-c", code], tmp_path, core)
    try:
        deadline = time.monotonic() + 20
        while len(pids := running.pids()) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(pids) == 2
        assert os.sched_getaffinity(pids[0]) == {core}
        assert sum(processes.resident(pids)) > 0
    finally:
        processes.end(running)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_one_that_ends_at_once_is_told_with_its_words(tmp_path):
    """The reason of a skipped row is what the process wrote, without the folder."""
    code = f"import sys; sys.stderr.write('no such option in {tmp_path}/x.conf'); sys.exit(3)"
    core = min(os.sched_getaffinity(0))
    with (
        pytest.raises(NotStarted, match=r"ended with 3: no such option in x\.conf"),
        processes.started("bad", [sys.executable, "-c", code], tmp_path, core, free_port()),
    ):
        pass


def test_tokens_are_what_every_peer_accepts(place):
    """Signed under the published key, for the audience, each with an id of its own; the bad ones are not."""
    made = place.material
    public = jwt.PyJWKSet.from_dict(made.signer.jwks()).keys[0]

    def decode(token):
        return jwt.decode(token, public, ["RS256"], audience=material.AUDIENCE, issuer=made.issuer)

    tokens = material.mint(made.key, made.issuer, 5, 3, (0,))
    assert len({decode(token)["jti"] for token in tokens}) == 3
    for token in material.worthless(made.signer, made.issuer, time.time()).values():
        with pytest.raises(jwt.InvalidTokenError):
            decode(token)


def test_configurations_name_their_ports_and_files(place):
    """Loopback only, the port given, the files of this run."""
    for text in (
        configurations.nginx_proxy(place),
        configurations.haproxy(place),
        configurations.apache(place),
    ):
        assert "127.0.0.1:12" in text
        assert "0.0.0.0" not in text
    assert "ssl" not in configurations.nginx_proxy(place)
    encrypted = Place(place.folder, 12, place.material, TLS)
    assert "ssl_certificate" in configurations.nginx_proxy(encrypted)
    assert encrypted.origin == "https://localhost:12"
    assert configurations.caddy(place)["apps"]["http"]["servers"]["public"]["listen"] == ["127.0.0.1:12"]


def test_behind_a_proxy_all_believe_it(place):
    """[10.figures] Each takes client and scheme from the proxy on the loopback; in front, from nobody."""
    proxied = Place(place.folder, 12, place.material, PROXIED)
    jwks = json.dumps(place.material.signer.jwks())
    words = {
        configurations.nginx_proxy: "real_ip_header X-Forwarded-For",
        configurations.haproxy: "set-src req.hdr_ip(x-forwarded-for,-1)",
        configurations.apache: "RemoteIPHeader X-Forwarded-For",
        configurations.caddy: "trusted_proxies",
        configurations.gateway: "trusted_proxies",
        lambda place: envoy(place, jwks, cache=True): "xff_num_trusted_hops",
    }
    for made, word in words.items():
        assert word in str(made(proxied))
        assert word not in str(made(place))
    assert "X-Forwarded-Proto $http_x_forwarded_proto;" in configurations.nginx_proxy(proxied)
    assert "X-Forwarded-Proto $scheme;" in configurations.nginx_proxy(place)
    assert "set-header X-Forwarded-Proto" not in configurations.haproxy(proxied)
    assert "set X-Forwarded-Proto" not in configurations.apache(proxied)
    assert configurations.gateway(proxied)["public_url"] == ["https://localhost:12"]


def test_only_the_cached_envoy_has_a_cache(place):
    """The two Envoys differ in the cache alone."""
    jwks = json.dumps(place.material.signer.jwks())
    cached, plain = json.dumps(envoy(place, jwks, cache=True)), json.dumps(envoy(place, jwks, cache=False))
    entry = ', "jwt_cache_config": {"jwt_cache_size": 20000}'
    assert cached.replace(entry, "") == plain != cached


def test_the_gateways_configuration_is_valid(place):
    """The settings take it as it is: what the benchmark measures is no special mode."""
    config = pytest.importorskip("gateway.config.settings.root")
    settings = config.Settings.model_validate(shapes.gateway(place))
    assert settings.log.access
    assert settings.redis is None
    assert len(base64.urlsafe_b64decode(settings.secret_keys[0].get_secret_value() + "=")) == 32


@pytest.mark.parametrize(
    ("shape", "routes"), [(shapes.ONE, 1), (shapes.DENIED, 1), (shapes.ROUTES, 64), (shapes.HOSTS, 1000)]
)
def test_shapes_differ_in_routes_alone(tmp_path, place, shape, routes):
    """[10.figures] One route, 64, or one for each of 1,000 hosts; `gateway check` takes each of them."""
    shaped = replace(place, kind=PROXIED, shape=shape)
    made, normal = shapes.gateway(shaped), shapes.gateway(replace(place, kind=PROXIED))
    assert len(made["routes"]) == routes
    assert len({(route["path"], str(route.get("hosts"))) for route in made["routes"]}) == routes
    assert made | {"routes": normal["routes"]} == normal
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(made))
    command = [sys.executable, "-m", "gateway", "check", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_assertions_are_all_that_their_shape_adds(place):
    """[11.9]: what they cost is measured, and nothing else."""
    made, normal = shapes.gateway(replace(place, shape=shapes.ASSERTED)), shapes.gateway(place)
    assert made["upstreams"]["app"].pop("assertion") == {}
    assert made == normal


def test_opaque_tokens_and_keys_are_all_that_their_shape_adds(place):
    """[11.6, 11.8]: what they cost is measured, and nothing else; the provider knows its tokens."""
    made, normal = shapes.gateway(replace(place, shape=shapes.MACHINES)), shapes.gateway(place)
    keys = made.pop("api_keys")["keys"]
    assert len(keys) == shapes.MOST_KEYS
    assert made["providers"]["bench"].pop("introspection") == "json"
    for route in made["routes"]:
        route.pop("api_keys")
    assert made == normal
    said = provider.introspected("http://127.0.0.1:9", provider.opaque(7))
    assert (said["active"], said["sub"]) == (True, "user-00000007")
    for token in ("", "opaque-00000007-x", "opaque-0000000x-", "eyJ"):
        assert provider.introspected("http://127.0.0.1:9", token) == {"active": False}


def test_denied_entries_are_of_one_kind_and_all_differ(monkeypatch):
    """[10.figures] Tokens by their id, in the store's own words, far from their end."""
    monkeypatch.setattr(denied, "ENTRIES", 1000)
    made = dict(denied.entries("http://127.0.0.1:9", 1000.0))
    assert len(made) == 1000
    for text, expires in made.items():
        entry = decode_entry(text.encode(), str(expires).encode())
        assert entry is not None
        assert (entry.kind, entry.issuer) == ("jti", "http://127.0.0.1:9")
        assert entry.expires > 10_000


def test_oauth2_proxy_takes_the_providers_tokens(place):
    """[10.figures] Bearer tokens for the benchmark's audience; it believes a proxy only behind one."""
    options = oauth2_proxy.arguments(place)
    assert "--skip-jwt-bearer-tokens=true" in options
    assert f"--oidc-extra-audience={material.AUDIENCE}" in options
    assert "--http-address=127.0.0.1:12" in options
    assert not any(option.startswith("--reverse-proxy") for option in options)
    proxied = oauth2_proxy.arguments(replace(place, kind=PROXIED))
    assert {"--reverse-proxy=true", "--trusted-proxy-ip=127.0.0.1"} <= set(proxied)


def test_oauth2_proxy_that_cannot_be_built_takes_no_part(tmp_path, monkeypatch):
    """[10.figures] The reason is what the toolchain said; what is built is kept, and built once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho go: no such module >&2\nexit 1\n")
    go.chmod(0o755)
    with pytest.raises(NotStarted, match="cannot be built: go: no such module"):
        oauth2_proxy.build(str(go))
    go.write_text('#!/bin/sh\necho x >>"$GOBIN/oauth2-proxy"\n')
    program = oauth2_proxy.build(str(go))
    oauth2_proxy.build.cache_clear()
    assert oauth2_proxy.build(str(go)) == program
    assert program.read_text() == "x\n"
    assert program.is_relative_to(tmp_path / "cache")


BURN = """
import time
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
print("done", flush=True)
time.sleep(60)
"""


def test_what_a_proxy_starts_is_counted(tmp_path, monkeypatch):
    """[10.figures] A process that began after the stretch did is the proxy's as well."""
    monkeypatch.setattr(processes, "LOAD_CORE", 0)
    code = f"import subprocess, sys; input(); subprocess.Popen([sys.executable, '-c', {BURN!r}]).wait()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    running = processes.Running("x", process, tmp_path / "x")  # type: ignore[arg-type]
    try:
        meter = processes.Meter(running.pids)
        with meter.running():
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"
        assert meter.usage.proxy_cpu >= 0.25
    finally:
        for pid in reversed(running.pids()):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def test_the_provider_answers_as_the_core_demands(key):
    """Its ID token has nonce and at_hash, its metadata the issuer and S256."""
    signer = material.Signer(key)
    answer = provider.tokens(signer, "http://127.0.0.1:9", "n", 60)
    keys = jwt.PyJWKSet.from_dict(signer.jwks())
    claims = jwt.decode(str(answer["id_token"]), keys.keys[0], ["RS256"], audience=material.CLIENT_ID)
    assert claims["nonce"] == "n"
    assert claims["at_hash"]
    assert jwt.get_unverified_header(str(answer["id_token"]))["typ"] == "JWT"
    assert answer["expires_in"] == 60
    assert provider.discovery("http://127.0.0.1:9")["issuer"] == "http://127.0.0.1:9"


def test_absent_peers_are_named_with_their_package(monkeypatch):
    """Nothing on the machine: each peer says what is missing and where it comes from."""
    monkeypatch.setattr("tests.bench.peers.find_program", lambda name: None)
    for peer in PEERS.values():
        if peer.name != GATEWAY:
            assert "is not installed (" in peer.absent()


def test_instances_of_one_row_end_with_it(place, monkeypatch):
    """[10.figures] What stays up for the next rows is each peer's own instance; all else has ended."""
    up: list[str] = []

    @contextlib.contextmanager
    def fresh(self, name, kind="", shape=""):
        up.append(shape)
        try:
            yield Instance(name, replace(place, kind=kind, shape=shape), None)
        finally:
            up.remove(shape)

    monkeypatch.setattr(Rig, "fresh", fresh)
    monkeypatch.setattr(Rig, "check", lambda self, instance: None)
    rig = Rig(place.material, "token", [])
    normal, shaped = rig.instance(GATEWAY), rig.instance(GATEWAY, PROXIED, "x")
    assert rig.instance(GATEWAY) is normal is not shaped
    assert sorted(up) == ["", "x"]
    rig.end_shaped()
    assert up == [""]
    assert rig.instance(GATEWAY) is normal
    rig.instance(GATEWAY, PROXIED, "x")
    rig.close()
    assert up == []


def test_rounds_are_interleaved_and_a_broken_contender_is_skipped():
    """Each round begins with another contender; one that fails keeps none of its samples."""
    order: list[tuple[int, str]] = []

    def contender(name):
        def measured(context):
            order.append((context.number, name))
            if name == "broken" and context.number == 1:
                raise NotStarted("it fell over")
            return Sample(1.0)

        return measured

    names = (GATEWAY, NGINX, "broken")
    scenario = Scenario("x", "x", {name: contender(name) for name in names}, (), primary=PER_SECOND)
    row = run(scenario, None, 3, 1.0, {})
    assert [name for number, name in order if number == 0] == [GATEWAY, NGINX, "broken"]
    assert [name for number, name in order if number == 1] == [NGINX, "broken", GATEWAY]
    assert [name for number, name in order if number == 2] == [GATEWAY, NGINX]
    assert {name: len(each) for name, each in row.samples.items()} == {GATEWAY: 3, NGINX: 3}
    assert row.skipped == {"broken": "it fell over"}
