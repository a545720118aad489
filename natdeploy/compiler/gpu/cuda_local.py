"""CUDA kernels on this machine's graphics processor, through TVM, each model in a child process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from natdeploy.compiler.gpu import cuda_child
from natdeploy.compiler.gpu.nvcc import cubin, find_nvcc, nvcc_version
from natdeploy.compiler.gpu.sources import load_gpu_sources
from natdeploy.compiler.plan import Plan
from natdeploy.devices.cuda import CudaDevice, find_cuda, need_cuda
from natdeploy.devices.description import DeviceDescription
from natdeploy.devices.llvm import NOT_NEEDED_BY_TVM
from natdeploy.devices.meter import Meter
from natdeploy.devices.runner import Runnable, Session, check_artifact, checked_input
from natdeploy.devices.this_machine import describe_this_machine
from natdeploy.ground.errors import BadInput, TimingNotPossible
from natdeploy.ground.processes import ChildWorker

Result = TypeVar("Result")
#: natdeploy reads no meter of NVIDIA's.
NO_CUDA_METER = Meter(None, "no meter of a graphics processor is read")
_OPEN_LIMIT_S, _RUN_LIMIT_S = 300.0, 300.0


class PlanOnCuda:
    """A plan on this machine's first NVIDIA graphics processor; to be closed.

    Attributes:
        device: which one that is.

    Raises DeviceNotReachable, with advice, without one and without nvcc; ChildFailed where nvcc or the driver fails.
    """

    def __init__(self, plan: Plan, source: bytes) -> None:
        self._child = ChildWorker("CUDA", without=NOT_NEEDED_BY_TVM)
        try:
            self.device: CudaDevice = find_cuda(self._child)
            code = cubin(source, self.device.arch)
            self._child.call(cuda_child.hold, plan, code, timeout_s=_OPEN_LIMIT_S)
        except BaseException:
            self.close()
            raise

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """All outputs from all inputs."""
        return self._call(cuda_child.run, list(arrays))

    def time_ms(self, repeats: int, arrays: Sequence[np.ndarray]) -> list[float]:
        """Milliseconds of each of ``repeats`` runs in a row, by the child's clock."""
        return self._call(cuda_child.time_ms, repeats, list(arrays))

    def time_calls_ms(self, arrays: Sequence[np.ndarray], repeats: int) -> list[float]:
        """Median milliseconds of each call."""
        return self._call(cuda_child.time_calls_ms, list(arrays), repeats)

    def close(self) -> None:
        """End the child."""
        self._child.close()

    def __enter__(self) -> PlanOnCuda:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return self._child.call(function, *arguments, timeout_s=_RUN_LIMIT_S)


class CudaLocal:
    """Runs ``source`` artifacts that are CUDA: ``kernels.cu`` with the plan and the weights beside it."""

    name = "tvm"
    kind = "source"

    def toolchain(self) -> dict[str, str]:
        """What compiles the kernels here. Raises DeviceNotReachable without nvcc."""
        return {"nvcc": nvcc_version(find_nvcc())}

    def describe(self) -> DeviceDescription:
        """This machine, as a model of its graphics processor. Raises DeviceNotReachable without one."""
        found = need_cuda()
        return replace(describe_this_machine(), model=f"{found.name} ({found.arch})")

    def meter(self) -> Meter:
        """None: what this machine's own meters read leaves its graphics processor out."""
        return NO_CUDA_METER

    def close(self) -> None:
        """Nothing is held."""

    def open(self, runnable: Runnable, *, threads: int = 1) -> Session:
        """Compile kernels and put them on the graphics processor. Raises like :class:`PlanOnCuda`, and BadInput.

        ``threads`` are a processor's and say nothing here.
        """
        check_artifact(self, runnable)
        return _CudaSession(runnable)


class _CudaSession:
    def __init__(self, runnable: Runnable) -> None:
        self._path, self._shape = Path(runnable.path), tuple(runnable.input_shape)
        self._plan = open_sources(self._path)

    def run(self, x: np.ndarray) -> np.ndarray:
        """Outputs of one image."""
        (output,) = self._plan.run([checked_input(x, self._shape, self._path)])
        return output

    def time_ms(self, repeats: int, x: np.ndarray) -> list[float]:
        """Milliseconds of each run; copies of input and output are included."""
        return self._plan.time_ms(repeats, [checked_input(x, self._shape, self._path)])

    def close(self) -> None:
        """End the child."""
        self._plan.close()


def need_cuda_of(target: Mapping[str, Any]) -> CudaDevice:
    """This machine's graphics processor, where it is of a target's kind and kernels can be compiled for it.

    Raises DeviceNotReachable, with advice, without one and without nvcc; TimingNotPossible for another kind, whose
    times would be another device's.
    """
    find_nvcc()
    found = need_cuda()
    if target.get("arch", found.arch) != found.arch:
        raise TimingNotPossible(
            f"this machine's graphics processor is {found.name} ({found.arch}), the hardware profile's is one of "
            f"{target['arch']}: its times would be another device's; use a profile of this one, such as host-cuda"
        )
    return found


def open_sources(kernels: Path) -> PlanOnCuda:
    """The plan whose ``kernels.cu`` this is, on the graphics processor. Raises like :class:`PlanOnCuda`, BadInput."""
    plan = load_gpu_sources(kernels.parent)
    if plan.target["kind"] != "cuda":
        raise BadInput(f"{kernels}: written in {plan.target['kind']}, not in CUDA")
    return PlanOnCuda(plan, kernels.read_bytes())


def cuda_outputs(kernels: Path, inputs: Sequence[Sequence[np.ndarray]]) -> tuple[str, list[list[np.ndarray]]]:
    """The graphics processor's name, and outputs of the plan whose ``kernels.cu`` this is. Raises as opening does."""
    with open_sources(kernels) as plan:
        return plan.device.unit, [plan.run(arrays) for arrays in inputs]
