"""``bench``: a bundle's executable on its device: outputs checked there, latency measured there and written down."""

from __future__ import annotations

import contextlib
import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.deploy.artifacts import EXECUTABLE, SOURCE, RunnableFile, allowed_error, compare
from natdeploy.deploy.bundle import rewrite_bundle
from natdeploy.deploy.integrity import check_files
from natdeploy.deploy.manifest import ArtifactCheck, ArtifactInfo, Manifest, MeasuredLatency, PredictedLatency
from natdeploy.deploy.timings import measured_latency
from natdeploy.deploy.verify import SUBNET, read_reference, runnable_of
from natdeploy.devices import (
    DeviceDescription,
    HardwareProfile,
    Runner,
    Session,
    connect,
    device_fingerprint,
    runs_cuda_here,
)
from natdeploy.ground.errors import BadInput, VerificationFailed
from natdeploy.ground.files import sha256_file, write_bytes
from natdeploy.measure import Measurement
from natdeploy.measure.energy import Energy, energy_of
from natdeploy.spaces import Arch

#: Each series is a process of its own on the device: warm-up, then so many runs in a row.
SERIES = 8
REPEATS = 15
#: Median absolute deviation of the series' medians, as a share, up to which a timing is trusted.
_MAX_SPREAD = 0.05


@dataclass(frozen=True)
class BenchReport:
    """What a bundle measured on its device.

    Attributes:
        path: the bundle, which now holds the timing.
        manifest: what it says of itself now.
        device: the very unit, as it was before the timing.
        timing: the latency measured, as the manifest gives it.
        inside: whether that lies in the predicted interval; None where nothing was predicted.
        peak_rss_kib: most memory that the executable held on the device; None where that does not say.
        energy: of one run, measured, modelled, or why neither.
    """

    path: Path
    manifest: Manifest
    device: DeviceDescription
    timing: MeasuredLatency
    inside: bool | None
    peak_rss_kib: int | None
    energy: Energy


def bench(
    bundle: str | Path, profile: HardwareProfile, reach: Callable[[HardwareProfile], Runner] = connect
) -> BenchReport:
    """Run a bundle's executable on its device, hold its outputs against the recorded ones, time it, write that down.

    Kernels for a graphics processor are linked into an executable first, by Android's NDK for a phone; CUDA kernels
    run through TVM on the machine that the graphics processor is in.

    Without a reference network the model itself shows drift: a timing in which it got slower by more than the
    profile's ``max_drift``, or whose series scatter, is written down and marked as not trusted.

    Args:
        bundle: folder of a bundle that was built for the device.
        profile: the device.
        reach: makes a runner that holds the device; called once the bundle is known to be sound.

    Raises BadInput for a bundle without an executable or for another device, DeviceNotReachable (TimingNotPossible
    for an emulator), VerificationFailed where the bundle is damaged or the device computes something else.
    """
    folder = Path(bundle)
    manifest = check_files(folder)
    artifact = next((found for found in manifest.artifacts if found.kind in (EXECUTABLE, SOURCE)), None)
    if artifact is None:
        raise BadInput(f"{folder}: holds no executable; build it with: natdeploy build RUN --device {profile.name}")
    if manifest.device.name != profile.name:
        raise BadInput(f"{folder}: was built for {manifest.device.name}, not for {profile.name}")
    _, inputs, expected = read_reference(folder, manifest)
    with contextlib.ExitStack() as held:
        executable = _executable(folder, manifest, artifact, profile, held)
        runner: Any = _cuda() if executable.kind == SOURCE else reach(profile)
        held.callback(runner.close)
        said, toolchain = runner.describe(), dict(runner.toolchain())
        session = runner.open(executable, threads=profile.timing.threads)
        check = _check(session, artifact.path, artifact.runtime, inputs, expected, manifest.verification.tolerance)
        series = [session.time_ms(REPEATS, inputs[:1]) for _ in range(SERIES)]
        memory = getattr(session, "peak_rss_kib", None)  # of those that run as processes of their own
        meter = runner.meter()
        metered = None if meter.name is None else runner.run_metered(session)
    toolchain = {**artifact.toolchain, **toolchain}
    measurement = _measurement(folder, manifest, profile, said, toolchain, artifact.digest, series, memory)
    energy = energy_of(metered, meter, profile, measurement.latency_ms)
    measurement = replace(measurement, conditions={**measurement.conditions, "energy": energy.to_json()})
    checks = [check if one.path == artifact.path else one for one in manifest.verification.checks]
    verified = {"verified": f"on the device ({said.via} {said.unit})", "checks": checks}
    timing = measured_latency(measurement)
    latency = manifest.latency.model_copy(update={"measured": [timing]})
    manifest = manifest.model_copy(
        update={"latency": latency, "verification": manifest.verification.model_copy(update=verified)}
    )
    written = rewrite_bundle(folder, manifest, [measurement])
    inside = _inside(latency.predicted, timing.latency_ms)
    return BenchReport(folder, written, said, timing, inside, memory, energy)


