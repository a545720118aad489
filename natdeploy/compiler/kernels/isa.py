"""What a kernel has to know of a processor: how wide its vectors are, and how many of them it can hold."""

from __future__ import annotations

from dataclasses import dataclass

#: Bytes that processors move at once.
CACHE_LINE = 64


@dataclass(frozen=True)
class Isa:
    """Vectors of ``lanes`` float32 (16 with AVX-512, 8 with AVX2, 4 with NEON) and the number of vector registers."""

    lanes: int
    registers: int

    @property
    def rows_of_line(self) -> int:
        """How many vectors one cache line holds."""
        return CACHE_LINE // (4 * self.lanes)

    @property
    def inputs_in_registers(self) -> bool:
        """Whether a multiply-add takes its one input out of a register that holds several (NEON of 64-bit Arm)."""
        return self.lanes == 4 and self.registers == 32

    def blocks(self, channels: int) -> int:
        """How many vectors hold one pixel's channels; the last one ends in zeros or in values that nobody reads."""
        return -(-channels // self.lanes)


def isa_of(vector_bits: int, mtriple: str) -> Isa:
    """From the width that LLVM gives a target. AVX2 and 32-bit processors have 16 vector registers, others 32."""
    lanes = max(4, min(16, vector_bits // 32))
    many = lanes == 16 or (lanes == 4 and mtriple.startswith(("aarch64", "arm64")))
    return Isa(lanes, 32 if many else 16)
