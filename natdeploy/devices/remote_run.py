"""Runs the compiler's static executable on a device at the other end of a cable or a network.

One runner for every :class:`~natdeploy.devices.link.Link`: executable and image are pushed into a scratch folder that a
:class:`~natdeploy.devices.guard.Guard` removes, whatever happens; ``model_run`` answers with one line of JSON.
"""

from __future__ import annotations

import secrets
import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from natdeploy.devices.charge import CHARGE_SCRIPT, charge_meter
from natdeploy.devices.commands import Finished
from natdeploy.devices.connection import COMMAND_LIMIT_S, Connection
from natdeploy.devices.description import DeviceDescription, parse_description
from natdeploy.devices.expected import Expected
from natdeploy.devices.link import Link
from natdeploy.devices.meter import METER_SCRIPT, Meter, Metered, Reading, find_meter, parse_readings
from natdeploy.devices.model_run import (
    ModelRun,
    check_description,
    check_finished,
    executable_machine,
    options,
    parse_result,
    refuse_other_opencl,
)
from natdeploy.devices.probe import PROBE
from natdeploy.devices.runner import Runnable, Series, SeriesTimes, check_artifact, checked_input
from natdeploy.devices.tvm_rpc import RpcConnection
from natdeploy.ground.errors import BadInput, DeviceNotReachable


class RemoteRunner:
    """Runs and times ``executable`` artifacts over a link.

    Args:
        link: the way to the device, or a connection that is held already.
        expected: what must be there.
        processors: processors of the device to hold the executable to.
        warmup: untimed runs before each series, because every series is a process of its own.
        run_limit_s: seconds that one image, or one series of timings, may take.
        test_only_clock: milliseconds for a number of repeats, in place of the device's own clock. For tests of this
            code on emulators: with it nothing is measured, and :meth:`describe` says so.

    Raises DeviceNotReachable, within 15 s, with advice in one line.
    """

    kind = "executable"
    gives_outputs = True

    def __init__(
        self,
        link: Link | RpcConnection,
        *,
        expected: Expected | None = None,
        processors: Sequence[int] | None = None,
        warmup: int = 3,
        run_limit_s: float = 300.0,
        test_only_clock: Callable[[int], list[float]] | None = None,
    ) -> None:
        self._link, self._expected = link, expected or Expected()
        self._processors = None if processors is None else tuple(processors)
        self._warmup, self.run_limit_s = warmup, run_limit_s
        self.test_only_clock = test_only_clock
        self.name = link.via
        self.connection = link if isinstance(link, RpcConnection) else Connection(link)
        self.where = self.connection.where
        try:
            self._expected.check_device(self.describe(self.connection.connecting_s), self.where)
        except BaseException:
            self.close()
            raise

    def describe(self, limit_s: float = COMMAND_LIMIT_S) -> DeviceDescription:
        """The device as it is now. Raises DeviceNotReachable."""
        done = self.connection.shell(PROBE, limit_s)
        text = done.stdout.decode(errors="replace")
        said = parse_description(text, via=self._link.via, unit=self._link.unit)
        if not said.machine:
            raise DeviceNotReachable(f"{self.where}: does not answer like a Linux system: {text[:60]!r}")
        return replace(said, clock="test-only" if self.test_only_clock else "device")

    def toolchain(self) -> dict[str, str]:
        """Versions of the client, and whose clock times."""
        return self._link.toolchain() | ({"clock": "test-only"} if self.test_only_clock else {})

    def open(self, runnable: Runnable, *, threads: int = 1) -> RemoteSession:
        """Push an executable and check that it runs there and has its own shapes.

        Raises BadInput for one that is missing, damaged or of other shapes, DeviceNotReachable for another machine's.
        """
        check_artifact(self, runnable)
        machine = executable_machine(Path(runnable.path))
        words = options(repeats=1, warmup=0, threads=threads, processors=self._processors)
        return RemoteSession(self, runnable, machine, words[4:], self._processors, self._warmup)

    def time_turn(self, turn: Sequence[Series], *, limit_s: float) -> list[SeriesTimes]:
        """Run series one after another: see :func:`natdeploy.devices.turn.time_turn`."""
        from natdeploy.devices.turn import time_turn

        return time_turn(self, turn, limit_s=limit_s)

    def meter(self) -> Meter:
        """Which power meter of the device can be read, or why none can; a battery's charge counter at last."""
        found = find_meter(self._reading(f"{METER_SCRIPT}meter"))
        return found if found.name else charge_meter(self._reading(f"{CHARGE_SCRIPT}charge")) or found

    def run_metered(self, session: RemoteSession) -> Metered:
        """Run an executable while the meter is read: see :func:`natdeploy.devices.metered.run_metered`."""
        from natdeploy.devices.metered import run_metered

        return run_metered(self, session)

    def _reading(self, script: str) -> Reading:
        said = self.connection.shell(f"{script}; true", COMMAND_LIMIT_S).stdout.decode(errors="replace")
        return next(iter(parse_readings(said)), Reading(0.0, {}))

    def refuse_to_time(self, machine: str) -> None:
        """Raise TimingNotPossible where times would not be the device's, or not those of a device in good condition."""
        if self.test_only_clock is None:
            self._expected.check_condition(self.describe(), machine, self.where)

    def close(self) -> None:
        """Remove the scratch folder, end what still runs in it, and hang up."""
        self.connection.close()


