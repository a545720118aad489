"""Time architectures and artifacts, and keep every timing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial

import numpy as np

from natdeploy.devices import HardwareProfile, Runnable, device_fingerprint
from natdeploy.devices.units import Access
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key
from natdeploy.measure.batch import Batch, TimedBatch, divided
from natdeploy.measure.batch_timing import time_batches
from natdeploy.measure.builds import (
    ArtifactBuilder,
    Build,
    reference_arch,
    runtime_toolchain,
    scratch_folder,
    with_artifact_toolchain,
)
from natdeploy.measure.correction import kept_visits, median_and_deviation, relative_values, visit_value
from natdeploy.measure.energy import energy_of
from natdeploy.measure.measurement import Measurement, timing_key
from natdeploy.measure.protocol import TimingProtocol, protocol_for
from natdeploy.measure.store import MeasurementStore
from natdeploy.spaces import Arch, Space, get_space

Progress = Callable[[str, float], None]
_ANY_UNIT = Access()


def time_archs(
    archs: Sequence[Arch],
    *,
    space: Space | str,
    profile: HardwareProfile,
    runtime: str,
    protocol: TimingProtocol | None = None,
    store: MeasurementStore | None = None,
    role: str | Mapping[Arch, str] = "train",
    num_classes: int | None = None,
    occurrence: int = 0,
    progress: Progress | None = None,
    build: Build | None = None,
    access: Access = _ANY_UNIT,
) -> list[Measurement]:
    """Time architectures of a space on a device; what the store holds already is not timed again.

    Artifacts of a batch are built first and timed then, so that building never disturbs timing. Each batch is stored
    as soon as it is timed, in one transaction.

    Args:
        archs: what to time; an architecture listed twice is timed once.
        space: their search space.
        profile: the device.
        runtime: one of the profile's runtimes.
        protocol: how to time; by default the profile's own way.
        store: where timings go; by default the user's store.
        role: ``train``, ``holdout``, ``repeat`` or ``build``, of all or of each. What is compared later should be timed
            in one call: a batch is as mixed as ``archs`` is, and each has its own share of the machine's moods.
        num_classes: outputs of the networks; the space's own number if None.
        occurrence: which repetition this is; another number times again what is stored.
        progress: called with a stage and the fraction done.
        build: how to build a network in a folder, in place of natdeploy's compiler.
        access: how to get at a device that is not this machine, and how many units of it to use.

    Returns one measurement for each of ``archs``, in their order. Raises BadInput for a runtime the device does not
    have or an architecture of another space, DeviceNotReachable for a device that is not there or was lost (what it had
    timed is stored), TimingNotPossible for an emulated one, and for a network
    that crashes VerificationFailed, or DeviceNotReachable where this machine lacks its instructions.
    """
    space = get_space(space) if isinstance(space, str) else space
    for arch in archs:
        space.check(arch)
    roles = {arch: role if isinstance(role, str) else role[arch] for arch in archs}
    stand = Stand.of(space, profile, runtime, protocol, store, access)

    def key(arch: Arch) -> str:
        return timing_key(
            arch=arch,
            space=space.name,
            runtime=runtime,
            device_fingerprint=stand.fingerprint,
            artifact_digest=None,
            toolchain=stand.toolchain,
            protocol=stand.protocol.to_json(),
            role=roles[arch],
            num_classes=num_classes,
            occurrence=occurrence,
        )

    keys = {arch: key(arch) for arch in archs}
    found = {arch: stored for arch, each in keys.items() if (stored := stand.store.find(each)) is not None}
    missing = [arch for arch in keys if arch not in found]
    if missing:
        builder = ArtifactBuilder(space, profile, runtime, num_classes=num_classes, build=build)
        report = _Reporter(progress, runtime, len(keys))
        with scratch_folder() as folder:

            def reference() -> Runnable:
                builder.prepare([*missing, reference_arch(space)], report.building(len(found)))
                return builder.reference(folder / "reference")

            batches = [
                Batch(tuple(batch), partial(builder.build_all, batch, folder / str(number)))
                for number, batch in enumerate(divided(missing, space, profile, access))
            ]
            for timed in stand.time(batches, reference, lambda what: report.tell(what, len(found))):
                taken = [
                    stand.measurement(timed, place, role=roles[arch], num_classes=num_classes, occurrence=occurrence)
                    for place, arch in enumerate(timed.batch.archs)
                    if arch is not None
                ]
                stand.store.add_all(taken)
                # Another process may have been quicker: then its timing is the one that stays.
                found.update((item.arch, stand.store.find(item.key) or item) for item in taken if item.arch is not None)
        report.tell("timed", len(found))
    return [found[arch] for arch in archs]


def time_runnable(
    runnable: Runnable,
    *,
    profile: HardwareProfile,
    runtime: str,
    protocol: TimingProtocol | None = None,
    store: MeasurementStore | None = None,
    role: str = "build",
    arch: Arch | None = None,
    space: Space | str = "mbv3-micro",
    num_classes: int | None = None,
    progress: Progress | None = None,
    build: Build | None = None,
    access: Access = _ANY_UNIT,
) -> Measurement:
    """Time one built artifact on a device, now, and store the timing.

    Args:
        runnable: the artifact.
        arch: the architecture it was built from, if any.
        space: whose reference network is timed in between; the architecture's own where there is one.

    All other arguments are those of :func:`time_archs`.

    Raises BadInput for a damaged artifact, VerificationFailed for one that crashes or hangs, DeviceNotReachable.
    """
    space = get_space(space) if isinstance(space, str) else space
    stand = Stand.of(space, profile, runtime, protocol, store, access)
    classes = num_classes if num_classes is not None else int(runnable.output_shape[-1])
    builder = ArtifactBuilder(space, profile, runtime, build=build)
    report = _Reporter(progress, runtime, 1)
    with scratch_folder() as folder:

        def reference() -> Runnable:
            builder.prepare([reference_arch(space)], report.building(0))
            return builder.reference(folder / "reference")

        batch = Batch((arch,), lambda: [runnable])
        (timed,) = stand.time([batch], reference, lambda what: report.tell(what, 0))
        taken = stand.measurement(timed, 0, role=role, num_classes=classes, occurrence=0)
    kept = stand.add_again(taken)
    report.tell("timed", 1)
    return kept


@dataclass(frozen=True)
class Stand:
    """Everything that the timings of one device, runtime and space have in common."""

    space: Space
    profile: HardwareProfile
    runtime: str
    protocol: TimingProtocol
    store: MeasurementStore
    fingerprint: str
    toolchain: Mapping[str, str]
    access: Access

    @staticmethod
    def of(
        space: Space,
        profile: HardwareProfile,
        runtime: str,
        protocol: TimingProtocol | None,
        store: MeasurementStore | None,
        access: Access,
    ) -> Stand:
        """Settings with their defaults. Raises BadInput for a runtime that the device does not have."""
        if runtime not in profile.runtimes:
            raise BadInput(f"device {profile.name!r}: no runtime {runtime!r}; it has {', '.join(profile.runtimes)}")
        toolchain = runtime_toolchain(runtime, profile)
        if access.test_only_clock is not None and not profile.is_this_machine:
            toolchain["clock"] = "test-only"
        return Stand(
            space,
            profile,
            runtime,
            protocol or protocol_for(profile),
            store if store is not None else MeasurementStore(),
            device_fingerprint(profile),
            toolchain,
            access,
        )

    def time(
        self, batches: Sequence[Batch], reference: Callable[[], Runnable], tell: Callable[[str], None]
    ) -> Iterator[TimedBatch]:
        """Build and time batches, see :func:`natdeploy.measure.batch_timing.time_batches`."""
        return time_batches(
            batches,
            profile=self.profile,
            runtime=self.runtime,
            protocol=self.protocol,
            reference=reference,
            access=self.access,
            tell=tell,
        )

    def baseline(self, references_ms: Sequence[float]) -> float:
        """The reference's baseline: what it took, undisturbed, when this device was first timed with this toolchain.

        All latencies of a device and toolchain are in terms of this one baseline, so that a predictor can be trained
        on timings of different days.
        """
        key = content_key(
            {
                "device_fingerprint": self.fingerprint,
                "runtime": self.runtime,
                "toolchain": dict(self.toolchain),
                "reference": reference_arch(self.space).to_json(),
                "threads": self.protocol.threads,
                "visit_quantile": self.protocol.visit_quantile,
            }
        )
        known = self.store.baseline(key)
        return self.store.keep_baseline(key, float(np.quantile(references_ms, 0.1))) if known is None else known

    def measurement(
        self, timed: TimedBatch, place: int, *, role: str, num_classes: int | None, occurrence: int
    ) -> Measurement:
        """Put the visits of one artifact of a batch together."""
        arch, runnable, visits = timed.batch.archs[place], timed.runnables[place], timed.timing.visits[place]
        conditions = dict(timed.conditions)
        if timed.timing.peak_rss_kib and (memory := timed.timing.peak_rss_kib[place]) is not None:
            conditions["peak_rss_kib"] = memory
        metered = timed.timing.metered[place] if timed.timing.metered else None
        baseline_ms = self.baseline(timed.timing.reference_ms)
        around = [visit.reference_ms for visit in visits]
        kept = kept_visits(around, self.protocol.kept_share, self.protocol.kept_slowdown)
        values = [visit_value(visit.samples_ms, self.protocol.visit_quantile) for visit in visits]
        latency_ms, mad_ms = median_and_deviation(relative_values(values, around)[kept] * baseline_ms)
        drift = float(np.median(np.asarray(around)[kept])) / baseline_ms - 1
        samples = tuple(sample for visit in visits for sample in visit.samples_ms)
        conditions["energy"] = energy_of(metered, timed.timing.meter, self.profile, latency_ms).to_json()
        return Measurement(
            arch=arch,
            space=self.space.name,
            runtime=self.runtime,
            device=self.profile.name,
            device_fingerprint=self.fingerprint,
            artifact_digest=runnable.digest,
            toolchain=with_artifact_toolchain(self.toolchain, runnable) if role == "build" else self.toolchain,
            protocol=self.protocol.to_json(),
            samples_ms=samples,
            latency_ms=latency_ms,
            raw_median_ms=float(np.median(samples)),
            mad_ms=mad_ms,
            reference_ms=baseline_ms,
            drift=drift,
            trusted=1 / (1 + self.protocol.max_drift) <= 1 + drift <= 1 + self.protocol.max_drift,
            taken_at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            role=role,
            num_classes=num_classes,
            occurrence=occurrence,
            visits=tuple(visits),
            conditions=conditions,
        )

    def add_again(self, taken: Measurement) -> Measurement:
        """Store a timing that may be a repetition of earlier ones."""
        while not self.store.add(taken):
            taken = replace(taken, occurrence=taken.occurrence + 1)
        return taken


class _Reporter:
    def __init__(self, progress: Progress | None, runtime: str, total: int) -> None:
        self._progress, self._runtime, self._total = progress, runtime, max(1, total)

    def tell(self, what: str, done: int) -> None:
        if self._progress is not None:
            self._progress(f"{what} networks with {self._runtime}", done / self._total)

    def building(self, done: int) -> Progress | None:
        """Kernels are compiled before the first network: no part of the networks' own fraction."""
        progress = self._progress
        if progress is None:
            return None
        return lambda stage, fraction: progress(f"{stage} ({fraction:.0%})", done / self._total)
