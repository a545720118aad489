"""What a machine's own files and tools tell of its processors, read from any mix of their output.

Understood are the answers to :data:`natdeploy.devices.probe.PROBE`, or of them ``/proc/cpuinfo``, ``/proc/meminfo``,
``uname -m``, Android's ``getprop`` and files of sysfs as ``grep . FILE...`` prints them, and ``lscpu``; whatever is
missing is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from natdeploy.devices.probe import sections

_SYSFS = re.compile(r"(?:.*/)?cpu(\d+)/(cpufreq|regs|cache)/(\S+?):(.+)")
_PROPERTY = re.compile(r"\[([\w.]+)\]: \[(.*)\]")
_MACHINES = re.compile(r"aarch64|arm64|armv[78]\w*|x86_64|i[3-6]86|riscv64")


@dataclass(frozen=True)
class CoreFacts:
    """One core, as far as it is known.

    Attributes:
        implementer, part: of an ARM core.
        model: name, where the kernel has one.
        flags: instruction-set extensions by the kernel's names.
        clock_mhz: highest clock.
        caches: (level, kind, KiB, cores that share it), smallest level first.
    """

    implementer: int | None = None
    part: int | None = None
    model: str | None = None
    flags: tuple[str, ...] = ()
    clock_mhz: float | None = None
    caches: tuple[tuple[int, str, int, int], ...] = ()


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        machine: as ``uname -m`` says it.
        cores: number of a core -> what is known of it.
        properties: Android's.
        board: model name of a device tree.
        memory_gib: main memory that the kernel manages.
    """

    machine: str | None
    cores: dict[int, CoreFacts]
    properties: dict[str, str]
    board: str | None = None
    memory_gib: float | None = None

    @property
    def android(self) -> bool:
        """Whether Android's properties were among the answers."""
        return bool(self.properties)

    @property
    def model(self) -> str | None:
        """The name that the device gives itself: of an Android product, or of a board."""
        return self.properties.get("ro.product.model") or self.board


def read_survey(text: str) -> Survey:
    """Understand the answers to a probe, or the output of any of the tools. What makes no sense is passed over."""
    properties: dict[str, str] = {}
    sysfs: dict[int, dict[str, str]] = {}
    words: dict[str, str] = {}
    blocks: list[dict[str, str]] = []
    machine = None
    for line in text.replace("\r", "").splitlines():
        if found := _PROPERTY.fullmatch(line.strip()):
            properties[found[1]] = found[2]
        elif found := _SYSFS.fullmatch(line.strip()):
            sysfs.setdefault(int(found[1]), {})[f"{found[2]}/{found[3]}"] = found[4].strip()
        elif _MACHINES.fullmatch(line.strip()):
            machine = line.strip()
        elif ":" in line:
            key, value = (part.strip() for part in line.split(":", 1))
            if key == "processor" and value.isdigit():
                blocks.append({})
            (blocks[-1] if blocks and key in _OF_CORES else words).setdefault(key, value)
    cores = {int(block["processor"]): _core(block) for block in blocks if block.get("processor", "").isdigit()}
    if not cores:
        cores = _lscpu(words)
    for number, files in sysfs.items():
        cores[number] = _with_sysfs(cores.get(number, CoreFacts()), files)
    memory = re.match(r"(\d+) kB", words.get("MemTotal", ""))
    return Survey(
        machine=machine or words.get("Architecture") or _machine_of(properties, cores),
        cores=dict(sorted(cores.items())),
        properties=properties,
        board=None if properties else sections(text).get("tree_model") or _board(words),
        memory_gib=round(int(memory[1]) / 2**20, 1) if memory else None,
    )


_OF_CORES = {"processor", "CPU implementer", "CPU part", "Features", "flags", "model name", "cpu MHz", "vendor_id"}


def _core(block: dict[str, str]) -> CoreFacts:
    return CoreFacts(
        implementer=_number(block.get("CPU implementer")),
        part=_number(block.get("CPU part")),
        model=block.get("model name"),
        flags=tuple((block.get("flags") or block.get("Features") or "").split()),
    )


def _lscpu(words: dict[str, str]) -> dict[int, CoreFacts]:
    """``lscpu`` describes all cores at once; of a machine with cores of two kinds it names only the last."""
    count = _number(words.get("CPU(s)")) or 0
    clock = words.get("CPU max MHz", "")
    fact = CoreFacts(
        model=words.get("Model name"),
        flags=tuple(words.get("Flags", "").split()),
        clock_mhz=float(clock) if re.fullmatch(r"\d+(\.\d+)?", clock) else None,
    )
    return dict.fromkeys(range(count), fact) if 0 < count <= 4096 else {}


def _with_sysfs(core: CoreFacts, files: dict[str, str]) -> CoreFacts:
    khz = _number(files.get("cpufreq/cpuinfo_max_freq"))
    midr = _number(files.get("regs/identification/midr_el1"))
    if midr is not None and core.part is None:
        core = replace(core, implementer=midr >> 24 & 0xFF, part=midr >> 4 & 0xFFF)
    caches = []
    for index in sorted({name.rpartition("/")[0] for name in files if name.startswith("cache/index")}):
        level, size = files.get(f"{index}/level", ""), files.get(f"{index}/size", "")
        kind = files.get(f"{index}/type", "").lower()
        found = re.fullmatch(r"(\d+)([KM])", size)
        if found and level.isdigit() and kind in ("data", "instruction", "unified"):
            kib = int(found[1]) * (1024 if found[2] == "M" else 1)
            caches.append((int(level), kind, kib, cores_in(files.get(f"{index}/shared_cpu_list", "0"))))
    return replace(core, clock_mhz=khz / 1000 if khz else core.clock_mhz, caches=tuple(sorted(caches)) or core.caches)


def _board(words: dict[str, str]) -> str | None:
    """A Raspberry Pi's cpuinfo names the board as ``Model``, where lscpu has a number."""
    found = words.get("Model", "")
    return None if not found or found.isdigit() else found


def cores_in(ranges: str) -> int:
    """Number of cores in the kernel's list form, for instance ``0-3,8``; 1 for what is none."""
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", ranges):
        return 1
    bounds = [(part.split("-") * 2)[:2] for part in ranges.split(",")]
    return max(1, sum(int(last) - int(first) + 1 for first, last in bounds))


def _machine_of(properties: dict[str, str], cores: dict[int, CoreFacts]) -> str | None:
    abi = properties.get("ro.product.cpu.abi", "")
    if abi:
        return {"arm64-v8a": "aarch64", "armeabi-v7a": "armv7l", "x86": "i686"}.get(abi, abi)
    flags = {flag for core in cores.values() for flag in core.flags}
    if "asimd" in flags:
        return "aarch64"
    return "armv7l" if "neon" in flags else "x86_64" if "lm" in flags else None


def _number(text: str | None) -> int | None:
    try:
        return int(text or "", 0)
    except ValueError:
        return None
