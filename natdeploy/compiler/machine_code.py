"""Compiled kernels as a processor sees them: inner loops of object code, and what LLVM's models make of them.

Disassembled by ``llvm-objdump`` and simulated by ``llvm-mca``, the machine code analyser of LLVM 19 or later, which
knows ports, latencies and what a loop waits for, and takes every access for one to the nearest cache. For x86-64 and
64-bit Arm, no processor of which needs to be here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from natdeploy.ground.errors import BadInput

LEAST_LLVM = 19
INSTALL = f"apt-get install --no-install-recommends llvm-{LEAST_LLVM} (Debian 12 and later)"
_NEWEST_TRIED = 24
_LIMIT_S = 120.0
_ITERATIONS = 50
_LINE = re.compile(r"^\s*(?P<address>[0-9a-f]+):\s+(?P<name>[\w.]+)\s*(?P<operands>.*?)\s*(?:<[^>]*>)?\s*$")
_FILE = re.compile(r"^.*:\s+file format .*$", re.MULTILINE)
_COMMENT = re.compile(r"//|\s#\s")
_BRANCH = re.compile(r"^(b\.\w+|cbn?z|tbn?z|b|j\w+)$")
#: Instructions that say nothing of a loop, and that a simulation of straight code must not hold.
_NOT_CODE = re.compile(r"^(call|ret|bl|blr|nop|int3|ud2)")
_TARGET = re.compile(r"(?P<target>0x[0-9a-f]+)$")
#: float32 in one register, by the arrangement that a NEON instruction names and by the register of an x86 one.
_NEON_LANES = {"4s": 4, "2s": 2}
_X86_LANES = (("zmm", 16), ("ymm", 8), ("xmm", 4))
#: Independent multiply-adds of whole registers by first part of the triple and float32 in a register.
_PEAK = {
    ("aarch64", 4): "fmla v{0}.4s, v30.4s, v31.4s",
    ("x86_64", 4): "vfmadd231ps %xmm14, %xmm15, %xmm{0}",
    ("x86_64", 8): "vfmadd231ps %ymm14, %ymm15, %ymm{0}",
    ("x86_64", 16): "vfmadd231ps %zmm14, %zmm15, %zmm{0}",
}
_CHAINS = 14


@dataclass(frozen=True)
class Instruction:
    """One line of a disassembly, for instance ``fmla`` with ``v3.4s, v0.4s, v1.s[2]``."""

    address: int
    name: str
    operands: str

    @property
    def jumps_to(self) -> int | None:
        """Address that it may branch to inside its function."""
        found = _TARGET.search(self.operands) if _BRANCH.match(self.name) else None
        return int(found["target"], 16) if found else None

    @property
    def macs(self) -> int:
        """Fused multiply-adds of float32 that it does."""
        if self.name in ("fmla", "fmls"):
            return _NEON_LANES.get(self.operands.split(",")[0].rpartition(".")[2], 0)
        if self.name in ("fmadd", "fmsub"):
            return int(self.operands.startswith("s"))
        if not self.name.startswith(("vfmadd", "vfnmadd")):
            return 0
        if not self.name.endswith("ps"):
            return int(self.name.endswith("ss"))
        return next((lanes for register, lanes in _X86_LANES if register in self.operands), 0)


@dataclass(frozen=True)
class Loop:
    """Code that runs again and again: from the target of a backward branch to the branch."""

    instructions: tuple[Instruction, ...]

    @property
    def macs(self) -> int:
        """Of one iteration."""
        return sum(one.macs for one in self.instructions)


def disassemble(codes: Sequence[bytes], cpu: str | None = None) -> list[list[Instruction]]:
    """All instructions of each kernel's object file, in order. Raises BadInput where the tool is missing or fails."""
    if not codes:
        return []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.o") for number in range(len(codes))]
        for path, code in zip(paths, codes):
            path.write_bytes(code)
        # TVM puts its conversions of half precision into a section of their own, whose addresses begin anew.
        options = ["-d", "--section=.text", "--no-show-raw-insn", *([f"--mcpu={cpu}"] if cpu else [])]
        listing = _run([llvm_tool("llvm-objdump"), *options, *map(str, paths)])
    _, *files = _FILE.split(listing)
    if len(files) != len(codes):
        raise BadInput(f"llvm-objdump: {len(files)} answers for {len(codes)} object files")
    return [parse(text) for text in files]


