"""Kernels compiled and called by TVM itself, in one child process; their inputs and outputs are plain maps."""

from dataclasses import dataclass

import numpy as np

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, default_schedule
from natdeploy.compiler.target import check_target
from tests.compiler.conftest import TARGET

#: As wide as the target's vectors, narrower (as NEON) and wider (as AVX-512, which LLVM splits in two here).
ISAS = (Isa(8, 16), Isa(4, 32), Isa(16, 32))


@dataclass(frozen=True, eq=False)
class Case:
    """A kernel, its arguments but the output, and what the output's real channels should be, ``[channels, pixels]``."""

    kernel: Kernel
    arguments: list[np.ndarray]
    expected: np.ndarray


def kernel_for(workload: dict, isa: Isa, **schedule: int) -> Kernel:
    return Kernel(workload, {**default_schedule(workload, isa), **schedule}, isa)


def blocked(values: np.ndarray, lanes: int) -> np.ndarray:
    """``[c, pixels]`` to ``[blocks, pixels, lanes]``; lanes behind the last channel are NaN: nobody may read them."""
    c, pixels = values.shape
    blocks = -(-c // lanes)
    whole = np.full((blocks * lanes, pixels), np.nan, np.float32)
    whole[:c] = values
    return np.ascontiguousarray(whole.reshape(blocks, lanes, pixels).transpose(0, 2, 1))


def plain(values: np.ndarray, c: int) -> np.ndarray:
    """The inverse of :func:`blocked`."""
    return values.transpose(0, 2, 1).reshape(-1, values.shape[1])[:c]


def padded(bias: np.ndarray, lanes: int) -> np.ndarray:
    return np.pad(bias, (0, -len(bias) % lanes)).reshape(-1, lanes)


def run_in_child(cases: list[tuple[Kernel, list[np.ndarray]]]) -> list[np.ndarray]:
    """The outputs. Each is computed in one go and, where threads may share it, part after part from the last."""
    import tvm

    from natdeploy.compiler.kernels.compile import build
    from natdeploy.compiler.kernels.emitter import prim_func
    from natdeploy.compiler.tvm_target import resolve

    target = resolve(check_target(TARGET))
    kernels = {kernel.symbol: kernel for kernel, _ in cases}
    library = build(tvm.IRModule({name: prim_func(kernel) for name, kernel in kernels.items()}), target)
    outputs = []
    for kernel, arguments in cases:
        tensors = [tvm.runtime.tensor(np.ascontiguousarray(value)) for value in arguments]
        out = tvm.runtime.tensor(np.full(kernel.shapes[-1], np.nan, np.float32))
        function = library[kernel.symbol]
        if kernel.parts == 1:
            function(*tensors, out)
        else:
            for part in reversed(range(kernel.parts)):
                function(*tensors, out, part, part + 1)
        outputs.append(out.numpy())
    return outputs
