"""ONNX Runtime on a device at the other end of a cable or a network, by its own ``onnxruntime_perf_test``.

natdeploy does not ship that program: the user names one that was built for the device (ONNX Runtime, build.sh
``--android --android_abi arm64-v8a``, or ``--arm64``). It prints times and no outputs: nothing is verified by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.devices.commands import Finished
from natdeploy.devices.description import DeviceDescription
from natdeploy.devices.meter import Meter, NotMetered
from natdeploy.devices.model_run import check_finished, executable_machine, runs_natively
from natdeploy.devices.profile import HardwareProfile
from natdeploy.devices.remote_run import RemoteRunner
from natdeploy.devices.runner import Runnable, Series, SeriesTimes, check_artifact
from natdeploy.ground.errors import BadInput, DeviceNotReachable
from natdeploy.ground.files import sha256_file

NAME = "onnxruntime_perf_test"
_LIBRARIES = "libonnxruntime*.so*"
#: Statuses of a shell that could not start a program.
_NOT_STARTED = (126, 127)

#: ``$1``: digits of the model's name, ``$2``: runs. The file of results has a line for each run: name of the model,
#: seconds, bytes of memory at most, processor use in percent, number (onnxruntime, test/perftest/performance_runner.h).
_SCRIPT = """visit() {{
rm -f results.csv
LD_LIBRARY_PATH=. {pinned}./{program} -I -e cpu -o 99 -x {threads} -y 1 -m times -r $2 ./model-$1.onnx results.csv \
> perf_test.log 2>&1 & echo $! > turn.pid
wait $!; s=$?; rm -f turn.pid
[ $s = 0 ] || {{ tail -n 1 perf_test.log >&2; exit $s; }}
echo @visit; cat results.csv
}}
"""


def perf_test_file(profile: HardwareProfile) -> Path:
    """The program that a profile names. Raises DeviceNotReachable, with advice, where there is none that fits."""
    named = profile.timing.onnxruntime_perf_test
    advice = (
        f"build ONNX Runtime's {NAME} for it (build.sh --android --android_abi arm64-v8a, or --arm64) and name the "
        "file in field 'timing.onnxruntime_perf_test'"
    )
    if named is None:
        raise DeviceNotReachable(f"device {profile.name!r}: ONNX Runtime is not on it; {advice}")
    path = Path(named).expanduser()
    if not path.is_file():
        raise DeviceNotReachable(f"{path}: no such file; {advice}")
    try:
        machine = executable_machine(path)
    except BadInput as error:
        raise DeviceNotReachable(f"{str(error).partition(';')[0]}; {advice}") from None
    if not runs_natively(machine, profile.machine):
        raise DeviceNotReachable(f"{path}: built for {machine}, device {profile.name!r} is {profile.machine}; {advice}")
    return path


def perf_test_toolchain(profile: HardwareProfile) -> dict[str, str]:
    """What stands for the version of ONNX Runtime: the digest of the program, which does not tell its version."""
    return {NAME: sha256_file(perf_test_file(profile))[:16]}


class PerfTestRunner:
    """Times ``onnx`` artifacts on a device that is held.

    Args:
        unit: holds the device; closed with this runner.
        profile: names the program and the processors to hold it to.

    Raises DeviceNotReachable where the profile names no program that fits.
    """

    name = "onnxruntime"
    kind = "onnx"
    gives_outputs = False

    def __init__(self, unit: RemoteRunner, profile: HardwareProfile) -> None:
        self._unit, self._path, self.run_limit_s = unit, perf_test_file(profile), unit.run_limit_s
        self._machine, self._threads = executable_machine(self._path), profile.timing.threads
        self._processors, self._opened = profile.timed_cluster.processors, 0
        self._pushed = False

    def toolchain(self) -> dict[str, str]:
        """The program's digest, and what the way to the device says."""
        return {NAME: sha256_file(self._path)[:16], **self._unit.toolchain()}

    def describe(self) -> DeviceDescription:
        """The device."""
        return self._unit.describe()

    def meter(self) -> Meter:
        """None: the program's start and its preparation of a model would be metered with its runs."""
        return Meter(None, f"runs of {NAME} are not metered")

    def refuse_to_time(self, machine: str) -> None:
        """Raise TimingNotPossible where times would not be the device's, or not those of a device in good condition."""
        self._unit.refuse_to_time(machine)

    def run_metered(self, session: Any) -> NotMetered:
        """Why not, as :meth:`meter`."""
        return NotMetered(self.meter().reason)

    def open(self, runnable: Runnable, *, threads: int = 1) -> PerfTestSession:
        """Push a model, the program before the first one. Raises BadInput for a missing or damaged one."""
        check_artifact(self, runnable)
        if not self._pushed:
            for path in (self._path, *sorted(self._path.parent.glob(_LIBRARIES))):
                self._unit.connection.push(path, NAME if path == self._path else path.name)
            self._in_scratch(f"chmod 700 {NAME}")
            self._pushed = True
        number, self._opened = self._opened, self._opened + 1
        self._unit.connection.push(Path(runnable.path), f"model-{number}.onnx")
        return PerfTestSession(self, number, Path(runnable.path))

    def time_turn(self, turn: Sequence[Series], *, limit_s: float) -> list[SeriesTimes]:
        """Run series one after another, each as a process of its own; its first runs are the warm-up.

        Raises like :meth:`natdeploy.devices.runner.RemoteTimekeeper.time_turn`.
        """
        if not turn:
            return []
        self.refuse_to_time(self._machine)
        mask = sum(1 << number for number in self._processors)
        script = _SCRIPT.format(
            pinned=f"taskset {mask:x} " if mask else "",
            program=NAME,
            threads=self._threads,
        )
        script += "\n".join(f"visit {one.session.number} {one.warmup + one.repeats}" for one in turn)
        done = self._unit.connection.in_scratch(script, limit_s)
        self._check(done)
        answers = done.stdout.decode(errors="replace").split("@visit\n")[1:]
        if len(answers) != len(turn):
            raise self._odd(f"{len(answers)} results for {len(turn)} series")
        return [self._parsed(text, one) for text, one in zip(answers, turn)]

    def close(self) -> None:
        """Let go of the device; nothing stays on it."""
        self._unit.close()

    def remove(self, number: int) -> None:
        """Remove a model from the device, as far as that is still there."""
        try:
            self._in_scratch(f"rm -f model-{number}.onnx")
        except (BadInput, DeviceNotReachable):
            return  # closed or gone: its guard has removed the file

    def _parsed(self, text: str, series: Series) -> SeriesTimes:
        rows = [line.split(",") for line in text.splitlines() if line.count(",") >= 4]
        try:
            times = [1e3 * float(row[-4]) for row in rows]
            memory = max(int(row[-3]) for row in rows)
        except ValueError:
            raise self._odd(f"{text[:60]!r}") from None
        if len(times) != series.warmup + series.repeats or not all(math.isfinite(one) and one >= 0 for one in times):
            raise self._odd(f"{len(times)} times for {series.warmup + series.repeats} runs")
        return SeriesTimes(tuple(times[series.warmup :]), memory // 1024 or None)

    def _check(self, done: Finished) -> None:
        """Raise for a run that failed: by a signal or before it began as any executable, else with its own words."""
        if done.status < 0 or done.status in _NOT_STARTED or done.status > 128:
            check_finished(done, self._path, self._unit.where)
        if done.status:
            raise DeviceNotReachable(
                f"{self._unit.where}: {NAME} ended with status {done.status}: {done.complaint}; it has to know option "
                "-I and the operators of the model (build it again, of a later version)"
            )

    def _odd(self, what: str) -> DeviceNotReachable:
        return DeviceNotReachable(
            f"{self._unit.where}: expected {NAME}'s file of results (model, seconds, bytes, percent, number), found "
            f"{what}; build it again, of a later version"
        )

    def _in_scratch(self, script: str) -> None:
        self._check(self._unit.connection.in_scratch(script, self._unit.run_limit_s))


class PerfTestSession:
    """A model in the scratch folder of a device."""

    def __init__(self, runner: PerfTestRunner, number: int, path: Path) -> None:
        self._runner, self.number, self.path = runner, number, path

    def run(self, x: np.ndarray) -> np.ndarray:
        """Raises BadInput, always: the program gives no outputs back."""
        raise BadInput(f"{self.path}: {NAME} gives no outputs back; it only times")

    def time_ms(self, repeats: int, x: np.ndarray) -> list[float]:
        """Milliseconds of each run of one process, after three untimed ones, on inputs that the program makes up."""
        (found,) = self._runner.time_turn([Series(self, repeats, 3)], limit_s=self._runner.run_limit_s)
        return list(found.milliseconds)

    def close(self) -> None:
        """Remove the model."""
        self._runner.remove(self.number)
