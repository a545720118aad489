"""From architectures to artifacts that can be timed, and from architectures to the toolchain that would build them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.devices import HardwareProfile, Runnable, compile_target, get_runner, runs_cuda_here, runs_on_gpu
from natdeploy.devices.perf_test import perf_test_file, perf_test_toolchain
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root, canonical_json, readable_disk_errors
from natdeploy.ground.processes import allowed_processors
from natdeploy.spaces import Arch, Layer, Network, Space, random_network

if TYPE_CHECKING:
    from natdeploy.compiler import TuningRecord

Build = Callable[[Network, Path], Runnable]
Progress = Callable[[str, float], None]


class ArtifactBuilder:
    """Builds what is timed: networks with fixed random weights, since latency does not depend on their values.

    Args:
        space: search space of the architectures.
        profile: device to build for.
        runtime: what shall run the artifacts.
        num_classes: outputs; the space's own number if None.
        build: how to build a network in a folder; by default natdeploy's own compiler.
    """

    def __init__(
        self,
        space: Space,
        profile: HardwareProfile,
        runtime: str,
        *,
        num_classes: int | None = None,
        build: Build | None = None,
    ) -> None:
        self.space, self.num_classes = space, num_classes
        self._kind = get_runner(runtime).kind
        if self._kind not in ("onnx", "native"):
            raise BadInput(f"runtime {runtime!r}: takes {self._kind!r} artifacts, which natdeploy cannot build")
        if not profile.is_this_machine and self._kind == "onnx":
            perf_test_file(profile)  # raises where ONNX Runtime's program for the device is missing
        self._profile = profile
        self._build = build
        self._workers = len(allowed_processors())

    @cached_property
    def _tuning(self) -> TuningRecord | None:
        """The device's record as it is when the first kernel is compiled; graphics processors have none."""
        if self._build is not None or self._kind != "native" or runs_on_gpu(self._profile):
            return None
        from natdeploy.compiler import tuning_of

        return tuning_of(self._profile)

    def prepare(self, archs: Sequence[Arch], progress: Progress | None = None) -> None:
        """Compile the kernels that these architectures need and that are not kept from earlier, on all cores."""
        if self._build is not None or self._kind != "native":
            return
        from natdeploy.compiler import compile_layers, need_cuda_of, need_gpu_linker

        if runs_cuda_here(self._profile):
            need_cuda_of(compile_target(self._profile))
        elif runs_on_gpu(self._profile):
            need_gpu_linker(compile_target(self._profile))
        compile_layers(
            [self._layers(arch) for arch in archs],
            target=compile_target(self._profile),
            progress=progress,
            tuning=self._tuning,
        )

    def build_all(self, archs: Sequence[Arch], folder: Path) -> list[Runnable]:
        """One artifact an architecture, each in a folder of its own below ``folder``, on all cores."""
        with ThreadPoolExecutor(self._workers) as pool:
            tasks = [pool.submit(self._one, arch, folder / f"{place:05d}") for place, arch in enumerate(archs)]
            try:
                return [task.result() for task in tasks]
            except BaseException:
                for task in tasks:
                    task.cancel()
                raise

    def reference(self, folder: Path) -> Runnable:
        """The reference network: the space's architecture in the middle of every gene, with its own classes."""
        network = random_network(self.space.layers(reference_arch(self.space)))
        return self._built(network, folder)

    def _layers(self, arch: Arch) -> tuple[Layer, ...]:
        return self.space.layers(arch, self.num_classes)

    def _one(self, arch: Arch, folder: Path) -> Runnable:
        return self._built(random_network(self._layers(arch)), folder)

    def _built(self, network: Network, folder: Path) -> Runnable:
        if self._build is not None:
            return self._build(network, folder)
        from natdeploy.compiler import (
            build_artifacts,
            build_gpu_artifacts,
            build_gpu_executable,
            build_onnx,
            make_network_plan,
        )

        if self._kind == "onnx":
            return build_onnx(network, folder)
        plan = make_network_plan(network, target=compile_target(self._profile), tuning=self._tuning)
        if runs_cuda_here(self._profile):
            return build_gpu_artifacts(plan, folder)["source"]
        if plan.on_gpu:
            return build_gpu_executable(plan, folder)
        kind = "native" if self._profile.is_this_machine else "executable"
        return build_artifacts(plan, folder, kinds=(kind,))[kind]


def reference_arch(space: Space) -> Arch:
    """The architecture in the middle of every gene."""
    return space.decode(space.repair([size // 2 for size in space.gene_sizes]))


def runtime_toolchain(runtime: str, profile: HardwareProfile) -> dict[str, str]:
    """Names and versions of what builds and runs the artifacts of a runtime for a device, its tuning record included:
    other tiles are other code, with timings of its own."""
    from natdeploy.compiler import toolchain_versions

    runner = get_runner(runtime)
    versions = {**toolchain_versions(runner.kind), **runner.toolchain()}
    if runner.kind == "onnx" and not profile.is_this_machine:
        del versions["onnxruntime"]  # this machine's
        versions |= perf_test_toolchain(profile)
    if runner.kind == "native":
        from natdeploy.compiler import TUNING, CudaLocal, tuning_of

        versions["llvm_target"] = canonical_json(compile_target(profile))
        if runs_cuda_here(profile):
            versions |= {**toolchain_versions("gpu"), **CudaLocal().toolchain()}
        elif runs_on_gpu(profile):
            versions |= toolchain_versions("gpu")
        else:  # a record is of tiles for processors
            versions[TUNING] = tuning_of(profile).identity
    return versions


def with_artifact_toolchain(toolchain: Mapping[str, str], runnable: Runnable) -> dict[str, str]:
    """A toolchain, corrected by what an artifact itself says it was built with."""
    return {**toolchain, **dict(getattr(runnable, "toolchain", {}))}


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for artifacts that are only timed; those that killed processes left behind are removed first."""
    root = cache_root() / "scratch"
    with readable_disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        for left in root.iterdir():
            owner = left.name.partition("-")[0]
            if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc/self").exists():
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
