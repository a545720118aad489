"""Inner loops are found in disassemblies, and stack accesses in them; llvm-mca's answer is a share of the peak."""

import shutil
from pathlib import Path

import pytest

from benchmarks.machine_code import cycles, inner_loops, llvm_tool, parse
from natdeploy.ground.errors import BadInput

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
NO_LLVM = not any(shutil.which(f"llvm-mca-{version}") for version in range(19, 24))


def test_the_innermost_loop_with_multiply_adds_is_found() -> None:
    code = parse(DISASSEMBLY)
    assert [one.address for one in code] == list(range(0, 0x3C, 4))
    (loop,) = inner_loops(code)
    assert [one.address for one in loop.instructions] == [0xC, 0x10, 0x14, 0x18, 0x1C]
    assert loop.flops == 16
    assert loop.mix == {"load": 1, "fma": 2, "store": 1, "branch": 1}


def test_the_loop_with_most_multiply_adds_comes_first() -> None:
    second = DISASSEMBLY.replace("add\tx2, x2, #0x10", "fmla\tv2.2s, v0.2s, v1.2s")
    assert [loop.flops for loop in inner_loops(parse(second))] == [16, 4]


@pytest.mark.parametrize(
    ("store", "prologue", "spills"),
    [
        ("str\tq3, [sp, #32]", "mov\tx29, sp", 1),
        ("str\tq3, [x29, #-32]", "mov\tx29, sp", 1),
        ("str\tq3, [x29, #-32]", "mov\tx29, x3", 0),  # a register like any other
        ("str\tq3, [x2, #32]", "mov\tx29, sp", 0),
    ],
)
def test_accesses_to_the_stack_are_spills(store: str, prologue: str, spills: int) -> None:
    changed = DISASSEMBLY.replace("str\tq3, [sp, #32]", store).replace("mov\tx29, sp", prologue)
    assert inner_loops(parse(changed))[0].spills == spills


def test_code_without_loops_has_none() -> None:
    straight = [one for one in parse(DISASSEMBLY) if one.jumps_to is None]
    assert inner_loops(straight) == []


@pytest.mark.skipif(NO_LLVM, reason="no llvm-mca of LLVM 19 or later: apt install llvm-19")
def test_two_pipes_take_two_vector_multiply_adds_a_cycle() -> None:
    chains = "\n".join(f"  {16 + 4 * i:x}: fmla v{i}.4s, v30.4s, v31.s[0]" for i in range(16))
    (loop,) = inner_loops(parse(f"{chains}\n 50: subs x8, x8, #0x1\n 54: b.ne 0x10 <k>\n"))
    assert loop.flops == 128
    assert 7.9 < cycles(loop, "neoverse-n1") < 8.6
    assert cycles(loop, "cortex-a76") > 15  # LLVM's own model of the same core knows one pipe


def test_missing_tools_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    old = tmp_path / "llvm-mca"
    old.write_text("#!/bin/sh\necho 'Debian LLVM version 14.0.6'\n")
    old.chmod(0o755)
    llvm_tool.cache_clear()
    with pytest.raises(BadInput, match=r"no llvm-mca of LLVM 19 or later .* apt-get install"):
        llvm_tool("llvm-mca")
    old.write_text("#!/bin/sh\necho 'LLVM version 21.1.0'\n")
    assert llvm_tool("llvm-mca") == str(old)
    llvm_tool.cache_clear()
