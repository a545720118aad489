"""One turn over many executables on a device: a single command times them one after another.

Asked one by one, a cable's or a network's delays would lie between the visits, and a phone's processor would slow down
in each of them.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from natdeploy.devices.model_run import check_finished, parse_result, refuse_other_opencl
from natdeploy.devices.remote_run import RemoteRunner
from natdeploy.devices.runner import Series, SeriesTimes
from natdeploy.ground.errors import DeviceNotReachable

#: ``$1``: digits of the executable's name, ``$2``: timed runs, ``$3``: untimed ones before. What fails names itself.
_SCRIPT = """visit() {{
./model-$1 --input model-$1.bin --output /dev/null --repeat $2 --warmup $3 {options} & echo $! > turn.pid
wait $!; s=$?; rm -f turn.pid
[ $s = 0 ] || {{ echo "@$1"; exit $s; }}
}}
"""


def time_turn(runner: RemoteRunner, turn: Sequence[Series], *, limit_s: float) -> list[SeriesTimes]:
    """Run series one after another, each as a process of its own.

    Args:
        runner: holds the device; all sessions are its own, and of equal threads.
        turn: what to run, in order.
        limit_s: seconds for all of it.

    Raises like :meth:`natdeploy.devices.runner.RemoteTimekeeper.time_turn`.
    """
    if not turn:
        return []
    sessions = {series.session.name: series.session for series in turn}
    for machine in sorted({session.machine for session in sessions.values()}):
        runner.refuse_to_time(machine)
    options = shlex.join(turn[0].session.options)
    lines = [f"visit {one.session.name.removeprefix('model-')} {one.repeats} {one.warmup}" for one in turn]
    script = _SCRIPT.format(options=options) + "\n".join(lines)
    done = runner.connection.in_scratch(script, limit_s)
    answers = done.stdout.splitlines()
    if done.status:
        failed = answers[-1].decode(errors="replace").replace("@", "model-") if answers else ""
        check_finished(done, sessions.get(failed, turn[0].session).path, runner.where)
    if len(answers) != len(turn):
        raise DeviceNotReachable(
            f"{runner.where}: expected {len(turn)} answers of model_run, found {len(answers)} lines; "
            "let its shell's start-up files print nothing"
        )
    found = [
        parse_result(line, None, runner.where, repeats=one.repeats, processors=one.session.processors)
        for line, one in zip(answers, turn)
    ]
    for one in found:
        if runner.test_only_clock is None:
            refuse_other_opencl(one, runner.where)
    return [SeriesTimes(one.milliseconds, one.peak_rss_kib) for one in found]
