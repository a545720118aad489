"""Whether a compiled model computes what its ONNX file says: both run on the same random inputs, in child processes."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.compiler.artifact import Artifact
from natdeploy.compiler.gpu.artifacts import gpu_outputs
from natdeploy.compiler.gpu.cuda_local import open_sources
from natdeploy.compiler.onnx_read import read_onnx
from natdeploy.compiler.plan import Plan
from natdeploy.devices.native_model import NativeModel
from natdeploy.ground.errors import BadInput, ChildFailed, DeviceNotReachable, VerificationFailed
from natdeploy.ground.processes import call_in_child

#: Random inputs, and the largest difference allowed, relative to an output's largest value.
INPUTS, TOLERANCE = 3, 1e-4
_LIMIT_S = 600.0
_ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Verification:
    """A comparison that held.

    Attributes:
        reference: what the outputs were compared with.
        where: what ran the compiled model.
        inputs: on how many random inputs.
        max_rel_error: largest difference, relative to the output's largest value.
        allowed: how large it might have been.
    """

    reference: str
    where: str
    inputs: int
    max_rel_error: float
    allowed: float


def verify_onnx(onnx_path: Path, plan: Plan, artifacts: dict[str, Artifact], *, seed: int = 0) -> Verification:
    """Compare a plan's artifacts with ONNX Runtime: the library where it can be loaded here, else the executable under
    an emulator; OpenCL kernels on whatever OpenCL this machine has.

    Raises VerificationFailed where they differ, DeviceNotReachable where neither can run here.
    """
    inputs = random_inputs(plan, INPUTS, seed)
    where, found = _compiled_outputs(plan, artifacts, inputs)
    expected = call_in_child(
        onnxruntime_outputs, Path(onnx_path), inputs, timeout_s=_LIMIT_S, name="ONNX Runtime", environment=_ENVIRONMENT
    )
    error = max(relative_error(one, other) for ours, theirs in zip(found, expected) for one, other in zip(ours, theirs))
    if not error <= TOLERANCE:
        raise VerificationFailed(
            f"{onnx_path}: the compiled model's outputs differ from ONNX Runtime's by {error:.3g} of the largest "
            f"value, allowed is {TOLERANCE:g}; nothing was written"
        )
    return Verification("onnxruntime", where, len(inputs), error, TOLERANCE)


def random_inputs(plan: Plan, count: int, seed: int) -> list[list[np.ndarray]]:
    """Normally distributed numbers for float32 inputs, zeros and ones for others (indices and masks allow them)."""
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...], dtype: str) -> np.ndarray:
        if dtype == "float32":
            return rng.standard_normal(shape, dtype=np.float32)
        return rng.integers(0, 2, shape).astype(dtype)

    return [[draw(port.view.shape, port.view.dtype) for port in plan.inputs] for _ in range(count)]


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest expected value; infinite where only one of them is finite."""
    one, other = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if one.shape != other.shape or not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return float("inf")
    finite = np.isfinite(other)
    difference = np.abs(one[finite] - other[finite]).max(initial=0.0)
    scale = np.abs(other[finite]).max(initial=0.0)
    return float(difference / scale) if scale else float(difference)


def onnxruntime_outputs(path: Path, inputs: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """Outputs of ONNX Runtime on one thread. Imports it: call in a child process. Raises BadInput."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(_loadable(path), options, providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]
        return [[np.asarray(value) for value in session.run(None, dict(zip(names, arrays)))] for arrays in inputs]
    except Exception as error:  # ONNX Runtime raises a type of its own for each kind of fault
        text = " ".join(str(error).split())[:160]
        raise BadInput(f"{path}: ONNX Runtime cannot run it, so nothing can be compared: {text}") from None


def _loadable(path: Path) -> str | bytes:
    """The path, or the model with its external data where ONNX Runtime, which takes UTF-8 only, does not take that."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return bytes(read_onnx(path).SerializeToString())
    return str(path)


def native_outputs(path: Path, inputs: Sequence[Sequence[np.ndarray]]) -> list[list[np.ndarray]]:
    """Outputs of a compiled library. Loads it: call in a child process."""
    with NativeModel(path) as model:
        return [model.run(arrays) for arrays in inputs]


def native_call_times_ms(path: Path, arrays: Sequence[np.ndarray], repeats: int) -> list[float]:
    """Median milliseconds of each call after one run to warm up. Loads a library: call in a child process."""
    with NativeModel(path) as model:
        model.run(arrays)
        return [float(ms) for ms in np.median([model.time_calls_ms(arrays) for _ in range(repeats)], axis=0)]


def call_times_ms(
    plan: Plan, artifacts: Mapping[str, Artifact], *, repeats: int = 9, seed: int = 0
) -> list[float] | None:
    """Median milliseconds of each call of a plan that was verified: of its library where it can be loaded here, of
    CUDA kernels on this machine's graphics processor; None for all else. Raises like :func:`verify_onnx`."""
    arrays = random_inputs(plan, 1, seed)[0]
    if plan.target["kind"] == "cuda":
        with open_sources(artifacts["source"].path) as opened:
            return opened.time_calls_ms(arrays, repeats)
    return (
        _in_child(plan, native_call_times_ms, artifacts["native"].path, arrays, repeats) if loads_here(plan) else None
    )


def loads_here(plan: Plan) -> bool:
    """Whether this machine is of the plan's kind; it may still lack instructions."""
    return not plan.on_gpu and str(plan.target["mtriple"]).split("-")[0] == platform.machine()


def _compiled_outputs(
    plan: Plan, artifacts: dict[str, Artifact], inputs: list[list[np.ndarray]]
) -> tuple[str, list[list[np.ndarray]]]:
    """What ran the compiled model, and its outputs."""
    if plan.on_gpu:
        return gpu_outputs(plan, inputs)
    if loads_here(plan):
        return "this machine", _in_child(plan, native_outputs, artifacts["native"].path, inputs)
    single = [[port.view.dtype for port in side] == ["float32"] for side in (plan.inputs, plan.outputs)]
    if not all(single):
        raise DeviceNotReachable("the emulator takes models with one float32 input and output only")
    from natdeploy.devices.model_run import executable_machine
    from natdeploy.devices.qemu import QemuRunner

    runner = QemuRunner(executable_machine(artifacts["executable"].path), run_limit_s=_LIMIT_S)
    session = runner.open(artifacts["executable"])
    return runner.emulator, [[session.run(arrays[0])] for arrays in inputs]


def _in_child(plan: Plan, function: Callable[..., Any], *arguments: Any) -> Any:
    """Run in a child, which a processor without the plan's instructions ends."""
    try:
        return call_in_child(function, *arguments, timeout_s=_LIMIT_S, name="the compiled model")
    except ChildFailed as error:
        if "by signal 4" in str(error):
            raise DeviceNotReachable(f"this machine lacks instructions of {plan.target['mcpu']}") from None
        raise
