"""Inner loops are found in machine code of both architectures, and llvm-mca's answers make a kernel's cost."""

import shutil
from pathlib import Path

import pytest

from natdeploy.compiler import KernelCache
from natdeploy.compiler.kernel_cycles import core_model, kernel_costs
from natdeploy.compiler.machine_code import (
    cycles,
    disassemble,
    heaviest,
    inner_loops,
    llvm_tool,
    parse,
    peak_macs_per_cycle,
)
from natdeploy.ground.errors import BadInput
from natdeploy.spaces import INPUT, Layer
from tests.compiler.disassembly import DISASSEMBLY

#: A loop of multiply-adds (4 to 18) in another loop.
X86 = """
0000000000000000 <kernel>:
       0: xorl  %eax, %eax
       4: vfmadd231ss   %xmm1, %xmm2, %xmm0
       8: vbroadcastss  (%rdi,%rax), %zmm4
       c: vfmadd231ps   %zmm4, %zmm5, %zmm0
      10: vfmadd231ps   (%rsi){1to8}, %ymm5, %ymm1  # comment
      14: addq  $0x4, %rax
      18: jne   0x8 <kernel+0x8>
      1c: decl  %ecx
      20: jne   0x0 <kernel>
      24: retq
"""
ARM = "aarch64-linux-gnu"
needs_llvm = pytest.mark.skipif(
    not any(shutil.which(f"llvm-mca-{version}") for version in range(19, 24)),
    reason="llvm-mca of LLVM 19 or later is not installed: apt-get install llvm-19",
)


def test_the_innermost_loop_with_multiply_adds_is_found() -> None:
    code = parse(DISASSEMBLY)
    assert [one.address for one in code] == list(range(0, 0x3C, 4))
    (loop,) = inner_loops(code)
    assert [one.address for one in loop.instructions] == [0xC, 0x10, 0x14, 0x18, 0x1C]
    assert loop.macs == 8


def test_the_same_of_x86() -> None:
    code = parse(X86)
    assert [one.macs for one in code] == [0, 1, 0, 16, 8, 0, 0, 0, 0, 0]
    assert [one.name for one in heaviest(code).instructions] == [
        "vbroadcastss",
        "vfmadd231ps",
        "vfmadd231ps",
        "addq",
        "jne",
    ]


def test_the_loop_with_most_multiply_adds_comes_first() -> None:
    second = DISASSEMBLY.replace("add\tx2, x2, #0x10", "fmla\tv2.2s, v0.2s, v1.2s")
    assert [loop.macs for loop in inner_loops(parse(second))] == [8, 2]


def test_code_without_loops_is_taken_as_a_whole() -> None:
    straight = [one for one in parse(DISASSEMBLY) if one.jumps_to is None]
    assert inner_loops(straight) == []
    assert heaviest(straight).instructions == tuple(straight)


@needs_llvm
def test_two_pipes_take_two_vector_multiply_adds_a_cycle() -> None:
    chains = "\n".join(f"  {16 + 4 * i:x}: fmla v{i}.4s, v30.4s, v31.s[0]" for i in range(16))
    (loop,) = inner_loops(parse(f"{chains}\n 50: subs x8, x8, #0x1\n 54: b.ne 0x10 <k>\n"))
    assert loop.macs == 64
    taken = cycles([loop, loop], "neoverse-n1", ARM)
    assert taken[0] == taken[1]
    assert 7.9 < taken[0] < 8.6
    assert cycles([loop], "cortex-a76", ARM)[0] > 15  # LLVM's own model of the same core knows one pipe
    assert cycles([], "neoverse-n1", ARM) == []
    assert disassemble([]) == []
    assert 7.5 < peak_macs_per_cycle("neoverse-n1", ARM, 4) <= 8
    assert 15 < peak_macs_per_cycle("skylake", "x86_64-linux-gnu", 8) <= 16


@needs_llvm
def test_what_is_not_modelled_is_an_error_in_one_line() -> None:
    with pytest.raises(BadInput, match=r"llvm-mca.*carmel"):
        peak_macs_per_cycle("carmel", ARM, 4)
    with pytest.raises(BadInput, match=r"armv7.* not analysed"):
        peak_macs_per_cycle("cortex-a7", "armv7-linux-gnueabihf", 4)
    with pytest.raises(BadInput, match=r"llvm-objdump\S* failed: .*not recognized"):
        disassemble([b"no object file"])


def conv(name: str, inputs: str, in_c: int, out_c: int, size: int, kernel: int = 1, groups: int = 1) -> Layer:
    return Layer(name, "conv", (inputs,), in_c, size, size, out_c, size, size, kernel, 1, groups, "relu")


@needs_llvm
def test_kernels_cost_what_their_loops_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = KernelCache(tmp_path)
    target = {"kind": "llvm", "mtriple": ARM, "mcpu": "cortex-a76", "num-cores": 4}
    model = core_model(target, 2.0, cache)
    assert model.cpu == "neoverse-n1"  # two multiply-adds a cycle, which LLVM's model of cortex-a76 does not do
    assert core_model(target, 1.0, cache).cpu == "cortex-a76"
    layers = [
        conv("small", "x", 64, 64, 14),
        conv("deep", "small", 128, 64, 14),
        conv("depth", "x", 64, 64, 14, 3, 64),
        conv("stem", INPUT, 3, 16, 28, 3),
        Layer("pool", "pool", ("x",), 64, 14, 14, 64, 1, 1),
        Layer("head", "linear", ("pool",), 64, 1, 1, 10, 1, 1),
    ]
    told: list[tuple[str, float]] = []
    small, deep, depth, stem, pool, head = kernel_costs(layers, target, model, cache, lambda *said: told.append(said))
    assert told == [("compiling kernels", 0.0), ("compiling kernels", 1.0), ("analysing kernels", 1.0)]
    for layer, cost in zip(layers, (small, deep, depth, stem)):
        assert layer.macs / 8 < cost.cycles < layer.macs / 1.5
    assert deep.cycles / small.cycles == pytest.approx(2, rel=0.1)
    assert pool.cycles == pool.weight_bytes == 0
    assert pool.activation_bytes == 4 * (64 * 196 + 64)
    assert small.activation_bytes == 4 * 2 * 64 * 196
    assert small.weight_bytes == 4 * (64 * 64 + 64)
    assert head.cycles > 640 / 8
    # Kept by content: neither a compiler nor llvm-mca is asked again.
    monkeypatch.setattr("natdeploy.compiler.kernel_cycles.kernel_code", lambda wanted, *_: dict.fromkeys(wanted) and {})
    monkeypatch.setattr("natdeploy.compiler.kernel_cycles.cycles", lambda *_: pytest.fail("analysed again"))
    asked_again = kernel_costs(layers, target, model, cache, lambda *_: pytest.fail("nothing is to be done"))
    assert asked_again == [small, deep, depth, stem, pool, head]


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
