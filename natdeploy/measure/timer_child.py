"""What runs in the pinned child process: sessions are opened once and visited in turn."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.devices import Runnable, Runner, Session, get_runner
from natdeploy.devices.meter import (
    TOLD_NOTHING,
    Meter,
    Metered,
    MeteredRun,
    Reading,
    mean_watts,
    parse_readings,
    read_here,
)
from natdeploy.ground.errors import BadInput
from natdeploy.ground.processes import allowed_processors
from natdeploy.measure.protocol import TimingProtocol

_NICENESS = -10
_BETWEEN_READINGS_S = 0.1
#: The open sessions of this process with the image each runs on; empty in any process but a timer's child.
_OPEN: dict[int, tuple[Session, np.ndarray]] = {}


def open_session(number: int, runtime: str, runnable: Runnable, threads: int) -> None:
    """Load an artifact under a number and run it once. Raises BadInput for a damaged one or wrong output."""
    session = _runner(runtime, runnable).open(runnable, threads=threads)
    image = np.random.default_rng(0).standard_normal(tuple(runnable.input_shape), dtype=np.float32)
    output = session.run(image)
    if output.shape != tuple(runnable.output_shape) or not np.isfinite(output).all():
        session.close()
        raise BadInput(
            f"{runnable.path}: output is {list(output.shape)}{'' if np.isfinite(output).all() else ' with NaN'}, "
            f"expected finite numbers of shape {list(runnable.output_shape)}"
        )
    _OPEN[number] = (session, image)


def _runner(runtime: str, runnable: Runnable) -> Runner:
    if runnable.kind != "source":
        return get_runner(runtime)
    from natdeploy.compiler import CudaLocal

    return CudaLocal()


def raise_priority() -> None:
    """Go before other programs on the same processor, where the system allows it (as root, mostly)."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


def close_session(number: int) -> None:
    """Free what is loaded under a number."""
    session, _ = _OPEN.pop(number)
    session.close()


def turn(order: Sequence[int], protocol: TimingProtocol) -> list[tuple[int, list[float]]]:
    """Visit networks in this order (0 is the reference): number and samples of each visit.

    A whole turn is one call: asked visit by visit, a busy machine would leave gaps of many milliseconds in between.
    """
    return [
        (number, _visit(number, protocol.visit_ms if number else protocol.reference_visit_ms, protocol))
        for number in order
    ]


def try_alone(runtime: str, runnable: Runnable, protocol: TimingProtocol) -> None:
    """Load an artifact and visit it once, to see whether it is the one that fails."""
    open_session(0, runtime, runnable, protocol.threads)
    _visit(0, protocol.visit_ms, protocol)
    close_session(0)


def rest_metered(meter: Meter, root: Path) -> float | None:
    """Watts of this machine while this process does nothing."""
    return mean_watts(_read_while(lambda: time.sleep(_BETWEEN_READINGS_S), meter, root))


def run_metered(number: int, meter: Meter, root: Path, idle_watts: float | None) -> Metered:
    """Run a network as long as the meter needs, reading it in between."""
    session, image = _OPEN[number]
    run_ms = _warm_up(session, image, _BETWEEN_READINGS_S * 1e3)
    together = max(1, round(_BETWEEN_READINGS_S * 1e3 / run_ms))
    times: list[float] = []
    readings = _read_while(lambda: times.extend(session.time_ms(together, image)), meter, root)
    watts = mean_watts(readings)
    return TOLD_NOTHING if watts is None else MeteredRun(watts, idle_watts, float(np.median(times)))


def _read_while(work: Callable[[], object], meter: Meter, root: Path) -> list[Reading]:
    """Readings between pieces of work that take as long as the meter needs."""
    readings = parse_readings(read_here(root))
    while readings[-1].at_s - readings[0].at_s < meter.seconds:
        work()
        readings += parse_readings(read_here(root))
    return readings


def conditions() -> dict[str, Any]:
    """Under what conditions this process times: its processors, its priority, whether denormal numbers are kept.

    Some libraries switch denormals off for a whole process when they are loaded; a network would then run faster here
    than in the user's program. natdeploy never switches them off, and records what it found.
    """
    tiny = np.full(1, 1e-40, dtype=np.float32) * np.float32(0.5)
    return {
        "processors": allowed_processors(),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "denormals": "kept" if tiny[0] != 0 else "flushed",
    }


def _warm_up(session: Session, image: np.ndarray, warmup_ms: float) -> float:
    """Run until ``warmup_ms`` are over and two runs agree within 5 % (at most four times as long).

    Returns the milliseconds of the fastest run: a disturbed one must not make the visit that follows a short one.
    """
    started = time.perf_counter()
    runs = session.time_ms(2, image)
    while True:
        spent_ms = 1e3 * (time.perf_counter() - started)
        stable = abs(runs[-1] - runs[-2]) <= 0.05 * runs[-1]
        if (stable and spent_ms >= warmup_ms) or spent_ms >= 4 * warmup_ms:
            return max(min(runs), 1e-6)
        runs += session.time_ms(1, image)


def _visit(number: int, visit_ms: float, protocol: TimingProtocol) -> list[float]:
    """One visit: warm-up, then samples in milliseconds a run, each long enough for the clock."""
    session, image = _OPEN[number]
    run_ms = _warm_up(session, image, protocol.warmup_ms)
    together = max(1, int(np.ceil(protocol.min_sample_ms / run_ms)))
    wanted = round(visit_ms / (run_ms * together))
    samples = min(max(wanted, protocol.min_repeats), protocol.max_repeats)
    runs = session.time_ms(samples * together, image)
    return [float(sample) for sample in np.asarray(runs).reshape(samples, together).mean(axis=1)]
