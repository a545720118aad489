"""An executable that runs on a device while a shell beside it reads the power meter."""

from __future__ import annotations

import math
import shlex
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from natdeploy.devices import charge
from natdeploy.devices.meter import (
    GAUGE_S,
    METER_SCRIPT,
    TOLD_NOTHING,
    Metered,
    MeteredRun,
    NotMetered,
    mean_watts,
    parse_readings,
)
from natdeploy.devices.model_run import check_finished, parse_result
from natdeploy.ground.errors import DeviceNotReachable

if TYPE_CHECKING:
    from natdeploy.devices.remote_run import RemoteRunner, RemoteSession

#: Seconds at rest before; runs that tell how many more there have to be; most of them that the executable takes.
_IDLE_S, _PILOT, _MOST_RUNS = 0.8, 5, 1_000_000
#: Seconds between two looks at a gauge.
_LOOK_S = 0.1
#: Share of the readings, from the start, in which the executable is loaded and the gauge follows.
_SETTLING = 0.3

#: The reader ends with the executable's ``.pid`` file, which goes, too, when the scratch folder is removed.
_SCRIPT = """i=0; while [ $i -lt {idle} ]; do {read}; sleep {look_s:g}; i=$((i + 1)); done
echo @busy; : > metered.pid
{{ {command} > metered.json & echo $! > metered.pid; wait $!; echo $? > metered.status; rm -f metered.pid; }} &
while [ -f metered.pid ]; do {read}; sleep {look_s:g}; done
wait; s=$(cat metered.status); echo @result; cat metered.json; rm -f metered.json metered.status; exit $s
"""


def run_metered(runner: RemoteRunner, session: RemoteSession) -> Metered:
    """Run an opened executable as long as the device's meter needs, and read that before and meanwhile.

    Raises like :meth:`natdeploy.devices.runner.RemoteTimekeeper.time_turn`.
    """
    runner.refuse_to_time(session.machine)
    meter = runner.meter()
    if meter.name is None:
        return NotMetered(meter.reason)
    pilot_ms = _run(runner, session, repeats=_PILOT).run_ms
    if meter.seconds >= charge.CHARGE_S:
        done = _run(runner, session, repeats=_repeats(charge.CHARGE_S, pilot_ms), read="charge", look_s=charge.LOOK_S)
        power = charge.charge_power(parse_readings(done.busy))
        return NotMetered(power) if isinstance(power, str) else MeteredRun(power[0], None, done.run_ms, power[1])
    repeats = _repeats(GAUGE_S / (1 - _SETTLING), pilot_ms)
    done = _run(runner, session, repeats=repeats, read="meter", look_s=_LOOK_S, idle=round(_IDLE_S / _LOOK_S))
    busy = parse_readings(done.busy)
    watts = mean_watts(busy[round(_SETTLING * len(busy)) :])
    if watts is None:
        return TOLD_NOTHING
    return MeteredRun(watts, mean_watts(parse_readings(done.idle)), done.run_ms)


@dataclass(frozen=True)
class _Done:
    """What the meter said at rest and while the executable ran, and the median of its runs in milliseconds."""

    idle: str
    busy: str
    run_ms: float


def _repeats(seconds: float, run_ms: float) -> int:
    return min(max(_PILOT, math.ceil(1e3 * seconds / max(run_ms, 1e-6))), _MOST_RUNS)


def _run(
    runner: RemoteRunner,
    session: RemoteSession,
    *,
    repeats: int,
    read: str = ":",
    look_s: float = _LOOK_S,
    idle: int = 0,
) -> _Done:
    """Run the executable; ``read`` is the shell's function that reads the meter."""
    files = ["--input", f"{session.name}.bin", "--output", "/dev/null"]
    numbers = ["--repeat", str(repeats), "--warmup", "2", *session.options]
    command = shlex.join([f"./{session.name}", *files, *numbers])
    script = METER_SCRIPT + charge.CHARGE_SCRIPT + _SCRIPT.format(idle=idle, read=read, look_s=look_s, command=command)
    done = runner.connection.in_scratch(script, runner.run_limit_s + charge.CHARGE_S)  # a hot device becomes slower
    check_finished(done, session.path, runner.where)
    answer, mark, result = done.stdout.partition(b"@result\n")
    if not mark:
        raise DeviceNotReachable(f"{runner.where}: its shell ended early, without the executable's result; try again")
    found = parse_result(result, None, runner.where, repeats=repeats, processors=session.processors)
    before, _, meanwhile = answer.decode(errors="replace").partition("@busy\n")
    return _Done(before, meanwhile, statistics.median(found.milliseconds))
