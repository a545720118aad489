"""Runs the compiler's static executable on a device at the other end of a cable or a network.

One runner for every :class:`~natdeploy.devices.link.Link`: executable and image are pushed into a scratch folder that a
:class:`~natdeploy.devices.guard.Guard` removes, whatever happens; ``model_run`` answers with one line of JSON.
"""

from __future__ import annotations

import secrets
import shlex
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from natdeploy.devices.commands import CommandTimeout, Finished, run_command
from natdeploy.devices.description import DeviceDescription, parse_description
from natdeploy.devices.guard import Guard, GuardRefused, guard_script
from natdeploy.devices.link import Command, Link, full_disk
from natdeploy.devices.model_run import (
    ModelRun,
    check_description,
    check_finished,
    executable_machine,
    options,
    parse_result,
    runs_natively,
)
from natdeploy.devices.runner import Runnable, Series, SeriesTimes, check_artifact, checked_input
from natdeploy.ground.errors import BadInput, DeviceNotReachable, TimingNotPossible

#: Seconds for connecting, and for what a healthy device does at once. With a ping at the end, 15 s are not exceeded.
CONNECT_LIMIT_S = 12.0
COMMAND_LIMIT_S = 10.0
_LAST_PING_S = 2.0
#: The slowest connection that is still waited for.
_SLOWEST_BYTES_PER_S = 100_000


@dataclass(frozen=True)
class Expected:
    """What the device must be and how it must be when it is timed; None and empty: anything.

    Attributes:
        abi: Android's name of the binary interface, for instance ``arm64-v8a``.
        machine: what ``uname -m`` must say, where there is no Android to ask.
        accepts: whether a model name is of the right kind.
        models: the names it accepts, for errors.
        min_battery_percent: charge below which it is not timed.
        max_celsius: temperature above which it is not timed.
    """

    abi: str | None = None
    machine: str | None = None
    accepts: Callable[[str], bool] | None = None
    models: tuple[str, ...] = ()
    min_battery_percent: float | None = None
    max_celsius: float | None = None


