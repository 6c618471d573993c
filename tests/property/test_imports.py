"""Whatever stands in a file of oauth2-proxy, a saved command or a log: a value, or the declared refusal."""

import contextlib

import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.curl import read_command
from gateway.cli.oauth2_proxy.alpha import read_alpha
from gateway.cli.oauth2_proxy.options import Options, Unreadable, read_file
from gateway.cli.oauth2_proxy.patterns import Place, places_of
from gateway.cli.oauth2_proxy.table import OPTIONS
from gateway.cli.oauth2_proxy.translate import translate
from gateway.cli.questions import question_of, question_of_line

PIECES = st.sampled_from(
    ["^", "/", "a", "b", "(", ")", "|", ".*", "$", "?", "\\.", "[", "{2}", "\n", "\u00fc"]
)
WORDS = st.sampled_from(
    [
        "curl",
        " ",
        "-H",
        "'a: b'",
        '"',
        "'",
        "$'",
        "\\",
        "\\\n",
        "https://a/",
        "-X",
        "--json",
        "@x",
        "\\u0041",
        "\u00fc",
        "(",
        ";",
    ]
)
VALUES = st.sampled_from(
    [
        None,
        1,
        True,
        [],
        {},
        "",
        "x",
        ["x"],
        [1],
        "1h",
        "https://h/p",
        "http://[::1",
        "static://2",
        "a=b",
        "!=^/x/",
        "\x00",
    ]
)
MEMBERS = st.sampled_from(
    [
        "upstreamConfig",
        "upstreams",
        "injectRequestHeaders",
        "server",
        "providers",
        "values",
        "claimSource",
        "claim",
        "name",
        "path",
        "uri",
        "rewriteTarget",
        "timeout",
        "oidcConfig",
        "loginURLParameters",
        "default",
        "tls",
        "key",
        "provider",
    ]
)
DOCUMENTS = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(PIECES, max_size=14).map("".join))
def test_any_expression(text):
    """[11] It is some places, none of them beyond what it matches at its beginning, or no prefix."""
    with contextlib.suppress(ValueError):
        for each in places_of(text):
            assert isinstance(each, Place)
            assert each.path.startswith("/")


@given(st.lists(WORDS, max_size=14).map("".join))
def test_any_command(text):
    """[11.12] A question, or a refusal."""
    with contextlib.suppress(ValueError):
        command = read_command(f"curl {text}")
        question_of(command.url, command.method, command.fields, None)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda octets: octets.decode("utf-8", "replace")))
def test_any_line(text):
    """[11.12] A question, or a refusal."""
    with contextlib.suppress(ValueError):
        question_of_line(text, None, (), "")


@given(st.dictionaries(st.sampled_from(sorted(OPTIONS)), VALUES, max_size=8))
def test_any_options(given_options):
    """[11] A draft with its errors, or a file that cannot be read."""
    with contextlib.suppress(Unreadable):
        draft = translate(Options(given_options), None, lambda _: "a@b\n")
        assert isinstance(yaml.safe_load(draft.to_yaml("x")), dict)


@given(st.dictionaries(MEMBERS, DOCUMENTS, max_size=4))
def test_any_alpha_configuration(document):
    """[11] The same."""
    with contextlib.suppress(Unreadable):
        alpha = read_alpha(yaml.safe_dump(document).encode())
        options = Options({**alpha.options, "redirect_url": "https://a.example/"})
        draft = translate(options, None, lambda _: "", alpha)
        assert isinstance(yaml.safe_load(draft.to_yaml("x")), dict)


@given(st.binary(max_size=200))
def test_any_bytes(octets):
    """[11] Options, or a file that cannot be read."""
    with contextlib.suppress(Unreadable):
        read_file(octets)
    with contextlib.suppress(Unreadable):
        read_alpha(octets)
