"""The profile of the machine natdeploy runs on, filled in from the machine itself.

Processor, caches and memory come from the Linux kernel, the LLVM name from TVM, peak rates from ``peak.c``. What costs
time is kept under ``cache_root()/host``, per processor.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from natdeploy.devices.cuda import need_cuda
from natdeploy.devices.gpu import runs_cuda_here, runs_on_gpu
from natdeploy.devices.llvm import LlvmHost, baseline_cpu, host_llvm
from natdeploy.devices.processor import Processor, max_clock_mhz, memory_gib, read_processor
from natdeploy.devices.profile import Cluster, HardwareProfile, parse_profile
from natdeploy.devices.retired import fingerprint_in_use
from natdeploy.ground.errors import BadInput, ChildFailed
from natdeploy.ground.files import cache_root, content_key, sha256_file, write_json
from natdeploy.ground.processes import allowed_processors
from natdeploy.ground.system import need_linux

_PEAK_SOURCE = Path(__file__).with_name("peak.c")
#: Several times the largest last-level cache of a single socket.
_BUFFER_MIB = 256


def derive_host(profile: HardwareProfile) -> HardwareProfile:
    """Fill a derived profile in from this machine; what the profile itself says is kept.

    Raises DeviceNotReachable where the machine cannot be read (no Linux), and where networks are to run on an NVIDIA
    graphics processor that it does not have.
    """
    need_linux("deriving a profile of this machine")
    gpu = profile.gpu
    if gpu is not None and runs_cuda_here(profile):
        found = need_cuda()
        gpu = gpu.model_copy(update={"name": found.name, "arch": gpu.arch or found.arch})
    processor = read_processor()
    llvm, llvm_notes = _llvm(processor)
    peak, peak_notes = _peak(processor)
    cluster = Cluster.model_validate(
        {
            "name": "cpu",
            "core": processor.model[:200],
            "cores": len(processor.processors),
            "processors": processor.processors,
            "clock_mhz": max_clock_mhz(),
            "isa": processor.isa,
            "vector_bits": processor.vector_bits,
            "peak_gflops_per_core": peak.get("peak_gflops_per_core"),
            "caches": processor.caches,
            "llvm_cpu": llvm.cpu,
            "llvm_features": llvm.features,
        }
    )
    filled: dict[str, Any] = {
        **profile.model_dump(exclude={"clusters", "memory", "llvm_triple", "notes"}, exclude_none=True),
        "soc": profile.soc or processor.model[:200],
        "clusters": profile.clusters or (cluster,),
        "memory": {
            "gib": profile.memory.gib or memory_gib(),
            "bandwidth_gb_s": profile.memory.bandwidth_gb_s or peak.get("bandwidth_gb_s"),
        },
        "llvm_triple": profile.llvm_triple or llvm.triple,
        **({} if gpu is None else {"gpu": gpu}),
        "notes": (*profile.notes, *(note[:200] for note in (*llvm_notes, *peak_notes))),
    }
    return parse_profile(filled, f"hardware profile {profile.name!r}, derived from this machine")


def device_fingerprint(profile: HardwareProfile) -> str:
    """Sixteen hex digits that tell devices apart whose timings must not be mixed: :func:`hardware_fingerprint`'s, or
    others after them where its timings were retired (:mod:`natdeploy.devices.retired`).
    """
    return fingerprint_in_use(hardware_fingerprint(profile))


def hardware_fingerprint(profile: HardwareProfile) -> str:
    """Sixteen hex digits that tell devices apart which need not run the same code at the same speed.

    A derived profile has its processor's fingerprint, whatever the profile is called, or one of that and the graphics
    processor that networks run on; any other has that of its processor clusters, graphics processor and system on chip.
    """
    if profile.derived:
        processor = read_processor().fingerprint
        if not runs_on_gpu(profile) or profile.gpu is None:
            return processor
        return content_key({"processor": processor, "gpu": [profile.gpu.name, profile.gpu.arch]})[:16]
    identity = profile.model_dump(mode="json", include={"name", "soc", "clusters", "gpu"})
    return content_key(identity)[:16]


def measure_peak(vector_bits: int, *, timeout_s: float = 180) -> dict[str, float]:
    """Compile and run ``peak.c``: ``peak_gflops_per_core`` (fp32) and ``bandwidth_gb_s``, both of one core.

    Raises ChildFailed when the compiler is missing or the program does not run.
    """
    with tempfile.TemporaryDirectory(prefix="natdeploy-peak-") as folder:
        program = str(Path(folder) / "peak")
        defines = [f"-DVECTOR_BYTES={vector_bits // 8}", f"-DBUFFER_MIB={_BUFFER_MIB}"]
        compiler = [sys.executable, "-m", "ziglang", "cc", "-O3", "-march=native", "-ffp-contract=fast"]
        _run([*compiler, *defines, "-o", program, str(_PEAK_SOURCE)], timeout_s)
        output = _run([program], timeout_s)
    try:
        found = json.loads(output)
        return {name: float(found[name]) for name in ("peak_gflops_per_core", "bandwidth_gb_s")}
    except (ValueError, KeyError, TypeError):
        raise ChildFailed(f"measuring peak rates: the program printed {output[:80]!r}") from None


def _run(command: list[str], timeout_s: float) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ChildFailed(f"measuring peak rates: {error}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise ChildFailed(f"measuring peak rates: {Path(command[0]).name} failed: {lines[-1][:120]}")
    return done.stdout


def _llvm(processor: Processor) -> tuple[LlvmHost, tuple[str, ...]]:
    """Cached LLVM name; without TVM the safe baseline, said in a note and not cached."""
    key = {"what": "llvm", "tvm": _version("apache-tvm"), "processor": processor.fingerprint}
    cached = _cached(key)
    if cached is None:
        try:
            host = host_llvm(processor.machine, processor.isa)
        except ChildFailed as error:
            safe = baseline_cpu(processor.machine, processor.isa)
            note = f"TVM could not name this processor, code is generated for the safe baseline {safe}: {error}"
            return LlvmHost(f"{processor.machine}-linux-gnu", safe, (), (note,), "none"), (note,)
        cached = asdict(host)
        _keep(key, cached)
    host = LlvmHost(
        cached["triple"], cached["cpu"], tuple(cached["features"]), tuple(cached["notes"]), cached["llvm_version"]
    )
    return host, host.notes


def _peak(processor: Processor) -> tuple[dict[str, float], tuple[str, ...]]:
    """Cached peak rates; without a compiler none, said in a note and not cached."""
    key = {"what": "peak", "source": sha256_file(_PEAK_SOURCE), "processor": processor.fingerprint}
    cached = _cached(key)
    if cached is None:
        try:
            cached = measure_peak(processor.vector_bits)
        except ChildFailed as error:
            return {}, (f"peak rates are unknown: {error}",)
        _keep(key, cached)
    return cached, ()


def _cache_path(key: dict[str, str]) -> Path:
    return cache_root() / "host" / f"{key['what']}-{content_key(key)[:16]}.json"


def _cached(key: dict[str, str]) -> dict[str, Any] | None:
    """A cached answer; a damaged file is no answer, since the question can be asked again."""
    try:
        value = json.loads(_cache_path(key).read_text(encoding="utf-8"))
        return value["answer"] if value["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(key: dict[str, str], answer: dict[str, Any]) -> None:
    write_json(_cache_path(key), {"key": key, "answer": answer})


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def timing_processors(profile: HardwareProfile, threads: int) -> tuple[int, ...]:
    """Numbers of the processors to pin ``threads`` threads to, as many as threads.

    The last allowed ones of the timed cluster: the first processor of a machine serves most of its interrupts.
    Raises BadInput when there are fewer than threads.
    """
    allowed = allowed_processors()
    cluster = profile.timed_cluster
    usable = [cpu for cpu in allowed if cpu in cluster.processors] if cluster.processors else allowed
    if len(usable) < threads:
        raise BadInput(
            f"device {profile.name!r}: {threads} threads asked for, but cluster {cluster.name!r} has only "
            f"{len(usable)} usable processors here"
        )
    return tuple(usable[-threads:])
