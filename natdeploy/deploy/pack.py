"""From a chosen candidate to its bundle: the last measurements, the test accuracy, the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from natdeploy import __version__
from natdeploy.deploy.artifacts import TOLERANCE
from natdeploy.deploy.bundle import REFERENCE, weights_digest, write_bundle
from natdeploy.deploy.candidate import Candidate, Workshop
from natdeploy.deploy.chooser import Chosen
from natdeploy.deploy.manifest import (
    MEASUREMENT_FIELDS,
    ArtifactInfo,
    DeviceInfo,
    Latency,
    Manifest,
    MissedAttempt,
    ModelInfo,
    PredictedLatency,
    Provenance,
    Verification,
)
from natdeploy.deploy.timings import measured_latency
from natdeploy.devices import compile_target, device_fingerprint
from natdeploy.ground.files import sha256_file
from natdeploy.latency import LatencyModel
from natdeploy.runs import ArchiveEntry, ServedRun
from natdeploy.spaces import get_space


def pack(
    run: ServedRun, workshop: Workshop, model: LatencyModel | None, chosen: Chosen, out: Path
) -> tuple[Path, Manifest]:
    """Time the other artifacts, take the accuracies of the shipped weights, write the bundle below ``out``.

    This is the only place where test images are used. ``model`` is the latency model that the entry was chosen by,
    None where the bundle's device has none. What was not measured to be chosen is not measured here either.
    """
    config, entry = run.config(), chosen.met.entry
    candidate, measured = chosen.met.built
    measurements, layers = [], None
    if measured is not None:
        known = workshop.profile.runtimes
        others = [runtime for runtime in candidate.artifacts if runtime != config.runtime and runtime in known]
        measurements = [measured, *(workshop.time(candidate, runtime) for runtime in others)]
        library = candidate.artifacts["tvm"].kind == "native"
        layers = workshop.time_layers(candidate, model) if library else None
    elsewhere = measured is None
    # Under emulation the data set would take hours; the ONNX file holds the same weights and runs here.
    judge = config.runtime if workshop.profile.is_this_machine else "onnxruntime"
    preprocessing = workshop.dataset.preprocessing(entry.arch.r)
    manifest = Manifest(
        schema_version=1,
        name="-".join(filter(None, (workshop.profile.name, entry.arch.id, run.task))),
        model=_model(workshop, chosen),
        device=_device(workshop),
        artifacts=_artifacts(candidate),
        preprocessing=preprocessing.to_json(),
        provenance=Provenance(
            natdeploy=__version__,
            data=workshop.dataset.name,
            task=run.task,
            data_fingerprint=workshop.dataset.fingerprint,
            seed=config.seed,
            supernet=workshop.weights.name,
            supernet_sha256=sha256_file(workshop.weights.path),
            weights_generation=entry.generation,
            picked_as=list(chosen.picks),
        ),
        accuracy=[workshop.accuracy(candidate, judge, split) for split in ("val", "test") if workshop.weights.judged],
        latency=Latency(
            runtime="tvm" if elsewhere else config.runtime,
            budget_ms=None if model is None else config.latency_ms,
            predicted=None if model is None else _predicted(entry, model),
            measured=None if elsewhere else [measured_latency(measurement) for measurement in measurements],
            missed=[MissedAttempt.model_validate(vars(miss)) for miss in chosen.met.missed],
        ),
        verification=Verification(
            verified=candidate.verified, tolerance=TOLERANCE, reference=REFERENCE, checks=list(candidate.checks)
        ),
        files=[],
        measurement_fields=list(MEASUREMENT_FIELDS),
    )
    path = out / manifest.name
    written = write_bundle(
        path,
        manifest,
        artifacts=candidate.folder,
        arch=entry.arch,
        labels=workshop.dataset.classes,
        preprocessing=preprocessing,
        reference=candidate.reference,
        measurements=measurements,
        layers=layers,
    )
    return path, written


def _model(workshop: Workshop, chosen: Chosen) -> ModelInfo:
    entry, network = chosen.met.entry, chosen.met.built[0].network
    space = get_space(entry.arch.space)
    return ModelInfo(
        space=entry.arch.space,
        arch_id=entry.arch.id,
        genome=_genome_text(space, entry),
        num_classes=len(workshop.dataset.classes),
        input_shape=list(network.input_shape),
        output_shape=list(network.output_shape),
        macs=entry.macs,
        params=entry.params,
        peak_activation_bytes=entry.peak_activation_bytes,
        weights_sha256=weights_digest(network),
    )


def _device(workshop: Workshop) -> DeviceInfo:
    target = compile_target(workshop.profile)
    return DeviceInfo(
        name=workshop.profile.name,
        fingerprint=device_fingerprint(workshop.profile),
        machine=str(target["mtriple"]).split("-")[0],
        target=target,
    )


def _artifacts(candidate: Candidate) -> list[ArtifactInfo]:
    return [
        ArtifactInfo(
            kind=artifact.kind,  # type: ignore[arg-type]  # pydantic refuses any other
            runtime=runtime,
            path=artifact.path.relative_to(candidate.folder).as_posix(),
            digest=artifact.digest,
            toolchain=dict(artifact.toolchain),
        )
        for runtime, artifact in candidate.artifacts.items()
    ]


def _predicted(entry: ArchiveEntry, model: LatencyModel) -> PredictedLatency:
    return PredictedLatency(
        mean_ms=entry.latency_ms,
        lower_ms=entry.latency_lower_ms,
        upper_ms=entry.latency_upper_ms,
        coverage=model.coverage,
        source=model.source,
    )


def _genome_text(space: Any, entry: ArchiveEntry) -> str:
    genome = space.encode(entry.arch)
    return space.text(genome) if hasattr(space, "text") else " ".join(map(str, genome))
