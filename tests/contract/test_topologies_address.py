"""Where the store is, as the configuration says it: every form, and every wrong one at its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.config.settings.store import RedisSettings
from gateway.config.store_address import (
    AddressError,
    StoreAddress,
    StoreTls,
    address_of,
    parse_url,
    read_node,
)
from gateway.edge.configfile.load import ConfigurationError, parse
from gateway.supervision.messages import decode_settings, encode_settings
from tests.support.certificates import Authority
from tests.support.configuration import KEY, TREE

MINIMAL = (TREE / "config/minimal.yaml").read_text()
ENVIRONMENT = {"GATEWAY_SECRET_KEY": KEY, "GATEWAY_CLIENT_SECRET": "s"}


def read(**redis) -> StoreAddress:
    return address_of(RedisSettings.model_validate(redis))


@pytest.mark.parametrize(
    ("redis", "address"),
    [
        ({"url": "redis://h"}, StoreAddress(nodes=(("h", 6379),))),
        ({"url": "valkey://h:1/2"}, StoreAddress(nodes=(("h", 1),), database=2)),
        ({"url": "redis://[::1]:7?db=3"}, StoreAddress(nodes=(("::1", 7),), database=3)),
        ({"url": "rediss://h"}, StoreAddress(nodes=(("h", 6379),), tls=StoreTls())),
        (
            {"url": "valkeys://u:p%40%2F@h", "tls": {"ca_file": "/ca"}},
            StoreAddress(nodes=(("h", 6379),), username="u", password="p@/", tls=StoreTls("/ca")),
        ),
        ({"url": "unix:///run/a%20b?db=1"}, StoreAddress(path="/run/a b", database=1)),
        (
            {"url": "redis://u@h", "password": "p"},
            StoreAddress(nodes=(("h", 6379),), username="u", password="p"),
        ),
        (
            {"url": "unix:///s", "username": "u", "password": "p"},
            StoreAddress(path="/s", username="u", password="p"),
        ),
        (
            {
                "sentinel": {"service": "m", "nodes": ["a", "b:1", "[::1]:2"], "password": "s"},
                "password": "p",
            },
            StoreAddress(
                "sentinel",
                (("a", 26379), ("b", 1), ("::1", 2)),
                service="m",
                password="p",
                sentinel_password="s",
            ),
        ),
        (
            {"cluster": ["a", "b:1"], "tls": {}},
            StoreAddress("cluster", (("a", 6379), ("b", 1)), tls=StoreTls()),
        ),
    ],
)  # fmt: skip
def test_every_form(redis: dict, address: StoreAddress):
    """One server, a socket, Sentinels, a Cluster; a password may stand beside the URL."""
    assert read(**redis) == address


@pytest.mark.parametrize(
    ("redis", "where"),
    [
        ("{}", "redis"),
        ("{url: redis://h, cluster: [a]}", "redis"),
        ("{sentinel: {service: m, nodes: [a]}, cluster: [a]}", "redis"),
        ("{cluster: []}", "redis"),
        ("{url: http://hunter2}", "redis.url"),
        ("{url: redis://}", "redis.url"),
        ("{url: 'redis://:hunter2@'}", "redis.url"),
        ("{url: 'redis://h/hunter2'}", "redis.url"),
        ("{url: 'redis://h/70000'}", "redis.url"),
        ("{url: 'redis://h?ssl_cert_reqs=none'}", "redis.url"),
        ("{url: 'redis://:hun#ter2@h'}", "redis.url"),
        ("{url: 'unix://relative/hunter2'}", "redis.url"),
        ("{url: redis://h, tls: {}}", "redis.tls"),
        ("{url: 'redis://:a@h', password: hunter2}", "redis.password"),
        ("{url: 'redis://a:b@h', username: hunter2}", "redis.username"),
        ("{url: redis://h, username: hunter2}", "redis.username"),
        ("{cluster: [a], username: hunter2}", "redis.username"),
        ("{sentinel: {service: m, nodes: [a], username: hunter2}}", "redis.sentinel.username"),
        ("{sentinel: {service: m, nodes: []}}", "redis.sentinel.nodes"),
        ("{sentinel: {nodes: [a]}}", "redis.sentinel.service"),
        ("{sentinel: {service: m, nodes: ['redis://hunter2']}}", "redis.sentinel.nodes[0]"),
        ("{sentinel: {service: m, nodes: [a, 'a:26379']}}", "redis.sentinel.nodes[1]"),
        ("{cluster: ['a:0']}", "redis.cluster[0]"),
        ("{cluster: [b, 'hunter2@a']}", "redis.cluster[1]"),
        ("{url: rediss://h, tls: {key: /hunter2}}", "redis.tls.certificate"),
        ("{url: rediss://h, tls: {ca_file: /hunter2}}", "redis.tls.ca_file"),
        ("{url: rediss://h, tls: {verify: maybe}}", "redis.tls.verify"),
        ("{url: redis://h, sentinal: {}}", "redis.sentinal"),
    ],
)
def test_bad_combinations_are_errors_at_their_line(redis: str, where: str, tmp_path):
    """Each is told at its line and path, without a value (R16)."""
    text = f"{MINIMAL}\nredis: {redis}\n"
    with pytest.raises(ConfigurationError) as caught:
        parse(text.encode(), "g.yaml", tmp_path, ENVIRONMENT)
    line = len(text.splitlines())
    assert f"g.yaml:{line}: {where}: " in str(caught.value)
    assert "hunter2" not in str(caught.value).replace(where, "")


def test_files_of_tls_are_found_beside_the_file(tmp_path):
    """Relative paths start from the configuration's directory; a password may come from a file as it is."""
    authority = Authority(tmp_path)
    pair = authority.issue("gateway", client=True)
    (tmp_path / "pw").write_text("p@ss/w#rd\n")
    text = (
        MINIMAL + "\nredis:\n  url: rediss://h\n  password: ${file:pw}\n"
        f"  tls: {{ca_file: authority.pem, certificate: {pair.certificate.name}, key: {pair.key.name}}}\n"
    )
    loaded = parse(text.encode(), "g.yaml", tmp_path, ENVIRONMENT)
    address = address_of(loaded.settings.redis)
    assert address.password == "p@ss/w#rd"
    assert address.tls == StoreTls(str(authority.file), str(pair.certificate), str(pair.key))
    assert not [each for each in loaded.warnings if each.path[:1] == ("redis",)]
    # as a worker gets it
    assert address_of(decode_settings(encode_settings(loaded.settings)).redis) == address


