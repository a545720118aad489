"""Measuring tiles on a device that is not this machine: each candidate is an executable of one call.

They are visited in turn as networks are, the rule's tile at both ends of a turn, beside one executable that tells how
fast the device is. A visit is a process of its own, so that a third of the visits is what a session is on this machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from natdeploy.compiler import Artifact, KernelCache, build_artifacts
from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, Workload
from natdeploy.compiler.target import check_target
from natdeploy.compiler.trial import candidates, compile_candidates, single_plan
from natdeploy.compiler.tuning import Tuned
from natdeploy.devices import HardwareProfile, llvm_target
from natdeploy.devices.units import Access
from natdeploy.measure.batch import Batch, TimedBatch
from natdeploy.measure.batch_timing import time_batches
from natdeploy.measure.builds import scratch_folder
from natdeploy.measure.correction import visit_value
from natdeploy.measure.protocol import TimingProtocol, protocol_for
from natdeploy.measure.tile_choice import TileProtocol, judge


def measured_elsewhere(
    workloads: Sequence[Workload],
    isa: Isa,
    profile: HardwareProfile,
    cache: KernelCache,
    protocol: TileProtocol,
    access: Access,
    tell: Callable[[str], None],
) -> Iterator[Tuned]:
    """The tiles of workloads, in the order in which the device's units are done with them.

    Raises DeviceNotReachable, TimingNotPossible and BadInput like :func:`natdeploy.measure.time_archs`.
    """
    target = check_target(llvm_target(profile))
    visits = replace(protocol_for(profile), threads=1)  # a small kernel has no work for more
    groups = [candidates(workload, isa) for workload in workloads]
    with scratch_folder() as folder:

        def build(kernels: Sequence[Kernel], place: Path) -> list[Artifact]:
            return [
                build_artifacts(single_plan(kernel, target, cache), place / str(number), kinds=("executable",))[
                    "executable"
                ]
                for number, kernel in enumerate(kernels)
            ]

        def reference() -> Artifact:
            compile_candidates(workloads, isa, target, cache, lambda stage, part: tell(f"{stage} ({part:.0%})"))
            return build(groups[0][:1], folder / "reference")[0]

        batches = [
            Batch((None,) * (len(kernels) + 1), partial(build, [*kernels, kernels[0]], folder / str(number)))
            for number, kernels in enumerate(groups)
        ]
        for timed in time_batches(
            batches, profile=profile, runtime="tvm", protocol=visits, reference=reference, access=access, tell=tell
        ):
            number = batches.index(timed.batch)
            yield _judged(groups[number], timed, visits, protocol)
            shutil.rmtree(folder / str(number), ignore_errors=True)


def _judged(kernels: Sequence[Kernel], timed: TimedBatch, visits: TimingProtocol, protocol: TileProtocol) -> Tuned:
    """One round is one visit to each tile, the pace of the device around it divided out."""
    rounds = min(len(found) for found in timed.timing.visits)
    paces_ms = [visit.reference_ms for found in timed.timing.visits for visit in found]
    table_ms = np.array(
        [
            [visit_value(visit.samples_ms, visits.visit_quantile) / visit.reference_ms for visit in found[:rounds]]
            for found in timed.timing.visits
        ]
    ).T * np.median(paces_ms)
    sessions = np.array_split(table_ms, min(protocol.sessions, rounds))
    return judge(kernels, [*range(len(kernels)), 0], sessions, protocol, threads=visits.threads)