class RemoteRunner:
    """Runs and times ``executable`` artifacts over a link.

    Args:
        link: the way to the device.
        expected: what must be there.
        processors: processors of the device to hold the executable to.
        warmup: untimed runs before each series, because every series is a process of its own.
        run_limit_s: seconds that one image, or one series of timings, may take.
        test_only_clock: milliseconds for a number of repeats, in place of the device's own clock. For tests of this
            code on emulators: with it nothing is measured, and :meth:`describe` says so.

    Raises DeviceNotReachable, within 15 s, with advice in one line.
    """

    kind = "executable"

    def __init__(
        self,
        link: Link,
        *,
        expected: Expected | None = None,
        processors: Sequence[int] | None = None,
        warmup: int = 3,
        run_limit_s: float = 300.0,
        test_only_clock: Callable[[int], list[float]] | None = None,
    ) -> None:
        self._link, self._expected = link, expected or Expected()
        self._processors = None if processors is None else tuple(processors)
        self._warmup, self._run_limit_s = warmup, run_limit_s
        self.test_only_clock = test_only_clock
        self.name = link.via
        self.where = f"{link.via} device {link.unit!r}"
        self._guard: Guard | None = None
        deadline = time.monotonic() + CONNECT_LIMIT_S
        try:
            link.check()
            self._guard = self._connect(deadline - time.monotonic())
            self._refuse_other_device(self.describe(deadline - time.monotonic()))
        except BaseException:
            self.close()
            raise

    def describe(self, limit_s: float = COMMAND_LIMIT_S) -> DeviceDescription:
        """The device as it is now. Raises DeviceNotReachable."""
        done = self.shell(f"{self._link.probe}\ntrue", limit_s)
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

    def close(self) -> None:
        """Remove the scratch folder, end what still runs in it, and hang up."""
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        self._link.close()

    @property
    def scratch(self) -> str:
        """The scratch folder on the device."""
        return self._connected.scratch

    @property
    def run_limit_s(self) -> float:
        """Seconds that one execution may take."""
        return self._run_limit_s

    def shell(self, script: str, limit_s: float) -> Finished:
        """Execute a shell script on the device. Raises DeviceNotReachable where the connection fails."""
        return self._execute(self._link.shell(script), limit_s)

    def push(self, local: Path, name: str) -> None:
        """Copy a file into the scratch folder. Raises DeviceNotReachable, for a full disk too."""
        size = local.stat().st_size
        remote = f"{self.scratch}/{name}"
        done = self._execute(self._link.push(local, remote), COMMAND_LIMIT_S + size / _SLOWEST_BYTES_PER_S)
        if done.status == 0:
            done = self.shell(f"wc -c < {shlex.quote(remote)}", COMMAND_LIMIT_S)
            said = done.stdout.decode(errors="replace").strip()
            if said == str(size):
                return
            if done.status == 0 and not said.isdecimal():
                raise DeviceNotReachable(
                    f"{self.where}: says {said[:60]!r} where only an answer is expected; "
                    "let its shell's start-up files print nothing"
                )
        if full_disk(done) or done.status == 0:
            raise DeviceNotReachable(f"{self.where}: the device's disk is full ({self.scratch}); free some space on it")
        raise DeviceNotReachable(f"{self.where}: {name} cannot be written to {self.scratch}: {done.complaint}")

    def refuse_to_time(self, machine: str) -> None:
        """Raise TimingNotPossible where times would not be the device's, or not those of a device in good condition."""
        if self.test_only_clock is not None:
            return
        said = self.describe()
        evidence = said.emulated
        if evidence is None and not runs_natively(machine, said.machine):
            evidence = f"it says {said.machine}, and executables for {machine} run on it"
        if evidence is not None:
            raise TimingNotPossible(f"{self.where}: its processor is emulated ({evidence}); time it on the real device")
        least, most = self._expected.min_battery_percent, self._expected.max_celsius
        if least is not None and said.battery_percent is not None and said.battery_percent < least:
            raise TimingNotPossible(
                f"{self.where}: its battery is at {said.battery_percent} %, timing takes {least:g} %; charge it first"
            )
        if most is not None and said.celsius is not None and said.celsius > most:
            raise TimingNotPossible(
                f"{self.where}: it is at {said.celsius:g} degrees, timing takes {most:g} at most; let it cool down"
            )

    @property
    def _connected(self) -> Guard:
        if self._guard is None:
            raise BadInput(f"{self.where}: the runner is closed")
        return self._guard

    def _connect(self, limit_s: float) -> Guard:
        nonce = secrets.token_hex(6)
        command = self._link.guard(guard_script(self._link.folder, nonce))
        try:
            return Guard(command.argv, nonce, self.where, limit_s)
        except OSError as error:
            self._cannot_start(command, error)
        except GuardRefused as refused:
            if failure := self._link.failure(refused.status, refused.stderr):
                raise failure from None
            done = Finished(refused.status, b"", refused.stderr)
            reason = "its disk is full; free some space on it" if full_disk(done) else done.complaint
            raise DeviceNotReachable(
                f"{self.where}: no scratch folder can be made in {self._link.folder}: {reason}"
            ) from None

    def _execute(self, command: Command, limit_s: float) -> Finished:
        try:
            done = run_command(command.argv, timeout_s=limit_s, stdin=command.stdin, alive=self._connected.ping)
        except CommandTimeout:
            self._connected.ping(_LAST_PING_S)  # says it where the whole connection is frozen
            raise DeviceNotReachable(f"{self.where}: not done after {limit_s:g} s; the command was stopped") from None
        except OSError as error:
            self._cannot_start(command, error)
        if failure := self._link.failure(done.status, done.stderr):
            raise failure
        if done.status:
            self._connected.ping(_LAST_PING_S)  # a connection that was cut is not the executable's fault
        return done

    def _cannot_start(self, command: Command, error: OSError) -> NoReturn:
        raise DeviceNotReachable(f"{command.argv[0]}: cannot be started: {error.strerror}") from None

    def _refuse_other_device(self, said: DeviceDescription) -> None:
        expected = self._expected
        if expected.abi is not None and said.abis and expected.abi not in said.abis:
            raise DeviceNotReachable(
                f"{self.where}: its binary interfaces are {', '.join(said.abis)}, the profile's is {expected.abi}; "
                "choose the profile of this device"
            )
        if expected.machine is not None and not said.abis and not runs_natively(expected.machine, said.machine):
            raise DeviceNotReachable(
                f"{self.where}: it is a {said.machine} machine, the profile's is {expected.machine}; "
                "choose the profile of this device"
            )
        if expected.accepts is not None and said.model is not None and not expected.accepts(said.model):
            raise DeviceNotReachable(
                f"{self.where}: it is a {said.model!r}, the profile is for {', '.join(expected.models)}; "
                "choose the profile of this device"
            )


class RemoteSession:
    """An executable in the scratch folder of a device.

    Attributes:
        path: the executable on this machine.
        name: of its file there; its input is beside it, with ``.bin`` at the end, once it has run.
        machine: what it was compiled for, as ``uname -m`` says it.
        options: threads and affinity, as ``model_run`` takes them.
        processors: the affinity, if any.
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
        runner.push(self.path, self.name)
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
                self._runner.push(Path(file.name), f"{self.name}.bin")
            self._pushed = data
        numbers = ["--repeat", str(repeats), "--warmup", str(warmup), *self.options]
        done = self._execute(["--input", f"{self.name}.bin", *numbers])
        where = self._runner.where
        return parse_result(done.stdout, self._out_shape, where, repeats=repeats, processors=self.processors)

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
        scratch = shlex.quote(self._runner.scratch)
        return self._runner.shell(f"cd {scratch} || exit 74\n{script}", self._runner.run_limit_s)