def test_unverified_tls_is_warned_of(tmp_path):
    """It works, and ``gateway check`` says what it means."""
    text = MINIMAL + "\nredis: {cluster: [a], tls: {verify: false}}\n"
    loaded = parse(text.encode(), "g.yaml", tmp_path, ENVIRONMENT)
    (warning,) = [each for each in loaded.warnings if each.path[:1] == ("redis",)]
    assert "NOT VERIFIED" in warning.message
    assert warning.path == ("redis", "tls", "verify")


def test_r16_an_address_shows_no_password():
    """R16: neither it nor its settings tell a password or a user in their repr."""
    redis = RedisSettings(url="redis://alice:hunter2@h")
    assert "hunter2" not in repr(redis) + repr(address_of(redis))
    assert "alice" not in repr(address_of(redis))


def outcome(make) -> StoreAddress | str:
    try:
        return make()
    except AddressError as error:
        return str(error)


@given(st.one_of(st.text(max_size=60), st.text(alphabet="redis:/@[]?#&=%1u.", max_size=40)))
def test_any_text_is_an_address_or_an_error(text: str):
    """Whatever is written: an address that leads somewhere, or an AddressError."""
    for url in (text, f"redis://{text}", f"unix://{text}"):
        found = outcome(lambda url=url: parse_url(url))
        if isinstance(found, StoreAddress):
            assert found.path.startswith("/") or (found.nodes[0][0] and 0 < found.nodes[0][1] < 65536)
        else:
            assert found
    node = read_node(text, 6379)
    assert node is None or (node[0] and 0 < node[1] < 65536)


@given(st.dictionaries(st.sampled_from(sorted(RedisSettings.model_fields)), st.text(max_size=8), max_size=4))
def test_any_settings_are_an_address_or_an_error(data: dict):
    """No settings that pydantic lets through break the reading."""
    try:
        redis = RedisSettings.model_validate(data)
    except ValidationError:
        return
    assert outcome(lambda: address_of(redis))
