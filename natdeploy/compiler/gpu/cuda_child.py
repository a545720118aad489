"""What runs in the child process that holds a plan on an NVIDIA graphics processor; the parent outlives its driver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from natdeploy.compiler.gpu.walk import PlanOnGpu
from natdeploy.compiler.plan import Plan
from natdeploy.devices.cuda import load_cuda_runtime

#: The plan of this process; empty in any but such a child.
_HELD: dict[str, PlanOnGpu] = {}


def hold(plan: Plan, code: bytes) -> None:
    """Put a plan on the first graphics processor, its kernels compiled for it. Raises DeviceNotReachable."""
    load_cuda_runtime()
    import tvm

    from natdeploy.devices.tvm_device import TvmDevice

    _HELD["plan"] = PlanOnGpu(plan, TvmDevice(tvm.cuda(0)), code)


def run(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """See :meth:`PlanOnGpu.run`."""
    return _HELD["plan"].run(arrays)


def time_ms(repeats: int, arrays: Sequence[np.ndarray]) -> list[float]:
    """See :meth:`PlanOnGpu.time_ms`."""
    return _HELD["plan"].time_ms(repeats, arrays)


def time_calls_ms(arrays: Sequence[np.ndarray], repeats: int) -> list[float]:
    """Median milliseconds of each call after one run to warm up."""
    plan = _HELD["plan"]
    plan.run(arrays)
    return [float(ms) for ms in np.median([plan.time_calls_ms(arrays) for _ in range(repeats)], axis=0)]
