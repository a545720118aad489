"""What is in an inner loop of aarch64 code, and which of it are accesses to the stack."""

import pytest

from benchmarks.machine_code import mix, spills
from natdeploy.compiler.machine_code import inner_loops, parse

#: An outer loop (4 to 2c) around a loop with multiply-adds (c to 1c), then a loop without any (30 to 34).
DISASSEMBLY = """
k.o:	file format elf64-littleaarch64

Disassembly of section .text:

0000000000000000 <kernel>:
       0:      	mov	x29, sp
       4:      	ldr	q1, [x1, #16]
       8:      	mov	x9, xzr
       c:      	ldr	q0, [x0, x9]
      10:      	fmla	v2.4s, v0.4s, v1.s[0]
      14:      	fmla	v3.4s, v0.4s, v1.s[1]  // a comment
      18:      	str	q3, [sp, #32]
      1c:      	b.ne	0xc <kernel+0xc>
      20:      	fmla	v4.4s, v0.4s, v1.s[2]
      24:      	str	q4, [x29, #-16]
      28:      	subs	x8, x8, #0x1
      2c:      	cbnz	x8, 0x4 <kernel+0x4>
      30:      	add	x2, x2, #0x10
      34:      	tbnz	w2, #0x4, 0x30 <kernel+0x30>
      38:      	ret
"""


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
