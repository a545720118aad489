"""The interface of a runner: one way to run an artifact on a device and to time it.

A runner describes its device, prepares artifacts (:meth:`Runner.open`) and is closed; what it prepared runs, is timed
and is closed. Runners of this machine run a runtime's own artifacts (:data:`RUNNERS`); those that reach other devices
(:func:`natdeploy.devices.connect.connect`) run the compiler's static executable there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from natdeploy.devices.description import DeviceDescription
from natdeploy.devices.meter import Meter, Metered
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import sha256_file
from natdeploy.ground.registry import Registry

#: Runtime name -> runner. The runtimes of a profile are names in here.
RUNNERS = Registry(
    "runner",
    {
        "onnxruntime": "natdeploy.devices.onnxruntime_local:OnnxRuntimeLocal",
        "tvm": "natdeploy.devices.native_local:NativeLocal",
    },
)


class Runnable(Protocol):
    """A built artifact, as far as a runner needs to know it."""

    @property
    def kind(self) -> str:
        """``"onnx"``, ``"native"`` or ``"executable"``."""
        ...

    @property
    def path(self) -> Path:
        """The file to load."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the artifact, in hex."""
        ...

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``[1, channels, height, width]``."""
        ...

    @property
    def output_shape(self) -> tuple[int, ...]:
        """``[1, classes]``."""
        ...


class Session(Protocol):
    """A loaded artifact."""

    def run(self, x: np.ndarray) -> np.ndarray:
        """float32 ``input_shape`` in, float32 ``output_shape`` out. Raises BadInput for any other input."""
        ...

    def time_ms(self, repeats: int, x: np.ndarray) -> list[float]:
        """Milliseconds of each of ``repeats`` runs in a row on one image, without warm-up."""
        ...

    def close(self) -> None:
        """Free what the artifact holds."""
        ...


class Runner(Protocol):
    """One way to run artifacts of one kind."""

    @property
    def name(self) -> str:
        """Name of the runtime in :data:`RUNNERS`, or of the way to the device."""
        ...

    @property
    def kind(self) -> str:
        """Which :attr:`Runnable.kind` it takes."""
        ...

    def open(self, runnable: Runnable, *, threads: int = 1) -> Session:
        """Load an artifact. Raises BadInput, in one line, for one that is missing, damaged or of another kind."""
        ...

    def toolchain(self) -> dict[str, str]:
        """Names and versions of what runs the artifact."""
        ...

    def describe(self) -> DeviceDescription:
        """The device as it is now. Raises DeviceNotReachable."""
        ...

    def meter(self) -> Meter:
        """Which power meter of the device can be read, or why none can."""
        ...

    def close(self) -> None:
        """Let go of the device; nothing stays on it."""
        ...


@dataclass(frozen=True)
class Series:
    """One uninterrupted series of runs of an opened artifact.

    Attributes:
        session: what to run; it has been run once.
        repeats: timed runs in a row.
        warmup: untimed runs before them.
    """

    session: Any
    repeats: int
    warmup: int


@dataclass(frozen=True)
class SeriesTimes:
    """What a series gave.

    Attributes:
        milliseconds: of each timed run, by the device's clock.
        peak_rss_kib: most memory that the process held at once; None where the device does not say.
    """

    milliseconds: tuple[float, ...]
    peak_rss_kib: int | None = None


class RemoteTimekeeper(Runner, Protocol):
    """A runner of another device, which times many artifacts in one go."""

    @property
    def gives_outputs(self) -> bool:
        """Whether sessions run: what only times has none that could be checked."""
        ...

    def refuse_to_time(self, machine: str) -> None:
        """Raise TimingNotPossible where times of a machine's executables would not be the device's, or not now."""
        ...

    def time_turn(self, turn: Sequence[Series], *, limit_s: float) -> list[SeriesTimes]:
        """Run series one after another, within ``limit_s`` seconds for all of them.

        Raises TimingNotPossible on an emulated processor, and on a device that is too hot or whose battery is low;
        BadInput for an artifact that fails; DeviceNotReachable.
        """
        ...

    def run_metered(self, session: Any) -> Metered:
        """Run an opened artifact, which has been run once, as long as the device's power meter needs.

        Raises like :meth:`time_turn`.
        """
        ...


def get_runner(runtime: str) -> Runner:
    """The runner of a runtime. Raises BadInput listing the known ones."""
    runner: Any = RUNNERS.get(runtime)
    return runner()


def check_artifact(runner: Runner, runnable: Runnable) -> None:
    """Raise BadInput when a runner cannot take an artifact, or its file is missing or not the one that was built.

    Loading a damaged library can end the process, so its digest is checked before anything else touches it.
    """
    path = Path(runnable.path)
    if runnable.kind != runner.kind:
        raise BadInput(f"{path}: runtime {runner.name!r} runs {runner.kind} artifacts, not {runnable.kind}")
    try:
        digest = sha256_file(path)
    except OSError as error:
        raise BadInput(f"{path}: no readable {runnable.kind} artifact: {error.strerror}; build it again") from None
    if digest != runnable.digest:
        raise BadInput(f"{path}: damaged or replaced: its SHA-256 is not the recorded one; build it again")


def checked_input(x: np.ndarray, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """``x`` as contiguous float32 of that shape. Raises BadInput naming the artifact."""
    if not isinstance(x, np.ndarray) or x.dtype != np.float32 or x.shape != tuple(shape):
        found = f"{x.dtype}{list(x.shape)}" if isinstance(x, np.ndarray) else type(x).__name__
        raise BadInput(f"{path}: input is {found}, expected float32{list(shape)}")
    return np.ascontiguousarray(x)
