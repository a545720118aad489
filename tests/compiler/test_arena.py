from hypothesis import given
from hypothesis import strategies as st

from natdeploy.compiler.arena import ALIGNMENT, Lifetime, aligned, arena_offsets, overlaps

STEPS = 12


@st.composite
def lifetimes(draw: st.DrawFn) -> list[Lifetime]:
    spans = draw(
        st.lists(
            st.tuples(st.integers(0, 5000), st.integers(-1, STEPS), st.integers(0, STEPS)), min_size=1, max_size=25
        )
    )
    return [Lifetime(f"t{i}", size, first, max(first, last)) for i, (size, first, last) in enumerate(spans)]


@given(lifetimes())
def test_tensors_alive_together_never_share_bytes(tensors: list[Lifetime]) -> None:
    offsets, total = arena_offsets(tensors)
    taken: dict[tuple[int, int], str] = {}
    for tensor in tensors:
        assert offsets[tensor.name] % ALIGNMENT == 0 and offsets[tensor.name] + tensor.bytes <= total
        for step in range(tensor.first, tensor.last + 1):
            for line in range(
                offsets[tensor.name] // ALIGNMENT, (offsets[tensor.name] + tensor.bytes - 1) // ALIGNMENT
            ):
                assert taken.setdefault((step, line), tensor.name) == tensor.name
    assert overlaps(tensors, offsets) is None


@given(lifetimes())
def test_the_arena_is_between_the_peak_and_the_sum(tensors: list[Lifetime]) -> None:
    _, total = arena_offsets(tensors)
    at = [sum(aligned(t.bytes) for t in tensors if t.first <= step <= t.last) for step in range(-1, STEPS + 1)]
    assert max(at) <= total <= sum(aligned(t.bytes) for t in tensors)


def test_a_freed_place_is_used_again() -> None:
    chain = [Lifetime(f"t{i}", 640, i, i + 1) for i in range(10)]
    assert arena_offsets(chain)[1] == 2 * 640


def test_overlap_is_found() -> None:
    tensors = [Lifetime("a", 100, 0, 3), Lifetime("b", 100, 3, 4), Lifetime("c", 100, 4, 5)]
    assert overlaps(tensors, {"a": 0, "b": 64, "c": 0}) == ("a", "b")
    assert overlaps(tensors, {"a": 0, "b": 128, "c": 0}) is None
