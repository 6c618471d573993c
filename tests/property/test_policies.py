"""Properties of policies."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.settings.routes import RequireSettings
from gateway.core.rules.policies import compile_require, judge
from tests.support.pure import NOW, identity, request

WORDS = st.sampled_from(["a", "b", "c"])
LISTS = st.lists(WORDS, min_size=1, max_size=2)
LINES = {
    "scopes": LISTS,
    "groups": LISTS,
    "claims": st.dictionaries(WORDS, WORDS | st.booleans() | st.integers(0, 1), min_size=1, max_size=2),
    "methods": st.lists(st.sampled_from(["GET", "POST", "PUT"]), min_size=1, max_size=2),
    "acr": LISTS,
    "max_age": st.sampled_from(["1s", "1h"]),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
CLAIMS = st.dictionaries(WORDS | st.sampled_from(["groups", "acr", "auth_time"]), JSON, max_size=6)
REQUIRES = st.fixed_dictionaries({}, optional=LINES).filter(bool)


def verdict(require: dict, claims: dict, scopes: frozenset[str], method: bytes) -> object:
    """Judge an identity."""
    compiled = compile_require(RequireSettings.model_validate(require), "groups")
    return judge(identity(claims=claims, scopes=scopes), request(method=method), compiled, NOW)


@given(REQUIRES, REQUIRES, CLAIMS, st.frozensets(WORDS), st.sampled_from([b"GET", b"POST", b"HEAD", b"\xff"]))
def test_adding_a_policy_never_turns_a_refusal_into_a_pass(require, more, claims, scopes, method):
    """Whatever lines are added to a ``require``: who was refused stays refused, whatever the claims hold."""
    before = verdict(require, claims, scopes, method)
    after = verdict({**more, **require}, claims, scopes, method)
    assert before is None or after is not None
