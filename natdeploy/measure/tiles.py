"""Measuring the tiles of many workloads on a device, each stored as soon as it is measured.

On this machine, the candidates of a workload are called one after the other in one library, round after round, in a
pinned child process; in several sessions, spread over the group of workloads that is measured together. On another
device each is an executable of its own (:mod:`natdeploy.measure.remote_tiles`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.compiler import KernelCache, build_artifacts, tuning_of
from natdeploy.compiler.kernels.kind import Kernel, Workload
from natdeploy.compiler.kernels.objects import isa_for
from natdeploy.compiler.target import check_target
from natdeploy.compiler.trial import candidates, compile_candidates, trial_plan
from natdeploy.compiler.tuning import Tuned
from natdeploy.devices import HardwareProfile, llvm_target, timing_processors
from natdeploy.devices.crash import failed_run
from natdeploy.devices.native_model import NativeModel
from natdeploy.devices.units import Access
from natdeploy.ground.errors import ChildFailed
from natdeploy.ground.processes import ChildWorker
from natdeploy.measure import timer_child
from natdeploy.measure.builds import scratch_folder
from natdeploy.measure.remote_tiles import measured_elsewhere
from natdeploy.measure.tile_choice import TileProtocol, judge

Progress = Callable[[str, float], None]
_ANY_UNIT = Access()

#: Workloads whose candidates are compiled together, and measured together.
_COMPILED, _MEASURED = 24, 6
_START_S, _SESSION_S = 120.0, 120.0
_ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


#: Milliseconds of every call of every round of a session: ``(library, threads, protocol) -> [rounds, calls]``.
Visit = Callable[[Path, int, TileProtocol], list[list[float]]]


def tune(
    workloads: Sequence[Workload],
    profile: HardwareProfile,
    *,
    protocol: TileProtocol | None = None,
    cache: KernelCache | None = None,
    progress: Progress | None = None,
    access: Access = _ANY_UNIT,
    visit: Visit | None = None,
) -> Iterator[Tuned]:
    """Measure the tiles of workloads on a device; each is stored as soon as it is measured, and then given.

    What the device's record holds already, and what has one candidate only, is passed over. ``access`` says how to get
    at a device that is not this machine; ``visit`` replaces this machine's clock, for tests.

    Raises DeviceNotReachable for a device that is not there or was lost, TimingNotPossible for an emulated one,
    BadInput where processors are missing or the disk is full, VerificationFailed for a kernel that crashes.
    """
    protocol, cache = protocol or TileProtocol(), cache or KernelCache()
    target, record = check_target(llvm_target(profile)), tuning_of(profile)
    isa = isa_for(target, cache)
    missing = [one for one in workloads if record.find(one, isa) is None and len(candidates(one, isa)) > 1]
    done = 0

    def tell(stage: str) -> None:
        if progress:
            progress(stage, done / len(missing))

    if missing and not profile.is_this_machine:
        for measured in measured_elsewhere(missing, isa, profile, cache, protocol, access, tell):
            record.keep(measured)
            done += 1
            yield measured
        return
    processors = timing_processors(profile, profile.timing.threads)
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
