"""What is remembered under exact bytes, and what is forgotten first."""

from gateway.core.memo import Generations, Memo


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


def test_what_is_over_is_swept_out():
    """[10.hold.3]: of both generations, with its room."""
    memo: Memo[str, int] = Memo(most_entries=8, most_bytes=100)
    for index in range(6):
        memo.put(f"{index}", index)
    memo.sweep(lambda value: value % 2 == 0)
    assert [memo.get(f"{index}") for index in range(6)] == [None, 1, None, 3, None, 5]
    assert memo._bytes == sum(map(len, memo._young))


def test_a_memo_that_keeps_none():
    """Forgetting changes no answer, so none may be kept at all."""
    memo: Memo[str, int] = Memo(0)
    memo.put("a", 1)
    assert memo.get("a") is None
    generations: Generations[str, int] = Generations(0)
    generations.put("a", 1)
    assert generations.get("a") is None


def test_generations_keep_what_is_in_use():
    """[10.hold.3]: what is asked for moves to the young one; two generations later the rest is gone."""
    generations: Generations[str, int] = Generations(20)
    generations.put("kept", 0)
    generations.put("left", 1)
    for index in range(200):
        generations.put(f"{index}", index)
        assert generations.get("kept") == 0
        assert len(generations) <= 20
    assert generations.get("left") is None
    assert generations.get("199") == 199
    assert "199" in generations.young
    generations.clear()
    assert not len(generations)
    assert generations.get("kept") is None


def test_a_first_look_without_a_call_is_one_into_the_young():
    """What is there is what ``get`` finds."""
    generations: Generations[str, int] = Generations(4)
    for index in range(3):
        generations.put(f"{index}", index)
    assert set(generations.young) == {"2"}
    assert generations.get("0") == 0
    assert set(generations.young) == {"2", "0"}
