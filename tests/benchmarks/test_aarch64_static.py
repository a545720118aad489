"""What is in an inner loop of aarch64 code, and which of it are accesses to the stack."""

import pytest

from benchmarks.machine_code import mix, spills
from natdeploy.compiler.machine_code import inner_loops, parse
from tests.compiler.disassembly import DISASSEMBLY


def test_instructions_are_counted_by_kind() -> None:
    (loop,) = inner_loops(parse(DISASSEMBLY))
    assert mix(loop) == {"load": 1, "fma": 2, "store": 1, "branch": 1}


@pytest.mark.parametrize(
    ("store", "prologue", "expected"),
    [
        ("str\tq3, [sp, #32]", "mov\tx29, sp", 1),
        ("str\tq3, [x29, #-32]", "mov\tx29, sp", 1),
        ("str\tq3, [x29, #-32]", "mov\tx29, x3", 0),  # a register like any other
        ("str\tq3, [x2, #32]", "mov\tx29, sp", 0),
    ],
)
def test_accesses_to_the_stack_are_spills(store: str, prologue: str, expected: int) -> None:
    changed = DISASSEMBLY.replace("str\tq3, [sp, #32]", store).replace("mov\tx29, sp", prologue)
    code = parse(changed)
    assert spills(inner_loops(code)[0], code) == expected
