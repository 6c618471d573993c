"""Patterns in linear time mean what the usual expressions mean."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.syntax.regular import MOST_TEXT, Regular

ATOMS = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", r"\d", r"\W", r"\.", "-", "[a-c_]", r"[\d\-]", r"[^\w]", "é"]
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Put patterns together."""
    signs = st.sampled_from(["?", "*", "+", "{2}", "{1,3}", "{0,2}", "{2,}", "{0}", "{0,}", "*?"])
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, signs).map(lambda both: f"(?:{both[0]}){both[1]}"),
    )


PATTERNS = st.recursive(ATOMS, grown, max_leaves=8)
TEXTS = st.text(st.sampled_from("abcABC1_-. é\n"), max_size=8)


def compiled(pattern: str) -> Regular | None:
    """Return a pattern compiled, None where it is none, or too large."""
    try:
        return Regular(pattern)
    except ValueError:
        return None


@given(PATTERNS, TEXTS, st.booleans())
@example("(a|b)*?a{2,}", "abaa", False)
@example("(a*)*b", "aaab", False)
def test_a_full_match_as_re_has_it(pattern: str, text: str, ignores_case: bool):
    """[11.1]: for every pattern that both read, the same texts match."""
    found = compiled(f"(?i){pattern}" if ignores_case else pattern)
    if found is not None:
        usual = re.compile(pattern, re.ASCII | (re.IGNORECASE if ignores_case else 0))
        assert found.matches(text) == (usual.fullmatch(text) is not None)


@given(st.text(st.sampled_from(r"ab(){}[]|?*+\.^$-:,i12dwx"), max_size=12), TEXTS)
def test_any_text_is_a_pattern_or_an_error(pattern: str, text: str):
    """[11.1]: garbage is refused; what is taken matches nothing that the usual expressions do not match."""
    found = compiled(pattern)
    if found is None:
        return
    inner = pattern.removeprefix("(?i)").removeprefix("^")
    flags = re.ASCII | (re.IGNORECASE if pattern.startswith("(?i)") else 0)
    if found.matches(text):
        assert re.fullmatch(f"(?:{inner})", text, flags) or inner.endswith("$")


@given(
    st.sampled_from(
        ["(a*)*b", "(a|a)*b", "(a+)+b", "(a|aa)+b", "a*a*a*a*a*a*b", "(.*)(.*)(.*)(.*)b", "(a?){100}b"]
    )
)
def test_no_text_takes_long(pattern: str):
    """[11.1]: patterns over which others go back and forth for ever are read once."""
    text = "a" * (MOST_TEXT - 1)
    assert not Regular(pattern).matches(text)
    assert not Regular(pattern).matches(text + "c")
