"""What ``model_run``, the compiler's static executable, takes and says (``compiler/runtime/model_run.c``)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.devices.commands import Finished
from natdeploy.ground.errors import BadInput, DeviceNotReachable, TimingNotPossible, VerificationFailed

#: ELF's e_machine -> what ``uname -m`` says of such a processor.
_MACHINES = {183: "aarch64", 40: "armv7l", 62: "x86_64", 243: "riscv64"}
#: What ``uname -m`` may say where executables of a machine run on the processor itself.
_NATIVE = {
    "aarch64": ("aarch64", "arm64"),
    "armv7l": ("armv7l", "armv8l", "aarch64", "arm64"),
    "x86_64": ("x86_64", "amd64"),
    "riscv64": ("riscv64",),
}
_ILLEGAL_INSTRUCTION = 4


@dataclass(frozen=True)
class ModelRun:
    """What one execution gave.

    Attributes:
        output: float32 of the model's output shape; NaN for whatever was not finite.
        milliseconds: wall-clock time of each repeat by the device's clock.
        affinity: processors it was allowed to run on.
        peak_rss_kib: most memory that the process held at once; None from an executable that does not say.
        device: what one for OpenCL ran on, ``gpu: NAME (PLATFORM)`` or ``other: ...``; None from others.
    """

    output: np.ndarray
    milliseconds: tuple[float, ...]
    affinity: tuple[int, ...]
    peak_rss_kib: int | None = None
    device: str | None = None


def executable_machine(path: Path) -> str:
    """The machine an executable is for, as ``uname -m`` names it. Raises BadInput for anything else."""
    with open(path, "rb") as file:
        head = file.read(20)
    machine = _MACHINES.get(int.from_bytes(head[18:20], "little"))
    if len(head) < 20 or head[:4] != b"\x7fELF" or machine is None:
        raise BadInput(f"{path}: not an executable for {', '.join(_MACHINES.values())}; build it again")
    return machine


def runs_natively(machine: str, device_machine: str) -> bool:
    """Whether a device whose ``uname -m`` is ``device_machine`` runs a machine's executables without emulation."""
    return device_machine in _NATIVE.get(machine, ())


def options(*, repeats: int, warmup: int, threads: int, processors: Sequence[int] | None) -> list[str]:
    """Arguments of ``model_run`` besides its files."""
    words = ["--repeat", str(repeats), "--warmup", str(warmup), "--threads", str(threads)]
    return words if processors is None else [*words, "--affinity", ",".join(map(str, processors))]


def check_finished(done: Finished, path: Path, where: str) -> None:
    """Raise for an execution that failed.

    Args:
        done: how it ended; a shell's status of 128 and a signal is understood.
        path: the executable on this machine, named in errors.
        where: the device, named in errors.

    Raises DeviceNotReachable where the device cannot run such executables or has no room, VerificationFailed for one
    that dies by a signal (as :func:`natdeploy.devices.crash.failed_run` does on this machine), BadInput otherwise.
    """
    status = done.status
    if status == 0:
        return
    signal = -status if status < 0 else status - 128 if 128 < status < 160 else None
    text = done.complaint
    if signal == _ILLEGAL_INSTRUCTION:
        raise DeviceNotReachable(
            f"{where}: its processor lacks instructions of {path}; check llvm_cpu and llvm_features of the profile"
        )
    if "could not be written" in text or "stdout cannot be written" in text or "No space left" in text:
        raise DeviceNotReachable(f"{where}: the device's disk is full ({text}); free some space on it")
    if signal is None and not text.startswith("model_run: "):  # a shell or a loader says why it was not started
        raise DeviceNotReachable(
            f"{where}: cannot run {path}, built for {executable_machine(path)} ({text}); "
            "use the profile of this device, or a scratch folder that allows executables"
        )
    if signal is not None:
        raise VerificationFailed(f"{path}: cannot be run; it died by signal {signal} on {where}; build it again")
    raise BadInput(f"{path}: running failed on {where}: {text}; build it again")


def parse_result(
    stdout: bytes,
    output_shape: tuple[int, ...] | None,
    where: str,
    *,
    repeats: int,
    processors: Sequence[int] | None = None,
) -> ModelRun:
    """Read ``model_run``'s JSON.

    Args:
        stdout: all that was printed.
        output_shape: of the model's one output; None where that was not asked for (``--output``).
        where: the device, named in errors.
        repeats: how many times are to be there.
        processors: which ones it was to be held to, if any.

    Raises DeviceNotReachable, in one line, for anything else: what answered is not ``model_run``.
    """
    said = _json(stdout, where)
    times, affinity = said.get("milliseconds"), said.get("affinity")
    if not isinstance(times, list) or len(times) != repeats or not all(_is_time(one) for one in times):
        raise _odd(where, f"no {repeats} times in field 'milliseconds'")
    if not isinstance(affinity, list) or not all(isinstance(one, int) for one in affinity):
        raise _odd(where, "no list of processors in field 'affinity'")
    if processors is not None and sorted(affinity) != sorted(processors):
        raise _odd(where, f"processors {affinity} although {sorted(processors)} were asked for")
    output = np.empty(0, np.float32) if output_shape is None else _output(said, output_shape, where)
    memory = said.get("peak_rss_kib")
    memory = memory if isinstance(memory, int) and not isinstance(memory, bool) and memory > 0 else None
    device = said.get("device")
    return ModelRun(output, tuple(map(float, times)), tuple(affinity), memory, None if device is None else str(device))


def refuse_other_opencl(run: ModelRun, where: str) -> None:
    """Raise TimingNotPossible where OpenCL found no graphics processor: the times are those of something else."""
    if run.device is not None and not run.device.startswith("gpu: "):
        raise TimingNotPossible(
            f"{where}: OpenCL finds no graphics processor there, only {run.device.removeprefix('other: ')}, whose "
            "times say nothing of one; look for the vendor's libOpenCL.so on the device"
        )


def _output(said: dict[str, Any], shape: tuple[int, ...], where: str) -> np.ndarray:
    try:  # numbers that are not finite are null; nine digits give every float32 back
        values = [math.nan if one is None else float(one) for one in said["outputs"][0]["values"]]
        return np.array(values, np.float32).reshape(shape)
    except (KeyError, IndexError, TypeError, ValueError):
        raise _odd(where, f"no float32{list(shape)} in field 'outputs'") from None


def check_description(
    stdout: bytes, input_shape: tuple[int, ...], output_shape: tuple[int, ...], path: Path, where: str
) -> None:
    """Compare what ``model_run`` says of its model, run without input, with what it should be.

    Raises BadInput for a model of other shapes, DeviceNotReachable where the answer is not ``model_run``'s.
    """
    said = _json(stdout, where)
    for field, shape in (("inputs", input_shape), ("outputs", output_shape)):
        try:
            found = [(one["dtype"], tuple(one["shape"])) for one in said[field]]
        except (KeyError, TypeError):
            raise _odd(where, f"no tensors in field {field!r}") from None
        if found != [("float32", tuple(shape))]:
            raise BadInput(f"{path}: {field} are {found}, expected one of float32{list(shape)}; build it again")


def _json(line: bytes, where: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise _odd(where, repr(line[:60].decode(errors="replace"))) from None
    if not isinstance(said, dict):
        raise _odd(where, f"{type(said).__name__} instead of an object")
    return said


def _odd(where: str, what: str) -> DeviceNotReachable:
    return DeviceNotReachable(
        f"{where}: expected model_run's JSON, found {what}; "
        "check that nothing else prints there (a shell's start-up files) and try again"
    )


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
