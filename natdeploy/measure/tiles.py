"""Measuring tiles: the candidates of a workload call after call in one library, in a pinned child process.

Rounds of all candidates are visited in several sessions, spread over the group of workloads that is measured together.
A candidate's ratio is to the mean of the rule's two calls in the same round, so what slows the machine as a whole is
divided out; a session's ratio is the median of its rounds. The rule's tile stays unless another beats it in every
session by more than :attr:`TileProtocol.margin` and by twice what the rule's own two calls are apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.compiler import KernelCache, build_artifacts, tuning_of
from natdeploy.compiler.kernels.kind import Kernel, Workload
from natdeploy.compiler.kernels.objects import isa_for
from natdeploy.compiler.target import check_target
from natdeploy.compiler.trial import candidates, compile_candidates, trial_plan
from natdeploy.compiler.tuning import Trial, Tuned
from natdeploy.devices import HardwareProfile, llvm_target, timing_processors
from natdeploy.devices.crash import failed_run
from natdeploy.devices.native_model import NativeModel
from natdeploy.ground.errors import BadInput, ChildFailed, DeviceNotReachable
from natdeploy.ground.processes import ChildWorker
from natdeploy.measure import timer_child
from natdeploy.measure.builds import scratch_folder

Progress = Callable[[str, float], None]

#: Workloads whose candidates are compiled together, and measured together.
_COMPILED, _MEASURED = 24, 6
_START_S, _SESSION_S = 120.0, 120.0
_ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class TileProtocol:
    """How candidates are measured.

    Attributes:
        sessions: how often a workload's library is loaded anew; memory lies elsewhere then.
        visit_ms: timed rounds of a session take about this long.
        least_rounds, most_rounds: rounds of a session.
        warmup_ms: unrecorded rounds at its start, two at least.
        kept_share: share of a session's rounds that count, those in which the rule's calls were fastest.
        margin: least relative gain for which the rule's tile is given up.
    """

    sessions: int = 3
    visit_ms: float = 60.0
    least_rounds: int = 12
    most_rounds: int = 400
    warmup_ms: float = 5.0
    kept_share: float = 0.5
    margin: float = 0.03

    def __post_init__(self) -> None:
        if min(self.sessions, self.least_rounds) < 1 or self.most_rounds < self.least_rounds:
            raise BadInput("tile protocol: fields 'sessions', 'least_rounds' and 'most_rounds' must be 1 or more")
        if not (0 < self.kept_share <= 1 and self.margin >= 0 and self.visit_ms > 0 and self.warmup_ms >= 0):
            raise BadInput("tile protocol: a share must lie in (0, 1], a time and the margin must not be negative")


#: Milliseconds of every call of every round of a session: ``(library, threads, protocol) -> [rounds, calls]``.
Visit = Callable[[Path, int, TileProtocol], list[list[float]]]


def tune(
    workloads: Sequence[Workload],
    profile: HardwareProfile,
    *,
    protocol: TileProtocol | None = None,
    cache: KernelCache | None = None,
    progress: Progress | None = None,
    visit: Visit | None = None,
) -> Iterator[Tuned]:
    """Measure the tiles of workloads on this machine; each is stored as soon as it is measured, and then given.

    What the device's record holds already, and what has one candidate only, is passed over. ``visit`` replaces the
    clock, for tests.

    Raises DeviceNotReachable for a device that is not this machine, BadInput where processors are missing or the disk
    is full, VerificationFailed for a kernel that crashes.
    """
    refuse_elsewhere(profile)
    protocol, cache = protocol or TileProtocol(), cache or KernelCache()
    target, record = check_target(llvm_target(profile)), tuning_of(profile)
    isa = isa_for(target, cache)
    missing = [one for one in workloads if record.find(one, isa) is None and len(candidates(one, isa)) > 1]
    processors = timing_processors(profile, profile.timing.threads)
    done = 0

    def tell(stage: str) -> None:
        if progress:
            progress(stage, done / len(missing))

    for start in range(0, len(missing), _COMPILED):
        batch = missing[start : start + _COMPILED]
        compile_candidates(batch, isa, target, cache, lambda stage, part: tell(f"{stage} ({part:.0%})"))
        for first in range(0, len(batch), _MEASURED):
            group = [candidates(one, isa) for one in batch[first : first + _MEASURED]]
            tell("measuring tiles")
            for measured in _measured(group, target, cache, processors, protocol, visit):
                record.keep(measured)
                done += 1
                yield measured


def refuse_elsewhere(profile: HardwareProfile) -> None:
    """Raise DeviceNotReachable for a device that is not this machine."""
    if not profile.is_this_machine:
        raise DeviceNotReachable(
            f"device {profile.name!r}: tiles are measured only on the machine that natdeploy runs on; run natdeploy "
            "tune there with --device host, or compile with the rules' tiles, which needs no record"
        )


def judge(
    kernels: Sequence[Kernel],
    order: Sequence[int],
    sessions: Sequence[np.ndarray],
    protocol: TileProtocol,
    *,
    threads: int = 1,
) -> Tuned:
    """Which tile to take.

    Args:
        kernels: the candidates, the rule's first.
        order: which of them each call of a round computed; the first one twice. Negative ones do not count.
        sessions: milliseconds ``[rounds, calls]`` of each.
        protocol: what it takes to beat the rule.
        threads: that computed, for the record.
    """
    places = np.asarray(order)
    ratios, apart = [], []
    for rounds_ms in sessions:
        rules = rounds_ms[:, places == 0]
        kept = np.argsort(rules.sum(axis=1), kind="stable")[: max(1, round(protocol.kept_share * len(rules)))]
        ratio = np.median(rounds_ms[kept] / rules[kept].mean(axis=1, keepdims=True), axis=0)
        ratios.append([float(ratio[places == place].mean()) for place in range(len(kernels))])
        first, second = np.median(rules[kept], axis=0)
        apart.append(abs(float(second - first)) / float(first + second) * 2)
    middle, worst, noise = np.median(ratios, axis=0), np.max(ratios, axis=0), max(apart)
    fastest = int(np.argmin(middle))
    beats = worst[fastest] < 1 - max(protocol.margin, 2 * noise)
    together = np.concatenate(sessions)
    trials = tuple(
        Trial(
            dict(kernel.schedule),
            float(np.median(together[:, places == place])),
            float(middle[place]),
            float(worst[place]),
        )
        for place, kernel in enumerate(kernels)
    )
    chosen = trials[fastest if beats else 0].schedule
    return Tuned(dict(kernels[0].workload), kernels[0].isa, chosen, noise, threads, trials)


def _measured(
    group: Sequence[Sequence[Kernel]],
    target: Mapping[str, Any],
    cache: KernelCache,
    processors: Sequence[int],
    protocol: TileProtocol,
    visit: Visit | None,
) -> Iterator[Tuned]:
    """The tiles of some workloads, each library visited in turn, session after session."""
    sessions: list[list[np.ndarray]] = [[] for _ in group]
    with scratch_folder() as folder, ChildWorker("timing tiles", cpus=processors, environment=_ENVIRONMENT) as child:

        def visit_in_child(library: Path, threads: int, protocol: TileProtocol) -> list[list[float]]:
            try:
                return child.call(_visit, library, threads, protocol, timeout_s=_SESSION_S)
            except ChildFailed as error:
                raise failed_run(library, error) from None

        child.call(timer_child.raise_priority, timeout_s=_START_S)
        plans = [trial_plan(kernels, target, cache) for kernels in group]
        threads = [min(len(processors), plan.max_threads) for plan in plans]
        libraries = [
            build_artifacts(plan, folder / str(place), kinds=("native",))["native"].path
            for place, plan in enumerate(plans)
        ]
        for _ in range(protocol.sessions):
            for library, count, found in zip(libraries, threads, sessions):
                found.append(np.asarray((visit or visit_in_child)(library, count, protocol)))
    for kernels, plan, count, found in zip(group, plans, threads, sessions):
        yield judge(kernels, [int(call.layer) for call in plan.calls], found, protocol, threads=count)


def _visit(library: Path, threads: int, protocol: TileProtocol) -> list[list[float]]:
    """In the child: one session."""
    with NativeModel(library, threads=threads) as model:
        rng = np.random.default_rng(0)
        arrays = [rng.standard_normal(info.shape, np.float32) for info in model.inputs]
        model.time_calls_ms(arrays)
        warm_until = time.perf_counter() + protocol.warmup_ms / 1e3
        model.time_calls_ms(arrays)
        while time.perf_counter() < warm_until:
            model.time_calls_ms(arrays)
        rounds: list[list[float]] = []
        end = time.perf_counter() + protocol.visit_ms / 1e3
        while len(rounds) < protocol.least_rounds or (len(rounds) < protocol.most_rounds and time.perf_counter() < end):
            rounds.append(model.time_calls_ms(arrays))
        return rounds
