"""A small bundle whose artifacts are matrices, so that bundles can be tested without a compiler."""

import platform
from pathlib import Path

import numpy as np

from natdeploy.data import Preprocessing
from natdeploy.deploy.artifacts import RunnableFile
from natdeploy.deploy.bundle import REFERENCE, Reference, write_bundle
from natdeploy.deploy.layers import LayerTime, LayerTimes
from natdeploy.deploy.manifest import MEASUREMENT_FIELDS, Manifest
from natdeploy.ground.files import sha256_file
from natdeploy.measure import Measurement
from natdeploy.runs import ArchiveEntry
from natdeploy.spaces import Arch, costs, get_space

SPACE = get_space("mbv3-micro")
CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")
PREPROCESSING = Preprocessing(24, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


def archs(count: int, seed: int = 0) -> list[Arch]:
    """Different architectures."""
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(SPACE.sample(rng) for _ in range(3 * count)))[:count]


def entry(arch: Arch, top1: float, latency_ms: float, *, images: int = 400, budget_ms: float = 10.0) -> ArchiveEntry:
    """An archive entry with an interval of ten percent."""
    found = costs(SPACE.layers(arch))
    upper_ms = latency_ms * 1.1
    return ArchiveEntry(
        arch=arch,
        top1=top1,
        loss=1 - top1,
        val_images=images,
        latency_ms=latency_ms,
        latency_lower_ms=latency_ms * 0.9,
        latency_upper_ms=upper_ms,
        macs=found.macs,
        params=found.params,
        peak_activation_bytes=found.peak_activation_bytes,
        generation=1,
        feasible=upper_ms <= budget_ms,
    )


def run_matrix(runtime: str, artifact: RunnableFile, inputs: np.ndarray) -> np.ndarray:
    """The stand-in for a runner: the artifact is a matrix from an image's channel means to logits."""
    matrix = np.frombuffer(artifact.path.read_bytes(), np.float32).reshape(3, artifact.output_shape[1])
    return inputs.mean(axis=(2, 3)) @ matrix


def make_bundle(path: Path, *, measured_ms: float = 1.5, artifact_error: float = 0.0) -> Manifest:
    """Write a bundle; ``artifact_error`` is added to a weight of the compiled artifact only."""
    arch = archs(1, seed=3)[0]
    arch = Arch(arch.space, arch.ks, arch.e, arch.d, PREPROCESSING.resolution, arch.w)
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((3, len(CLASSES)), np.float32)
    artifacts = path.parent / f"artifacts-of-{path.name}"
    (artifacts / "native").mkdir(parents=True, exist_ok=True)
    (artifacts / "model.onnx").write_bytes(matrix.tobytes())
    (artifacts / "native" / "libmodel.so").write_bytes((matrix + np.float32(artifact_error)).tobytes())
    (artifacts / "native" / "plan.json").write_text("{}\n")
    images = rng.integers(0, 256, (4, arch.r, arch.r, 3), np.uint8)
    inputs = PREPROCESSING(images)
    reference = Reference(images, inputs, inputs.mean(axis=(2, 3)) @ matrix)
    return write_bundle(
        path,
        manifest_of(arch, measured_ms, artifacts),
        artifacts=artifacts,
        arch=arch,
        labels=CLASSES,
        preprocessing=PREPROCESSING,
        reference=reference,
        measurements=[timing(arch, measured_ms)],
        layers=layer_times(arch, measured_ms, sha256_file(artifacts / "native" / "libmodel.so")),
    )


def layer_times(arch: Arch, measured_ms: float, digest: str) -> LayerTimes:
    """Every layer takes the same share of the latency."""
    layers = SPACE.layers(arch, len(CLASSES))
    share = measured_ms / len(layers)
    return LayerTimes("tvm", digest, 1, 9, 40, tuple(LayerTime(layer.name, share, 0.9 * share) for layer in layers))


def timing(arch: Arch, measured_ms: float) -> Measurement:
    """The timing that :func:`manifest_of` speaks of."""
    return Measurement(
        arch=arch,
        space=arch.space,
        runtime="tvm",
        device="host",
        device_fingerprint="f" * 16,
        artifact_digest="0" * 64,
        toolchain={"tvm": "1"},
        protocol={"threads": 1},
        samples_ms=(measured_ms,) * 5,
        latency_ms=measured_ms,
        raw_median_ms=measured_ms,
        mad_ms=0.01,
        reference_ms=1.0,
        drift=0.0,
        trusted=True,
        taken_at="2026-01-01T00:00:00Z",
        role="build",
        num_classes=len(CLASSES),
    )


def manifest_of(arch: Arch, measured_ms: float = 1.5, folder: Path | None = None) -> Manifest:
    """A manifest without files; digests of the artifacts are those in ``folder``."""
    layers = SPACE.layers(arch, len(CLASSES))
    found = costs(layers)
    zeros = "0" * 64
    artifacts = [
        {"kind": kind, "runtime": runtime, "path": path, "digest": zeros, "toolchain": {runtime: "1"}}
        for kind, runtime, path in (("onnx", "onnxruntime", "model.onnx"), ("native", "tvm", "native/libmodel.so"))
    ]
    if folder is not None:
        artifacts = [{**artifact, "digest": sha256_file(folder / str(artifact["path"]))} for artifact in artifacts]
    check = {"images": 4, "max_abs_error": 0.0, "allowed": 1e-4}
    return Manifest.model_validate(
        {
            "schema_version": 1,
            "name": f"host-{arch.id}",
            "model": {
                "space": arch.space,
                "arch_id": arch.id,
                "genome": SPACE.text(SPACE.encode(arch)),
                "num_classes": len(CLASSES),
                "input_shape": [1, 3, arch.r, arch.r],
                "output_shape": [1, len(CLASSES)],
                "macs": found.macs,
                "params": found.params,
                "peak_activation_bytes": found.peak_activation_bytes,
                "weights_sha256": zeros,
            },
            "device": {
                "name": "host",
                "fingerprint": "f" * 16,
                "machine": platform.machine(),
                "target": {"kind": "llvm", "mcpu": "some-cpu"},
            },
            "artifacts": artifacts,
            "preprocessing": PREPROCESSING.to_json(),
            "provenance": {
                "natdeploy": "0.1.0",
                "data": "animals",
                "data_fingerprint": zeros,
                "seed": 0,
                "supernet": "box",
                "supernet_sha256": zeros,
                "weights_generation": 3,
                "picked_as": ["best"],
            },
            "accuracy": [
                {"split": "test", "images": 100, "top1": 0.9, "standard_error": 0.03, "weights": "the shipped weights"}
            ],
            "latency": {
                "runtime": "tvm",
                "budget_ms": 2.0,
                "predicted": {
                    "mean_ms": 1.4,
                    "lower_ms": 1.2,
                    "upper_ms": 1.7,
                    "coverage": 0.9,
                    "source": "measured",
                },
                "measured": [
                    {
                        "runtime": "tvm",
                        "artifact_digest": zeros,
                        "latency_ms": measured_ms,
                        "raw_median_ms": measured_ms,
                        "mad_ms": 0.01,
                        "samples": 5,
                        "threads": 1,
                        "trusted": True,
                        "taken_at": "2026-01-01T00:00:00Z",
                    }
                ],
                "missed": [],
            },
            "verification": {
                "tolerance": 1e-4,
                "reference": REFERENCE,
                "checks": [{"path": a["path"], "runtime": a["runtime"], **check} for a in artifacts],
            },
            "files": [],
            "measurement_fields": list(MEASUREMENT_FIELDS),
        }
    )