def parse(disassembly: str) -> list[Instruction]:
    """Read ``llvm-objdump -d --no-show-raw-insn``."""
    found = (_LINE.match(_COMMENT.split(line)[0]) for line in disassembly.splitlines())
    return [Instruction(int(match["address"], 16), match["name"], match["operands"]) for match in found if match]


def inner_loops(code: Sequence[Instruction]) -> list[Loop]:
    """Loops with fused multiply-adds in which there is no other loop, the one with the most of them first."""
    by_address = {one.address: index for index, one in enumerate(code)}
    spans = {
        (by_address[target], index)
        for index, one in enumerate(code)
        if (target := one.jumps_to) is not None and by_address.get(target, index + 1) <= index
    }
    inner = [
        span
        for span in spans
        if not any(other != span and span[0] <= other[0] and other[1] <= span[1] for other in spans)
    ]
    loops = [Loop(tuple(code[start : end + 1])) for start, end in sorted(inner)]
    return sorted((loop for loop in loops if loop.macs), key=lambda loop: -loop.macs)


def heaviest(code: Sequence[Instruction]) -> Loop:
    """The inner loop with the most multiply-adds; all of the code where no loop has any."""
    return next(iter(inner_loops(code)), Loop(tuple(code)))


def cycles(loops: Sequence[Loop], cpu: str, triple: str) -> list[float]:
    """Cycles of one iteration of each loop in a long run, by LLVM's model of a processor.

    Raises BadInput where the tool is missing, or knows no model of the processor.
    """
    if not loops:
        return []
    text = []
    for number, loop in enumerate(loops):
        text += [f"# LLVM-MCA-BEGIN loop{number}", f"loop{number}:"]
        for one in loop.instructions:
            jump = one.jumps_to is not None
            if not _NOT_CODE.match(one.name):
                text.append(f"{one.name} {_TARGET.sub(f'loop{number}', one.operands) if jump else one.operands}")
        text.append("# LLVM-MCA-END")
    command = [llvm_tool("llvm-mca"), f"-mtriple={triple}", f"-mcpu={cpu}", f"-iterations={_ITERATIONS}", "-json"]
    # An instruction that the model has no figures of is one of many.
    answer = _run([*command, "-skip-unsupported-instructions=lack-sched"], "\n".join(text) + "\n")
    found = json.loads(answer)["CodeRegions"]
    if len(found) != len(loops):
        raise BadInput(f"llvm-mca: {len(found)} answers for {len(loops)} loops")
    return [float(region["SummaryView"]["TotalCycles"]) / _ITERATIONS for region in found]


def peak_macs_per_cycle(cpu: str, triple: str, lanes: int) -> float:
    """Multiply-adds of float32 a cycle of a model, in independent instructions on registers of ``lanes``.

    Raises BadInput where there is no such instruction, or no model of the processor.
    """
    line = _PEAK.get(("aarch64" if is_arm(triple) else triple.partition("-")[0], lanes))
    if line is None:
        raise BadInput(f"machine code of {triple} with {lanes} float32 in a register is not analysed")
    code = [Instruction(4 * chain, *line.format(chain).split(" ", 1)) for chain in range(_CHAINS)]
    return _CHAINS * lanes / cycles([Loop(tuple(code))], cpu, triple)[0]


def is_arm(triple: str) -> bool:
    """Whether code of a triple is for 64-bit Arm."""
    return triple.startswith(("aarch64", "arm64"))


@cache
def llvm_tool(name: str) -> str:
    """Path of a tool of LLVM 19 or later. Raises BadInput saying how to get it."""
    for candidate in (*(f"{name}-{version}" for version in range(LEAST_LLVM, _NEWEST_TRIED)), name):
        path = shutil.which(candidate)
        if path is not None and (llvm_version(path) or (0,))[0] >= LEAST_LLVM:
            return path
    raise BadInput(f"no {name} of LLVM {LEAST_LLVM} or later on PATH; install it: {INSTALL}")


def llvm_version(path: str) -> tuple[int, ...]:
    """Of a tool of LLVM, for instance ``(19, 1, 7)``; empty where it does not say."""
    found = re.search(r"LLVM version ([\d.]+\d)", _run([path, "--version"]))
    return tuple(map(int, found[1].split("."))) if found else ()


def _run(command: list[str], text: str | None = None) -> str:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadInput(f"{Path(command[0]).name}: {error}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise BadInput(f"{Path(command[0]).name} failed: {lines[0][:200]}")
    return done.stdout
