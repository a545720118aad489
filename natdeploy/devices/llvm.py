"""The LLVM target of a device, and what TVM's LLVM knows of processors.

``mcpu="native"`` is a trap: TVM hands the word to LLVM, which does not know it and generates code for the oldest
processor of the architecture, several times slower. So the processor's own LLVM name is resolved here and checked
against the LLVM inside TVM. TVM is only ever imported in a child process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from natdeploy.devices.profile import HardwareProfile
from natdeploy.ground.errors import BadInput, DeviceNotReachable
from natdeploy.ground.processes import call_in_child

#: What TVM imports where it is installed, for two thirds of TVM's own start, and does the same without.
NOT_NEEDED_BY_TVM = ("torch",)
#: LLVM feature -> the Linux kernel's flag, for features that LLVM uses unasked. A hypervisor may hide some of them.
_X86_FLAGS = {
    "sse4.1": "sse4_1",
    "sse4.2": "sse4_2",
    "ssse3": "ssse3",
    "popcnt": "popcnt",
    "avx": "avx",
    "avx2": "avx2",
    "fma": "fma",
    "f16c": "f16c",
    "bmi": "bmi1",
    "bmi2": "bmi2",
    "lzcnt": "abm",
    "movbe": "movbe",
    "avx512f": "avx512f",
    "avx512cd": "avx512cd",
    "avx512bw": "avx512bw",
    "avx512dq": "avx512dq",
    "avx512vl": "avx512vl",
    "avx512ifma": "avx512ifma",
    "avx512vbmi": "avx512vbmi",
    "avx512vbmi2": "avx512_vbmi2",
    "avx512vnni": "avx512_vnni",
    "avx512bitalg": "avx512_bitalg",
    "avx512vpopcntdq": "avx512_vpopcntdq",
    "avx512bf16": "avx512_bf16",
    "avx512fp16": "avx512_fp16",
    "avx512vp2intersect": "avx512_vp2intersect",
    "avxvnni": "avx_vnni",
    "gfni": "gfni",
    "vaes": "vaes",
    "amx-tile": "amx_tile",
}
#: x86-64 levels from the best down, each with flags that stand for it.
_X86_LEVELS = (
    ("x86-64-v4", {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd", "avx2", "fma", "bmi2"}),
    ("x86-64-v3", {"avx2", "fma", "f16c", "bmi1", "bmi2", "movbe"}),
    ("x86-64-v2", {"sse4_2", "ssse3", "popcnt"}),
)


@dataclass(frozen=True)
class LlvmHost:
    """This machine as LLVM names it.

    Attributes:
        triple: target triple.
        cpu: a processor that TVM's LLVM knows.
        features: corrections to that processor's features, ``-name`` for one this machine does not have.
        notes: what had to be assumed, in sentences; empty when nothing was.
        llvm_version: of the LLVM inside TVM, or of none.
    """

    triple: str
    cpu: str
    features: tuple[str, ...]
    notes: tuple[str, ...]
    llvm_version: str


def query_tvm(triple: str) -> dict[str, Any]:
    """What TVM's LLVM says of the machine it runs on. Imports TVM: call in a child process."""
    import tvm
    from tvm.target import codegen

    cpu = str(codegen.llvm_get_system_cpu())
    known = sorted(map(str, codegen.llvm_get_cpu_archlist(tvm.target.Target({"kind": "llvm", "mtriple": triple}))))
    features: list[str] = []
    if cpu in known:
        target = tvm.target.Target({"kind": "llvm", "mtriple": triple, "mcpu": cpu})
        features = sorted(map(str, codegen.llvm_get_cpu_features(target)))
    return {"cpu": cpu, "known": known, "features": features, "llvm_version": str(codegen.llvm_version_major())}


def host_llvm(machine: str, isa: Sequence[str], *, timeout_s: float = 120) -> LlvmHost:
    """LLVM's name for this machine's processor, as the LLVM inside TVM knows it.

    Args:
        machine: architecture, for instance ``x86_64``.
        isa: the kernel's names of the extensions that are there.
        timeout_s: limit of the child process that asks TVM.

    Raises ChildFailed when TVM does not start.
    """
    triple = f"{machine}-linux-gnu"
    name = "asking TVM for this processor's LLVM name"
    answer = call_in_child(query_tvm, triple, timeout_s=timeout_s, name=name, without=NOT_NEEDED_BY_TVM)
    return choose_cpu(triple, machine, isa, answer)


def choose_cpu(triple: str, machine: str, isa: Sequence[str], answer: dict[str, Any]) -> LlvmHost:
    """Turn :func:`query_tvm`'s answer into a target that this machine can run, falling back with a note."""
    cpu, known, version = answer["cpu"], answer["known"], answer["llvm_version"]
    if cpu in known and cpu not in ("generic", "native", ""):
        return LlvmHost(triple, cpu, _missing(machine, isa, answer["features"]), (), version)
    safe = baseline_cpu(machine, isa)
    note = (
        f"LLVM {version} of TVM does not know this processor ({cpu or 'no name'}); code is generated for the safe "
        f"baseline {safe} and may be slower than it could be"
    )
    return LlvmHost(triple, safe, (), (note,), version)


def baseline_cpu(machine: str, isa: Sequence[str]) -> str:
    """A processor name that every machine with these extensions can run."""
    if machine in ("x86_64", "amd64", "AMD64"):
        return next((level for level, flags in _X86_LEVELS if flags <= set(isa)), "x86-64")
    return "generic"


def _missing(machine: str, isa: Sequence[str], features: Sequence[str]) -> tuple[str, ...]:
    """Features LLVM would use that the kernel does not report, as ``-name``."""
    if machine != "x86_64":
        return ()
    return tuple(f"-{name}" for name in features if name in _X86_FLAGS and _X86_FLAGS[name] not in isa)


def llvm_target(profile: HardwareProfile) -> dict[str, Any]:
    """TVM's target of a device: ``kind``, ``mtriple``, ``mcpu``, ``mattr`` where needed, ``num-cores``.

    Raises BadInput for a derived profile that was not filled in, DeviceNotReachable for one whose networks run on a
    graphics processor.
    """
    if profile.compute == "gpu" and profile.gpu is not None:
        raise DeviceNotReachable(
            f"device {profile.name!r}: field 'compute': this is for processors, its networks run on the "
            f"{profile.gpu.name} ({profile.gpu.api}); take a profile of its processor, where they run on the cpu"
        )
    cluster = profile.timed_cluster
    if profile.llvm_triple is None:
        raise BadInput(f"hardware profile {profile.name!r}: field 'llvm_triple' is missing")
    target: dict[str, Any] = {
        "kind": "llvm",
        "mtriple": profile.llvm_triple,
        "mcpu": cluster.llvm_cpu,
        "num-cores": cluster.cores,
    }
    if cluster.llvm_features:
        target["mattr"] = list(cluster.llvm_features)
    return target
