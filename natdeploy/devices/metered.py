"""An executable that runs on a device while a shell beside it reads the power meter."""

from __future__ import annotations

import math
import shlex
import statistics
from typing import TYPE_CHECKING

from natdeploy.devices.meter import GAUGE_S, METER_SCRIPT, MeteredRun, mean_watts, parse_readings
from natdeploy.devices.model_run import check_finished, parse_result
from natdeploy.ground.errors import DeviceNotReachable

if TYPE_CHECKING:
    from natdeploy.devices.remote_run import RemoteRunner, RemoteSession

#: Seconds at rest before; runs that tell how many more there have to be; most of them that the executable takes.
_IDLE_S, _PILOT, _MOST_RUNS = 0.8, 5, 1_000_000
#: Share of the readings, from the start, in which the executable is loaded and the gauge follows.
_SETTLING = 0.3

#: The reader ends with the executable's ``.pid`` file, which goes, too, when the scratch folder is removed.
_SCRIPT = """i=0; while [ $i -lt {readings} ]; do meter; sleep 0.1; i=$((i + 1)); done
echo @busy; : > metered.pid
{{ {command} > metered.json & echo $! > metered.pid; wait $!; echo $? > metered.status; rm -f metered.pid; }} &
while [ -f metered.pid ]; do meter; sleep 0.1; done
wait; s=$(cat metered.status); echo @result; cat metered.json; rm -f metered.json metered.status; exit $s
"""


def run_metered(runner: RemoteRunner, session: RemoteSession) -> MeteredRun | None:
    """Run an opened executable for about two seconds, and read the meter before and meanwhile.

    Raises like :meth:`natdeploy.devices.runner.RemoteTimekeeper.time_turn`.
    """
    runner.refuse_to_time(session.machine)
    pilot_ms = _run(runner, session, repeats=_PILOT, readings=0)[1]
    wanted = math.ceil(1e3 * GAUGE_S / (1 - _SETTLING) / max(pilot_ms, 1e-6))
    answer, run_ms = _run(runner, session, repeats=min(max(_PILOT, wanted), _MOST_RUNS), readings=round(_IDLE_S / 0.1))
    before, _, meanwhile = answer.partition("@busy\n")
    busy = parse_readings(meanwhile)
    watts = mean_watts(busy[round(_SETTLING * len(busy)) :])
    return None if watts is None else MeteredRun(watts, mean_watts(parse_readings(before)), run_ms)


def _run(runner: RemoteRunner, session: RemoteSession, *, repeats: int, readings: int) -> tuple[str, float]:
    """What the meter said, and the median of the runs in milliseconds."""
    files = ["--input", f"{session.name}.bin", "--output", "/dev/null"]
    numbers = ["--repeat", str(repeats), "--warmup", "2", *session.options]
    script = _SCRIPT.format(readings=readings, command=shlex.join([f"./{session.name}", *files, *numbers]))
    done = runner.connection.in_scratch(METER_SCRIPT + script, runner.run_limit_s)
    check_finished(done, session.path, runner.where)
    answer, mark, result = done.stdout.partition(b"@result\n")
    if not mark:
        raise DeviceNotReachable(f"{runner.where}: its shell ended early, without the executable's result; try again")
    found = parse_result(result, None, runner.where, repeats=repeats, processors=session.processors)
    return answer.decode(errors="replace"), statistics.median(found.milliseconds)
