"""How figures are written, everywhere the same: percent with one decimal, milliseconds with three digits."""

from __future__ import annotations

from math import floor, log10

from natdeploy.spaces import Arch

#: Stands where there is no figure.
NONE = "-"


def percent(share: float | None, error: float | None = None) -> str:
    """``97.8 %``, with a standard error ``97.8 ± 0.8 %``."""
    if share is None:
        return NONE
    return f"{100 * share:.1f} %" if error is None else f"{100 * share:.1f} ± {100 * error:.1f} %"


def milliseconds(value: float | None) -> str:
    """Three significant digits, never in powers of ten."""
    if value is None:
        return NONE
    decimals = 2 - floor(log10(value)) if value > 0 else 0
    return f"{value:.{max(0, decimals)}f}"


def interval(mean: float, lower: float, upper: float) -> str:
    """``0.412 (0.380 to 0.450)`` in milliseconds."""
    return f"{milliseconds(mean)} ({milliseconds(lower)} to {milliseconds(upper)})"


def millions(count: int | float) -> str:
    """``3.42 M``."""
    return f"{count / 1e6:.2f} M" if count < 1e8 else f"{count / 1e6:.0f} M"


def kib(count: int | float) -> str:
    """Bytes in KiB or MiB."""
    return f"{count / 1024:.0f} KiB" if count < 1 << 20 else f"{count / (1 << 20):.2f} MiB"


def stages(arch: Arch) -> list[list[tuple[int, int]]]:
    """Kernel size and expand ratio of the active blocks, stage by stage."""
    blocks = iter(zip(arch.ks, arch.e))
    return [[next(blocks) for _ in range(depth)] for depth in arch.d]


def arch_text(arch: Arch) -> str:
    """One line: resolution, then ``kernel`` x ``expand`` of each block, stages apart."""
    return f"{arch.r} px: " + " | ".join(" ".join(f"{k}x{e}" for k, e in stage) for stage in stages(arch))