def _executable(
    folder: Path, manifest: Manifest, artifact: ArtifactInfo, profile: HardwareProfile, held: contextlib.ExitStack
) -> RunnableFile:
    """The bundle's executable; for a graphics processor one that is linked now, and goes with ``held``, or the kernels
    themselves where they are CUDA and this machine's is the device."""
    runnable = runnable_of(folder, manifest, artifact)
    if artifact.kind == EXECUTABLE:
        return runnable
    from natdeploy.compiler import link_sources, need_cuda_of, need_gpu_linker

    target = manifest.device.target
    if runs_cuda_here(profile):
        need_cuda_of(target)
        return runnable
    need_gpu_linker(target)
    path = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="natdeploy-bench-")), "model_run")
    write_bytes(path, link_sources(runnable.path.parent, EXECUTABLE, str(target["mtriple"])))
    path.chmod(0o755)
    return replace(runnable, kind=EXECUTABLE, path=path, digest=sha256_file(path))


def _cuda() -> Runner:
    from natdeploy.compiler import CudaLocal

    return CudaLocal()


def _check(
    session: Session, path: str, runtime: str, inputs: np.ndarray, expected: np.ndarray, tolerance: float
) -> ArtifactCheck:
    outputs = np.concatenate([session.run(np.ascontiguousarray(image[None])) for image in inputs])
    error = compare(outputs, expected, name=f"{path} on the device", tolerance=tolerance)
    allowed = allowed_error(expected, tolerance)
    return ArtifactCheck(path=path, runtime=runtime, images=len(outputs), max_abs_error=error, allowed=allowed)


def _measurement(
    folder: Path,
    manifest: Manifest,
    profile: HardwareProfile,
    said: DeviceDescription,
    toolchain: dict[str, str],
    digest: str,
    series: list[list[float]],
    memory: int | None,
) -> Measurement:
    try:
        arch = Arch.from_json(json.loads((folder / SUBNET).read_bytes()))
    except (OSError, ValueError, BadInput) as error:
        raise VerificationFailed(f"{folder / SUBNET}: {error}") from None
    medians = [statistics.median(one) for one in series]
    latency_ms = statistics.median(medians)
    mad_ms = statistics.median(abs(one - latency_ms) for one in medians)
    drift = max(medians) / medians[0] - 1 if medians[0] > 0 else float("inf")
    steady = drift <= profile.timing.max_drift and mad_ms <= _MAX_SPREAD * latency_ms
    samples = tuple(time for one in series for time in one)
    return Measurement(
        arch=arch,
        space=arch.space,
        runtime=manifest.latency.runtime,
        device=profile.name,
        device_fingerprint=device_fingerprint(profile),
        artifact_digest=digest,
        toolchain=toolchain,
        protocol={
            "threads": profile.timing.threads,
            "series": SERIES,
            "repeats": REPEATS,
            "reference": "the model itself",
            "max_drift": profile.timing.max_drift,
        },
        samples_ms=samples,
        latency_ms=latency_ms,
        raw_median_ms=statistics.median(samples),
        mad_ms=mad_ms,
        reference_ms=medians[0],
        drift=drift,
        trusted=steady and said.clock == "device",
        taken_at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        role="build",
        num_classes=manifest.model.num_classes,
        conditions={
            "unit": said.unit,
            "via": said.via,
            "clock": said.clock,
            "celsius": said.celsius,
            "peak_rss_kib": memory,
        },
    )


def _inside(predicted: PredictedLatency | None, latency_ms: float) -> bool | None:
    return None if predicted is None else predicted.lower_ms <= latency_ms <= predicted.upper_ms
