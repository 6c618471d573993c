"""Whatever the file holds: settings, or a list of problems, and no secret in it."""

import contextlib
import copy
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.checks.problems import shown_path
from gateway.config.settings.root import Settings
from gateway.edge.configfile.load import ConfigurationError, parse
from tests.support.configuration import KEY, TREE

NOWHERE = Path("/nowhere")
SECRET = "zQ7secretZq9"
ENVIRONMENT = {"GATEWAY_SECRET_KEY": KEY, "GATEWAY_CLIENT_SECRET": SECRET, "S": SECRET}
MINIMAL = (TREE / "config/minimal.yaml").read_bytes()
REFERENCE = yaml.safe_load((TREE / "config/gateway.yaml").read_text())

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["${env:S}", "${env:NOPE}", "${file:/nope}", "60s", "https://a.example", "/x/", "*", "0.0.0.0/0"]
    ),
)
keys = st.one_of(
    st.text(max_size=10),
    st.sampled_from(
        [*sorted(REFERENCE), "path", "access", "upstream", "issuer", "servers", "<word>", "[key]"]
    ),
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)


def outcome(octets: bytes) -> list[str] | None:
    """Return the problems as told, None where there are settings; nothing else may happen."""
    error, loaded = None, None
    try:
        loaded = parse(octets, "g.yaml", NOWHERE, ENVIRONMENT)
    except ConfigurationError as caught:
        error = caught
    if error is None:
        assert isinstance(loaded.settings, Settings)
        assert SECRET not in repr(loaded)
        return None
    assert error.problems
    assert str(error).strip()
    assert SECRET not in str(error)
    assert KEY not in str(error)
    assert all(SECRET not in each.message + shown_path(each.path) for each in error.problems)
    return [str(each) for each in error.problems]


def paths(tree: object, path: tuple = ()) -> list[tuple]:
    found = [path]
    if isinstance(tree, dict):
        for key, value in tree.items():
            found += paths(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            found += paths(value, (*path, index))
    return found


@given(st.binary(max_size=200))
def test_any_bytes(octets):
    """R16: bytes without meaning are problems, never another exception."""
    assert outcome(octets)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#,?\\ \n\t0~$", max_size=80))
def test_any_signs(text):
    """Everything that has a meaning in YAML, without sense."""
    assert outcome(text.encode())


@given(trees)
def test_any_document(tree):
    """A well-formed document of any shape."""
    outcome(yaml.safe_dump(tree, allow_unicode=True).encode())


@given(st.data())
@settings(max_examples=150)
def test_any_change_of_a_good_file(data):
    """One value of the reference replaced by anything."""
    tree = copy.deepcopy(REFERENCE)
    tree["admin"]["token"] = "0123456789abcdef"
    tree["providers"]["corporate"]["client_secret"] = "${env:S}"
    place = data.draw(st.sampled_from([each for each in paths(tree) if each]))
    target = tree
    for part in place[:-1]:
        target = target[part]
    target[place[-1]] = data.draw(trees)
    outcome(yaml.safe_dump(tree, allow_unicode=True).encode())


@given(st.data())
@settings(max_examples=150)
def test_any_slip_in_a_good_file(data):
    """Bytes cut out of, or put into, a good file."""
    start = data.draw(st.integers(0, len(MINIMAL)))
    end = data.draw(st.integers(start, min(len(MINIMAL), start + 12)))
    outcome(MINIMAL[:start] + data.draw(st.binary(max_size=4)) + MINIMAL[end:])


@given(
    st.lists(st.sampled_from([each for each in paths(REFERENCE) if each]), min_size=1, max_size=4),
    st.sampled_from([SECRET, [SECRET], {"a": SECRET}, f"{SECRET}\n", f"x{SECRET}x"]),
)
def test_a_secret_anywhere(places, value):
    """R16: a secret that was written in the wrong place is not told either."""
    tree = copy.deepcopy(REFERENCE)
    for place in places:
        # an earlier place may have swallowed a later one
        with contextlib.suppress(KeyError, IndexError, TypeError):
            target = tree
            for part in place[:-1]:
                target = target[part]
            target[place[-1]] = copy.deepcopy(value)
    outcome(yaml.safe_dump(tree).encode())
