"""Any claims and any mapping: nothing raises, and no claim comes from nowhere."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.claim_mapping import compile_mapping, cut
from gateway.core.provider import claims_of
from tests.support.jose import provider

NAMES = st.sampled_from(["a", "b", "c", "email", "email_verified", "groups"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
PATHS = st.lists(
    NAMES.flatmap(lambda name: st.sampled_from([name, f"{name}[]"])), min_size=1, max_size=3
).map(".".join)
SOURCES = st.one_of(
    PATHS,
    st.lists(PATHS, min_size=1, max_size=3).map(lambda paths: {"first_of": paths}),
    st.lists(PATHS, min_size=1, max_size=3).map(lambda paths: {"list_of": paths}),
    PATHS.map(lambda path: {"keys_of": path}),
    PATHS.map(lambda path: {"template": f"<{{{path}}}>"}),
)


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.dictionaries(NAMES, SOURCES, min_size=1, max_size=4))
def test_what_sources_do_not_read_changes_no_mapped_claim(claims, sources):
    """[11.4]: a mapped claim is a function of its source's inputs alone, and unmapped ones pass unchanged."""
    named = provider(claims=sources)
    found = claims_of(named, "alice", claims)
    mapping = compile_mapping(named.settings)
    read = {
        name: value for name, value in claims.items() if name in mapping.inputs or name == "email_verified"
    }
    again = claims_of(named, "alice", read)
    for name in sources:
        assert found.get(name) == again.get(name)
    # a session keeps no more of them than that
    shapes = mapping.shapes(())
    kept = {name: cut(value, shapes.get(name)) for name, value in read.items()}
    again = claims_of(named, "alice", {name: value for name, value in kept.items() if value is not None})
    for name in sources:
        assert found.get(name) == again.get(name)
    for name, value in claims.items():
        if name not in sources and name != "email_verified":
            assert found[name] == value
