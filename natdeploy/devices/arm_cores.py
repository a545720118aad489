"""ARM cores by the numbers in ``/proc/cpuinfo``: what they are called, LLVM's name, how much they multiply in a cycle.

Numbers are those of the Main ID Register (Linux, ``arch/arm64/include/asm/cputype.h``). Multiply-adds per cycle are of
fp32 vectors of 128 bits: Arm's Software Optimization Guides, and measurements of https://github.com/pigirons/cpufp for
Cortex-A55, A72, A76 and A720. A core whose figure is not public has none.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ArmCore:
    """A kind of core.

    Attributes:
        name: its maker's name for it.
        llvm_cpu: LLVM's ``-mcpu``.
        fmas_per_cycle: fp32 multiply-adds of 128-bit vectors that it completes in a cycle.
        sve: whether LLVM takes for granted that programs may use SVE; many phones' kernels do not let them.
    """

    name: str
    llvm_cpu: str
    fmas_per_cycle: float | None = None
    sve: bool = False


def _arm(model: str, fmas_per_cycle: float | None = None, *, sve: bool = False) -> ArmCore:
    return ArmCore(f"Cortex-{model}", f"cortex-{model.lower()}", fmas_per_cycle, sve)


#: (implementer, part) -> core.
_CORES = {
    (0x41, 0xC07): _arm("A7"),
    (0x41, 0xC09): _arm("A9"),
    (0x41, 0xC0F): _arm("A15"),
    (0x41, 0xC0E): _arm("A17"),
    (0x41, 0xD03): _arm("A53", 1),
    (0x41, 0xD04): _arm("A35"),
    (0x41, 0xD05): _arm("A55", 1),
    (0x41, 0xD07): _arm("A57", 1),
    (0x41, 0xD08): _arm("A72", 1),
    (0x41, 0xD09): _arm("A73", 1),
    (0x41, 0xD0A): _arm("A75", 1),
    (0x41, 0xD0B): _arm("A76", 2),
    (0x41, 0xD0C): ArmCore("Neoverse N1", "neoverse-n1", 2),
    (0x41, 0xD0D): _arm("A77", 2),
    (0x41, 0xD40): ArmCore("Neoverse V1", "neoverse-v1", 4, sve=True),
    (0x41, 0xD41): _arm("A78", 2),
    (0x41, 0xD42): _arm("A78AE", 2),
    (0x41, 0xD44): _arm("X1", 4),
    (0x41, 0xD46): _arm("A510", sve=True),
    (0x41, 0xD47): _arm("A710", 2, sve=True),
    (0x41, 0xD48): _arm("X2", 4, sve=True),
    (0x41, 0xD49): ArmCore("Neoverse N2", "neoverse-n2", 2, sve=True),
    (0x41, 0xD4B): _arm("A78C", 2),
    (0x41, 0xD4D): _arm("A715", 2, sve=True),
    (0x41, 0xD4E): _arm("X3", 4, sve=True),
    (0x41, 0xD4F): ArmCore("Neoverse V2", "neoverse-v2", 4, sve=True),
    (0x41, 0xD80): _arm("A520", sve=True),
    (0x41, 0xD81): _arm("A720", 2, sve=True),
    (0x41, 0xD82): _arm("X4", sve=True),
    (0x41, 0xD85): _arm("X925", sve=True),
    (0x41, 0xD87): _arm("A725", sve=True),
    (0x4E, 0x004): ArmCore("NVIDIA Carmel", "carmel"),
    (0x51, 0x001): ArmCore("Oryon", "oryon-1"),
    (0x51, 0x800): ArmCore("Kryo 280 Gold (Cortex-A73)", "cortex-a73", 1),
    (0x51, 0x801): ArmCore("Kryo 280 Silver (Cortex-A53)", "cortex-a53", 1),
    (0x51, 0x802): ArmCore("Kryo Gold (Cortex-A75)", "cortex-a75", 1),
    (0x51, 0x803): ArmCore("Kryo Silver (Cortex-A55)", "cortex-a55", 1),
    (0x51, 0x804): ArmCore("Kryo Gold (Cortex-A76)", "cortex-a76", 2),
    (0x51, 0x805): ArmCore("Kryo Silver (Cortex-A55)", "cortex-a55", 1),
    (0x53, 0x002): ArmCore("Exynos M3", "exynos-m3"),
    (0x53, 0x003): ArmCore("Exynos M4", "exynos-m4"),
    (0x53, 0x004): ArmCore("Exynos M5", "exynos-m5"),
}


def arm_core(implementer: int, part: int) -> ArmCore | None:
    """The core of these numbers; None for one that is not known here."""
    return _CORES.get((implementer, part))


def arm_core_named(name: str) -> ArmCore | None:
    """The core that ``lscpu`` calls by this name, for instance ``Cortex-A76``; None for one that is not known here."""
    return next((core for core in _CORES.values() if core.name.lower() == name.strip().lower()), None)