class RemoteSession:
    """An executable in the scratch folder of a device.

    Attributes:
        path: the executable on this machine.
        name: of its file there; its input is beside it, with ``.bin`` at the end, once it has run.
        machine: what it was compiled for, as ``uname -m`` says it.
        options: threads and affinity, as ``model_run`` takes them.
        processors: the affinity, if any.
        peak_rss_kib: most memory that its processes have held so far; None as long as none has said so.
    """

    def __init__(
        self,
        runner: RemoteRunner,
        runnable: Runnable,
        machine: str,
        words: Sequence[str],
        processors: Sequence[int] | None,
        warmup: int,
    ) -> None:
        self._runner, self.machine, self._warmup = runner, machine, warmup
        self.options, self.processors = tuple(words), processors
        self.path = Path(runnable.path)
        self._in_shape, self._out_shape = tuple(runnable.input_shape), tuple(runnable.output_shape)
        self.name = f"model-{secrets.token_hex(4)}"
        self._pushed: bytes | None = None
        self.peak_rss_kib: int | None = None
        runner.connection.push(self.path, self.name)
        self._in_scratch(f"chmod 700 {self.name}")
        done = self._execute([])
        check_description(done.stdout, self._in_shape, self._out_shape, self.path, runner.where)

    def run(self, x: np.ndarray) -> np.ndarray:
        """Outputs of one image; NaN for whatever is not finite."""
        return self._model_run(x, repeats=1, warmup=0).output

    def time_ms(self, repeats: int, x: np.ndarray) -> list[float]:
        """Milliseconds of each run in one process, by the device's clock, after the runner's warm-up.

        Raises TimingNotPossible on an emulated processor, and on a device that is too hot or whose battery is low.
        """
        checked_input(x, self._in_shape, self.path)
        self._runner.refuse_to_time(self.machine)
        found = self._model_run(x, repeats=repeats, warmup=self._warmup)
        clock = self._runner.test_only_clock
        if clock is None:
            refuse_other_opencl(found, self._runner.where)
        return list(found.milliseconds) if clock is None else clock(repeats)

    def close(self) -> None:
        """Remove the executable from the device, as far as the runner is still there."""
        if self.name:
            name, self.name = self.name, ""
            try:
                self._in_scratch(f"rm -f {name} {name}.bin")
            except (BadInput, DeviceNotReachable):
                return  # the runner was closed, or the device has gone: its guard has removed the file

    def _model_run(self, x: np.ndarray, *, repeats: int, warmup: int) -> ModelRun:
        x = checked_input(x, self._in_shape, self.path)
        data = x.astype("<f4").tobytes()
        if data != self._pushed:
            with tempfile.NamedTemporaryFile(prefix="natdeploy-") as file:
                file.write(data)
                file.flush()
                self._runner.connection.push(Path(file.name), f"{self.name}.bin")
            self._pushed = data
        numbers = ["--repeat", str(repeats), "--warmup", str(warmup), *self.options]
        done = self._execute(["--input", f"{self.name}.bin", *numbers])
        where = self._runner.where
        found = parse_result(done.stdout, self._out_shape, where, repeats=repeats, processors=self.processors)
        self.peak_rss_kib = max(filter(None, (self.peak_rss_kib, found.peak_rss_kib)), default=None)
        return found

    def _execute(self, words: Sequence[str]) -> Finished:
        """Start the executable beside a file with its number, by which the guard finds it."""
        if not self.name:
            raise BadInput(f"{self.path}: the session is closed")
        command = shlex.join([f"./{self.name}", *words])
        pid = f"{self.name}.pid"
        done = self._in_scratch(f"{command} & echo $! > {pid}; wait $!; s=$?; rm -f {pid}; exit $s")
        check_finished(done, self.path, self._runner.where)
        return done

    def _in_scratch(self, script: str) -> Finished:
        return self._runner.connection.in_scratch(script, self._runner.run_limit_s)
