"""Inner loops of aarch64 object code, and what LLVM's model of a processor makes of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LEAST_LLVM = 19
_NEWEST_TRIED = 24
_LIMIT_S = 120.0
_LINE = re.compile(r"^\s*(?P<address>[0-9a-f]+):\s+(?P<name>[\w.]+)\s*(?P<operands>.*?)\s*(?:<[^>]*>)?\s*$")
_BRANCH = re.compile(r"^(b\.\w+|cbn?z|tbn?z|b)$")
_TARGET = re.compile(r"(?P<target>0x[0-9a-f]+)$")
#: Operations on float32 of one fused multiply-add, by the arrangement of its first register.
_FLOPS = {"4s": 8, "2s": 4}


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
    def flops(self) -> int:
        """Operations on float32, of fused multiply-adds alone."""
        if self.name in ("fmla", "fmls"):
            return _FLOPS.get(self.operands.split(",")[0].rpartition(".")[2], 0)
        return 2 if self.name in ("fmadd", "fmsub") and self.operands.startswith("s") else 0

    @property
    def kind(self) -> str:
        """``fma``, ``load``, ``store``, ``branch``, ``vector`` (any other on vector registers) or ``integer``."""
        if self.flops:
            return "fma"
        if self.name.startswith(("ld", "prf")):
            return "load"
        if self.name.startswith("st"):
            return "store"
        if _BRANCH.match(self.name):
            return "branch"
        return "vector" if re.match(r"[vqdsh]\d", self.operands) else "integer"


@dataclass(frozen=True)
class Loop:
    """An innermost loop: from the target of a backward branch to the branch."""

    instructions: tuple[Instruction, ...]
    frame_pointer: bool

    @property
    def flops(self) -> int:
        """Of one iteration."""
        return sum(one.flops for one in self.instructions)

    @property
    def mix(self) -> dict[str, int]:
        """Instructions by kind."""
        return dict(Counter(one.kind for one in self.instructions))

    @property
    def spills(self) -> int:
        """Accesses to the stack: registers that did not suffice."""
        bases = r"\[(sp|x29)\b" if self.frame_pointer else r"\[sp\b"
        return sum(bool(re.search(bases, one.operands)) for one in self.instructions)


@cache
def llvm_tool(name: str) -> str:
    """Path of a tool of LLVM 19 or later. Raises BadInput saying how to get it."""
    from natdeploy.ground.errors import BadInput

    for candidate in (*(f"{name}-{version}" for version in range(LEAST_LLVM, _NEWEST_TRIED)), name):
        path = shutil.which(candidate)
        if path is None:
            continue
        found = re.search(r"LLVM version (\d+)", _run([path, "--version"]))
        if found and int(found[1]) >= LEAST_LLVM:
            return path
    raise BadInput(
        f"no {name} of LLVM {LEAST_LLVM} or later on PATH; install it: apt-get install --no-install-recommends "
        f"llvm-{LEAST_LLVM} (Debian 12 and later)"
    )


def disassemble(code: bytes, cpu: str) -> list[Instruction]:
    """All instructions of an object file for aarch64, in order. Raises BadInput where the tool fails."""
    with tempfile.NamedTemporaryFile(suffix=".o") as file:
        file.write(code)
        file.flush()
        command = [llvm_tool("llvm-objdump"), "-d", "--no-show-raw-insn", f"--mcpu={cpu}", file.name]
        return parse(_run(command))


def parse(disassembly: str) -> list[Instruction]:
    """Read ``llvm-objdump -d --no-show-raw-insn``."""
    found = []
    for line in disassembly.splitlines():
        match = _LINE.match(line.partition("//")[0])
        if match:
            found.append(Instruction(int(match["address"], 16), match["name"], match["operands"]))
    return found


def inner_loops(code: Sequence[Instruction]) -> list[Loop]:
    """Loops with fused multiply-adds in which there is no other loop, the one with the most of them first."""
    by_address = {one.address: index for index, one in enumerate(code)}
    spans = {
        (by_address[target], index)
        for index, one in enumerate(code)
        if (target := one.jumps_to) is not None and target in by_address and by_address[target] <= index
    }
    frame_pointer = any(one.operands.startswith("x29, sp") and one.name in ("mov", "add") for one in code)
    inner = [
        span
        for span in spans
        if not any(other != span and span[0] <= other[0] and other[1] <= span[1] for other in spans)
    ]
    loops = [Loop(tuple(code[start : end + 1]), frame_pointer) for start, end in sorted(inner)]
    return sorted((loop for loop in loops if loop.flops), key=lambda loop: -loop.flops)


def cycles(loop: Loop, cpu: str, iterations: int = 100) -> float:
    """Cycles of one iteration in a long run, by llvm-mca's model of a processor. Raises BadInput where it fails."""
    text = ["loop:"]
    for one in loop.instructions:
        operands = _TARGET.sub("loop", one.operands) if one.jumps_to is not None else one.operands
        text.append(f"{one.name} {operands}")
    command = [
        llvm_tool("llvm-mca"),
        "-mtriple=aarch64-linux-gnu",
        f"-mcpu={cpu}",
        f"-iterations={iterations}",
        "-json",
    ]
    answer = json.loads(_run(command, "\n".join(text) + "\n"))
    summary = answer["CodeRegions"][0]["SummaryView"]
    return float(summary["TotalCycles"]) / iterations


def _run(command: list[str], text: str | None = None) -> str:
    from natdeploy.ground.errors import BadInput

    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadInput(f"{Path(command[0]).name}: {error}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise BadInput(f"{Path(command[0]).name} failed: {lines[0][:200]}")
    return done.stdout
