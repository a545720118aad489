"""Compiling on the machines of a Ray cluster: object code comes back into this machine's kernel cache.

What is left of a build, linking, verifying and measuring, is quick or has to be done where the device is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from natdeploy.compiler import KernelCache, compile_layers, tuning_of
from natdeploy.deploy.chooser import FRONT
from natdeploy.deploy.pick import rank
from natdeploy.devices import HardwareProfile, llvm_target, runs_on_gpu
from natdeploy.ground.cluster import Cluster
from natdeploy.runs import ArchiveEntry, RunFolder
from natdeploy.spaces import Arch, get_space

if TYPE_CHECKING:
    from natdeploy.compiler import TuningRecord


def compile_on(
    cluster: Cluster, archs: Sequence[Arch], classes: int, profile: HardwareProfile, cache: KernelCache | None = None
) -> int:
    """Have networks compiled, each by some machine; returns how many kernels that gave.

    None for a graphics processor: its kernels are compiled by the build itself.
    A network that cannot be compiled raises here what it would raise in a build.
    """
    if runs_on_gpu(profile):
        return 0
    cache = cache or KernelCache()
    target, tuning = dict(llvm_target(profile)), tuning_of(profile)
    tasks = [cluster.submit(compile_there, arch.to_json(), classes, target, tuning) for arch in archs]
    found: dict[str, bytes] = {}
    for task in tasks:
        found |= task.result()
    for key, code in found.items():
        cache.put(key, code)
    return len(found)


def first_choices(run: RunFolder, picks: Sequence[str]) -> list[Arch]:
    """The architectures that a build of these picks begins with, each once."""
    entries: list[ArchiveEntry] = []
    for pick in picks:
        entries += run.front() if pick == FRONT else rank(run.archive(), pick, run.config().latency_ms)[:1]
    return list(dict.fromkeys(entry.arch for entry in entries))


def compile_there(arch: Any, classes: int, target: dict[str, Any], tuning: TuningRecord) -> dict[str, bytes]:
    """On a worker: object code of one network's kernels by their keys in a kernel cache."""
    chosen, cache = Arch.from_json(arch), _Noting()
    compile_layers([get_space(chosen.space).layers(chosen, classes)], target=target, cache=cache, tuning=tuning)
    return cache.noted


class _Noting(KernelCache):
    """The machine's cache, which remembers what was found there and put there."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """Look up, and remember."""
        code = super().get(key)
        if code is not None:
            self.noted[key] = code
        return code

    def put(self, key: str, code: bytes) -> None:
        """Keep, and remember."""
        super().put(key, code)
        self.noted[key] = code
