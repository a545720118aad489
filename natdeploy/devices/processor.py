"""What the Linux kernel says of this machine's processor and memory."""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from natdeploy.devices.profile import Cache
from natdeploy.devices.survey import cores_in
from natdeploy.ground.errors import DeviceNotReachable
from natdeploy.ground.files import content_key

#: Extensions that decide what vector code can run, by the kernel's names.
_ISA = re.compile(
    r"^(ssse3|sse4_[12]|avx.*|fma|f16c|bmi[12]|popcnt|lzcnt|abm|movbe|gfni|vaes|amx.*"
    r"|fp|fphp|asimd.*|i8mm|bf16|sve.*|sme\d?)$"
)


@dataclass(frozen=True)
class Processor:
    """A processor as the kernel describes it.

    Attributes:
        model: its name, or implementer and part numbers where it has none (ARM).
        machine: architecture, ``x86_64`` or ``aarch64``.
        family: numbers that tell steppings of one name apart.
        processors: numbers of the online processors.
        isa: extensions that decide what vector code can run, sorted.
        caches: as core 0 sees them.
    """

    model: str
    machine: str
    family: str
    processors: tuple[int, ...]
    isa: tuple[str, ...]
    caches: tuple[Cache, ...]

    @property
    def vector_bits(self) -> int:
        """Width of the widest vector register that ordinary code uses."""
        return vector_bits(self.isa)

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits, equal for machines that run the same code equally fast."""
        identity: dict[str, Any] = asdict(self)
        identity["caches"] = [cache.model_dump() for cache in self.caches]
        identity["processors"] = len(self.processors)
        return content_key({key: list(v) if isinstance(v, tuple) else v for key, v in identity.items()})[:16]


def vector_isa(flags: Iterable[str]) -> tuple[str, ...]:
    """Of a processor's flags those that decide what vector code can run, sorted."""
    return tuple(sorted({flag for flag in flags if _ISA.match(flag)}))


def vector_bits(isa: Collection[str]) -> Literal[128, 256, 512]:
    """Width of the widest vector register that ordinary code uses."""
    return 512 if "avx512f" in isa else 256 if "avx" in isa else 128


def read_processor(root: Path = Path("/")) -> Processor:
    """Read ``/proc/cpuinfo`` and sysfs below ``root``. Raises DeviceNotReachable where there is no Linux kernel."""
    path = root / "proc/cpuinfo"
    try:
        text = path.read_text()
    except OSError as error:
        raise DeviceNotReachable(
            f"{path}: {error.strerror}; a profile can be derived on Linux only, write one by hand elsewhere"
        ) from None
    fields: dict[str, str] = {}
    processors = []
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        fields.setdefault(key, value)
        if key == "processor":
            processors.append(int(value))
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    arm = " ".join(fields[key] for key in ("CPU implementer", "CPU part") if key in fields)
    family = "/".join(
        fields.get(key, "") for key in ("vendor_id", "cpu family", "model", "stepping", "CPU variant", "CPU revision")
    )
    return Processor(
        model=fields.get("model name") or arm or platform.machine(),
        machine=platform.machine(),
        family=family.strip("/"),
        processors=tuple(processors) or (0,),
        isa=vector_isa(flags),
        caches=_caches(root / "sys/devices/system/cpu/cpu0/cache"),
    )


def max_clock_mhz(root: Path = Path("/")) -> float | None:
    """Highest clock of processor 0, where the kernel knows it (virtual machines often do not)."""
    path = root / "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"
    try:
        return int(path.read_text()) / 1000
    except (OSError, ValueError):
        return None


def memory_gib(root: Path = Path("/")) -> float | None:
    """Main memory in GiB."""
    try:
        found = re.search(r"^MemTotal:\s+(\d+) kB", (root / "proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return round(int(found.group(1)) / 2**20, 1) if found else None


def _caches(folder: Path) -> tuple[Cache, ...]:
    caches = []
    for index in sorted(folder.glob("index[0-9]*")):
        try:
            size = (index / "size").read_text().strip()
            kib = int(size[:-1]) * {"K": 1, "M": 1024}[size[-1]]
            kind = (index / "type").read_text().strip().lower()
            level = int((index / "level").read_text())
            shared = cores_in((index / "shared_cpu_list").read_text().strip())
            caches.append(Cache.model_validate({"level": level, "kind": kind, "kib": kib, "shared_by": shared}))
        except (OSError, ValueError, KeyError, IndexError):  # some virtual machines leave fields out
            continue
    return tuple(sorted(caches, key=lambda cache: (cache.level, cache.kind)))
