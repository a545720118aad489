"""What is in a loop of aarch64 code: instructions by kind, and accesses to the stack."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from natdeploy.compiler.machine_code import Instruction, Loop

_BRANCH = re.compile(r"^(b\.\w+|cbn?z|tbn?z|b)$")


def kind(one: Instruction) -> str:
    """``fma``, ``load``, ``store``, ``branch``, ``vector`` (any other on vector registers) or ``integer``."""
    if one.macs:
        return "fma"
    if one.name.startswith(("ld", "prf")):
        return "load"
    if one.name.startswith("st"):
        return "store"
    if _BRANCH.match(one.name):
        return "branch"
    return "vector" if re.match(r"[vqdsh]\d", one.operands) else "integer"


def mix(loop: Loop) -> dict[str, int]:
    """Instructions by kind."""
    return dict(Counter(kind(one) for one in loop.instructions))


def spills(loop: Loop, code: Sequence[Instruction]) -> int:
    """Accesses to the stack: registers that did not suffice. ``code``: all that the loop is from."""
    frame_pointer = any(one.operands.startswith("x29, sp") and one.name in ("mov", "add") for one in code)
    bases = r"\[(sp|x29)\b" if frame_pointer else r"\[sp\b"
    return sum(bool(re.search(bases, one.operands)) for one in loop.instructions)
