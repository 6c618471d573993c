"""What is remembered under exact bytes, and what is forgotten first."""

from gateway.core.memo import Memo


def test_what_is_in_use_stays():
    """What is asked for again outlives what is not, however much comes."""
    memo: Memo[str, int] = Memo(most_entries=20, most_bytes=10_000)
    memo.put("kept", 0)
    for index in range(200):
        memo.put(f"{index}", index)
        assert memo.get("kept") == 0
        assert len(memo) <= 21
    assert memo.get("0") is None
    assert memo.get("199") == 199


def test_its_bounds():
    """Many bytes push out as many entries do; one long text is not kept at all."""
    memo: Memo[bytes, int] = Memo(most_entries=1000, most_bytes=400, most_text=100)
    memo.put(b"x" * 101, 1)
    assert memo.get(b"x" * 101) is None
    for index in range(50):
        memo.put(b"%050d" % index, index)
        assert len(memo) <= 8


def test_forgotten():
    """What is forgotten is gone from wherever it is, and leaves its room."""
    memo: Memo[str, int] = Memo(most_entries=4, most_bytes=100)
    for name in ("a", "b", "c"):
        memo.put(name, 1)
    for name in ("a", "c", "nothing"):
        memo.forget(name)
        assert memo.get(name) is None
    assert memo.get("b") == 1
    memo.put("b", 2)
    assert memo.get("b") == 2
