"""Running a bundle's artifacts and comparing their outputs with recorded ones, each in a child process.

A compiled library that crashes or hangs is then an error that names it, not the end of natdeploy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from natdeploy.devices import get_runner
from natdeploy.devices.crash import failed_run
from natdeploy.devices.model_run import executable_machine
from natdeploy.devices.qemu import QemuRunner
from natdeploy.ground.errors import BadInput, ChildFailed, VerificationFailed
from natdeploy.ground.processes import ChildWorker

#: Largest difference of a logit from the reference, relative to the largest reference logit (or 1 if that is smaller).
#: Sums in another order differ by some 1e-6 in float32; a wrong kernel differs by more than 1e-2.
TOLERANCE = 1e-4
#: Seconds an artifact may take to load and run one chunk of images.
TIME_LIMIT_S = 300.0
#: Kind of the artifact that needs no runtime, and so runs on devices and emulators.
EXECUTABLE = "executable"
#: Kind of the artifact that is a graphics processor's kernels, with weights, plan, for OpenCL a C program beside it.
SOURCE = "source"
#: Images that are sent to the child at once.
CHUNK = 256


@dataclass(frozen=True)
class RunnableFile:
    """A file that a runner can open (:class:`natdeploy.devices.Runnable`).

    Attributes:
        kind: ``onnx``, ``native``, ``executable`` or ``source``.
        path: the file.
        digest: content digest that measurements refer to.
        input_shape: ``[1, 3, height, width]``, float32.
        output_shape: ``[1, classes]``, float32.
    """

    kind: str
    path: Path
    digest: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


#: A way to run artifacts: ``(runtime, artifact, inputs) -> outputs``, as :func:`run_in_child`.
RunArtifact = Callable[[str, RunnableFile, np.ndarray], np.ndarray]


def run_in_child(
    runtime: str, artifact: RunnableFile, inputs: np.ndarray, *, time_limit_s: float = TIME_LIMIT_S
) -> np.ndarray:
    """Outputs ``[N, classes]`` of an artifact for float32 inputs ``[N, 3, H, W]``.

    Args:
        runtime: name of a runner.
        artifact: what to run.
        inputs: normalised images.
        time_limit_s: seconds for each chunk of images.

    Raises VerificationFailed naming the artifact when it crashes, hangs or refuses the input, DeviceNotReachable when
    it is for processors with more instructions than this machine's.
    """
    chunks = (inputs[start : start + CHUNK] for start in range(0, len(inputs), CHUNK))
    return np.concatenate(list(run_chunks_in_child(runtime, artifact, chunks, time_limit_s=time_limit_s)))


def run_chunks_in_child(
    runtime: str,
    artifact: RunnableFile,
    chunks: Iterable[np.ndarray],
    *,
    time_limit_s: float = TIME_LIMIT_S,
) -> Iterator[np.ndarray]:
    """As :func:`run_in_child`, chunk by chunk in one child, so that a data set need not be in memory twice."""
    if artifact.kind == EXECUTABLE:  # the emulator is a child process with a time limit already
        yield from run_emulated(artifact, chunks)
        return
    if artifact.kind == SOURCE:  # so is what runs OpenCL or CUDA
        for chunk in chunks:
            yield run_kernels(artifact, chunk)[1]
        return
    with ChildWorker(f"running with {runtime}", environment={"OMP_NUM_THREADS": "1"}) as worker:
        for chunk in chunks:
            try:
                yield worker.call(_run, runtime, artifact, chunk, timeout_s=time_limit_s)
            except ChildFailed as error:
                raise failed_run(artifact.path, error) from None
            except BadInput as error:  # the file and the inputs are ours, so it is not a user's mistake
                raise VerificationFailed(str(error)) from None


def _run(runtime: str, artifact: RunnableFile, inputs: np.ndarray) -> np.ndarray:
    """In the child: one image at a time, as an application would."""
    session = get_runner(runtime).open(artifact, threads=1)
    try:
        return np.concatenate([session.run(np.ascontiguousarray(image[None])) for image in inputs])
    finally:
        session.close()


def run_emulated(artifact: RunnableFile, chunks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """As :func:`run_chunks_in_child`, for the executable of any processor, under emulation.

    Raises DeviceNotReachable where the emulator is not installed.
    """
    runner = QemuRunner(executable_machine(artifact.path), run_limit_s=TIME_LIMIT_S)
    try:
        session = runner.open(artifact)
        for chunk in chunks:
            yield np.concatenate([session.run(np.ascontiguousarray(image[None])) for image in chunk])
    except BadInput as error:
        raise VerificationFailed(str(error)) from None
    finally:
        runner.close()


def run_kernels(artifact: RunnableFile, inputs: np.ndarray) -> tuple[str, np.ndarray]:
    """What ran kernels for a graphics processor here (``pocl`` or a device's name), and their outputs.

    Raises DeviceNotReachable where nothing here runs them, VerificationFailed where they crash or hang.
    """
    from natdeploy.compiler import source_outputs

    try:
        where, outputs = source_outputs(artifact.path, [[np.ascontiguousarray(image[None])] for image in inputs])
    except ChildFailed as error:
        raise failed_run(artifact.path, error) from None
    except BadInput as error:  # the files and the inputs are ours
        raise VerificationFailed(str(error)) from None
    return where, np.concatenate([output for (output,) in outputs])


def allowed_error(reference: np.ndarray, tolerance: float = TOLERANCE) -> float:
    """Largest absolute difference of a logit that passes."""
    return tolerance * max(1.0, float(np.abs(reference).max()))


def compare(outputs: np.ndarray, reference: np.ndarray, *, name: str, tolerance: float = TOLERANCE) -> float:
    """Largest absolute difference between outputs and reference, both ``[N, classes]``.

    Raises VerificationFailed naming the artifact when it is more than :func:`allowed_error`, or anything is not finite.
    """
    if outputs.shape != reference.shape:
        raise VerificationFailed(
            f"{name}: gives outputs of shape {list(outputs.shape)}, the reference has {list(reference.shape)}"
        )
    if not np.isfinite(outputs).all():
        raise VerificationFailed(f"{name}: gives outputs that are not finite")
    error = float(np.abs(outputs - reference).max())
    allowed = allowed_error(reference, tolerance)
    if error > allowed:
        image = int(np.abs(outputs - reference).max(axis=1).argmax())
        raise VerificationFailed(
            f"{name}: outputs differ from the torch module's by up to {error:.3g} (reference image {image}), "
            f"more than the allowed {allowed:.3g}"
        )
    return error
