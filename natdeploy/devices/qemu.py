"""User-mode emulation on this machine: runs other processors' executables, so that they can be verified.

It refuses to time: an emulator's milliseconds say nothing about the processor that it stands for.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from natdeploy.devices.commands import CommandTimeout, Finished, run_command
from natdeploy.devices.description import DeviceDescription
from natdeploy.devices.meter import Meter
from natdeploy.devices.model_run import (
    check_description,
    check_finished,
    executable_machine,
    options,
    parse_result,
)
from natdeploy.devices.runner import Runnable, Session, check_artifact, checked_input
from natdeploy.ground.errors import BadInput, DeviceNotReachable, TimingNotPossible

#: What ``uname -m`` says -> QEMU's name of it.
_EMULATORS = {"aarch64": "aarch64", "armv7l": "arm", "x86_64": "x86_64", "riscv64": "riscv64"}
#: Seconds an executable may take to describe its model.
_DESCRIBE_LIMIT_S = 14.0


class QemuRunner:
    """Runs ``executable`` artifacts of one kind of processor under ``qemu-user``.

    Args:
        machine: as ``uname -m`` would say it on the device.
        run_limit_s: seconds that one image may take.

    Raises DeviceNotReachable where the emulator is not installed, BadInput for a machine that none is known for.
    """

    name = "qemu"
    kind = "executable"

    def __init__(self, machine: str, *, run_limit_s: float = 300.0) -> None:
        if machine not in _EMULATORS:
            raise BadInput(f"qemu: no emulator is known for {machine!r}; known: {', '.join(_EMULATORS)}")
        self._machine = machine
        self._run_limit_s = run_limit_s
        self.emulator = f"qemu-{_EMULATORS[machine]}"
        found = shutil.which(self.emulator) or shutil.which(f"{self.emulator}-static")
        if found is None:
            raise DeviceNotReachable(f"{self.emulator}: not installed (Debian and Ubuntu: apt install qemu-user)")
        self._path = found

    def describe(self) -> DeviceDescription:
        """The emulated machine, never one that may be timed."""
        return DeviceDescription("qemu", self.emulator, self._machine, emulated=f"it is {self.emulator}")

    def meter(self) -> Meter:
        """None, ever."""
        return Meter(None, "an emulator takes no power that would say anything about the device")

    def toolchain(self) -> dict[str, str]:
        """Version of the emulator."""
        said = self.execute(["--version"], 10.0).stdout.decode(errors="replace").split()
        return {self.emulator: said[2] if len(said) > 2 else "unknown"}

    def open(self, runnable: Runnable, *, threads: int = 1, processors: Sequence[int] | None = None) -> Session:
        """Check that an executable is of this machine and of its own shapes.

        Raises BadInput for one that is missing, damaged or of other shapes; DeviceNotReachable for another machine's.
        """
        check_artifact(self, runnable)
        path = Path(runnable.path)
        if (machine := executable_machine(path)) != self._machine:
            raise DeviceNotReachable(f"{path}: built for {machine}, {self.emulator} runs {self._machine}")
        if not os.access(path, os.X_OK):
            raise BadInput(f"{path}: not marked as executable; run: chmod +x {shlex.quote(str(path))}")
        done = self.execute([str(path)], _DESCRIBE_LIMIT_S)
        check_finished(done, path, self.emulator)
        check_description(done.stdout, runnable.input_shape, runnable.output_shape, path, self.emulator)
        return _QemuSession(self, runnable, threads, processors)

    def close(self) -> None:
        """Nothing is held."""

    def execute(self, words: Sequence[str], limit_s: float, stdin: bytes | None = None) -> Finished:
        """Run the emulator, without the ``QEMU_*`` variables that change what it prints."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("QEMU_")}
        try:
            return run_command([self._path, *words], timeout_s=limit_s, stdin=stdin, environment=environment)
        except CommandTimeout:
            raise DeviceNotReachable(
                f"{self.emulator}: no answer after {limit_s:g} s; the emulator was stopped"
            ) from None
        except OSError as error:
            raise DeviceNotReachable(f"{self._path}: cannot be started: {error.strerror}") from None

    def run_image(self, path: Path, words: Sequence[str], x: np.ndarray) -> Finished:
        """Run an executable on an image, which it reads from stdin: no file is made that could be left behind."""
        return self.execute([str(path), "--input", "/dev/stdin", *words], self._run_limit_s, x.astype("<f4").tobytes())


class _QemuSession:
    def __init__(self, runner: QemuRunner, runnable: Runnable, threads: int, processors: Sequence[int] | None) -> None:
        self._runner, self._processors = runner, processors
        self._words = options(repeats=1, warmup=0, threads=threads, processors=processors)
        self._path = Path(runnable.path)
        self._in_shape, self._out_shape = tuple(runnable.input_shape), tuple(runnable.output_shape)

    def run(self, x: np.ndarray) -> np.ndarray:
        """Outputs of one image; NaN for whatever is not finite."""
        x = checked_input(x, self._in_shape, self._path)
        done = self._runner.run_image(self._path, self._words, x)
        check_finished(done, self._path, self._runner.emulator)
        where = self._runner.emulator
        return parse_result(done.stdout, self._out_shape, where, repeats=1, processors=self._processors).output

    def time_ms(self, repeats: int, x: np.ndarray) -> list[float]:
        """Raises TimingNotPossible, always."""
        raise TimingNotPossible(
            f"{self._runner.emulator}: an emulator's times say nothing about the device; time it over adb or ssh"
        )

    def close(self) -> None:
        """Nothing is held."""
