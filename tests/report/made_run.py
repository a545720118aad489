"""A run folder and bundles with made-up figures, written through the rooms' own writers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from natdeploy.deploy.manifest import Manifest
from natdeploy.ground.files import atomic_folder, write_json
from natdeploy.latency import LatencyModel, fit_latency_model
from natdeploy.measure import Measurement
from natdeploy.runs import ArchiveEntry, HistoryStep, RunConfig, RunFolder
from natdeploy.runs.folder import ARCHIVE, FRONT, HISTORY, RANDOM, SUMMARY, write_items
from natdeploy.spaces import Arch, costs, get_space

SPACE = get_space("mbv3-micro")
BUDGET_MS = 0.5


def true_ms(arch: Arch) -> float:
    """A machine of the tests' own making."""
    return 0.05 + costs(SPACE.layers(arch)).macs / 12e6


def timings(count: int, role: str, seed: int) -> list[Measurement]:
    rng = np.random.default_rng(seed)
    return [timing(SPACE.sample(rng), role, float(rng.normal(1, 0.03))) for _ in range(count)]


def timing(arch: Arch, role: str, factor: float = 1.0, **changes: object) -> Measurement:
    ms = true_ms(arch) * factor
    fields = {
        "arch": arch,
        "space": SPACE.name,
        "runtime": "tvm",
        "device": "host",
        "device_fingerprint": "f" * 64,
        "artifact_digest": "a" * 64,
        "toolchain": {"tvm": "0.27"},
        "protocol": {"threads": 1},
        "samples_ms": (ms,) * 5,
        "latency_ms": ms,
        "raw_median_ms": ms,
        "mad_ms": 0.01 * ms,
        "reference_ms": 1.0,
        "drift": 0.0,
        "trusted": True,
        "taken_at": "2025-01-01T00:00:00+00:00",
        "role": role,
    }
    return Measurement(**{**fields, **changes})


@cache
def latency_model() -> LatencyModel:
    measurements = timings(60, "train", 0) + timings(30, "holdout", 1)
    repeats = [timing(one.arch, "repeat", 1.02) for one in measurements[:10]]
    return fit_latency_model(measurements + repeats, SPACE)


@dataclass(frozen=True)
class MadeRun:
    """What the tests compare the report with."""

    run: RunFolder
    archive: list[ArchiveEntry]
    front: list[ArchiveEntry]
    holdout: list[Measurement]
    bundles: list[Path]


def make_run(
    path: Path, *, count: int = 80, finished: bool = True, bundles: int = 1, data: str = "digits", **config: object
) -> MadeRun:
    model = latency_model()
    rng = np.random.default_rng(5)
    settings = RunConfig(latency_ms=BUDGET_MS, data=data, threads=2, created="2025-01-01T00:00:00+00:00", **config)
    run = RunFolder.create(path, settings, model.save)
    archive = _entries(model, [SPACE.smallest(), *(SPACE.sample(rng) for _ in range(count - 1))], rng)
    front = _front(archive)
    steps = [_step(index, archive, front) for index in range(6)]
    folder = run.result_path if finished else run.state_path
    with atomic_folder(folder) as target:
        write_items(target / ARCHIVE, archive)
        write_items(target / FRONT, front)
        write_items(target / HISTORY, steps)
        if finished:
            write_items(target / RANDOM, archive[:5])
            summary = {"hypervolume_random": 0.71, "random_drawn": 64, "random_feasible": 5, "num_classes": 10}
            write_json(target / SUMMARY, {**summary, "reference_point": {"top1": 0.5, "latency_ms": BUDGET_MS}})
    paths = []
    for index in range(bundles):
        manifest = manifest_of(front[-1 - index], "best" if index == 0 else "knee", missed=front[: index + 1])
        paths.append(run.path / "bundles" / manifest.name)
        write_json(paths[-1] / "manifest.json", manifest.to_json())
    return MadeRun(run, archive, front, timings(30, "holdout", 1), paths)


def _entries(model: LatencyModel, archs: list[Arch], rng: np.random.Generator) -> list[ArchiveEntry]:
    predicted = model.predict(archs)
    entries = []
    for index, arch in enumerate(archs):
        cost = costs(SPACE.layers(arch))
        top1 = round(float(0.985 - 0.12 * np.exp(-cost.macs / 2.5e6) - abs(rng.normal(0, 0.006))) * 270) / 270
        ms, lower, upper = (float(a[index]) for a in (predicted.mean_ms, predicted.lower_ms, predicted.upper_ms))
        fits = upper <= BUDGET_MS
        entry = ArchiveEntry(
            arch, top1, 0.1, 270, ms, lower, upper, cost.macs, cost.params, cost.peak_activation_bytes, 5, fits
        )
        entries.append(entry)
    return entries


def _front(archive: list[ArchiveEntry]) -> list[ArchiveEntry]:
    front: list[ArchiveEntry] = []
    for entry in sorted((e for e in archive if e.feasible), key=lambda e: (e.latency_ms, -e.top1)):
        if not front or entry.top1 > front[-1].top1:
            front.append(entry)
    return front


def _step(index: int, archive: list[ArchiveEntry], front: list[ArchiveEntry]) -> HistoryStep:
    quality = {"cv_kendall": 0.8 + 0.01 * index, "kendall": 0.5 + 0.05 * index}
    chosen = {"chosen": "mlp", "cv_kendall_of": {"gp": 0.7, "mlp": quality["cv_kendall"], "cart": None}}
    surrogate = {"name": "auto", "of": {"top1": {**quality, **chosen}}} if index else {}
    return HistoryStep(
        iteration=index,
        generation=index,
        hypervolume=0.80 - 0.10 * 0.6**index,
        archive_size=len(archive),
        feasible=sum(entry.feasible for entry in archive),
        front_size=len(front),
        evaluations=24 + 8 * index,
        failed=0,
        best_top1=max(entry.top1 for entry in archive),
        surrogate=surrogate,
        seconds={"adapt": 3.0, "evaluate": 1.5},
    )


def manifest_of(entry: ArchiveEntry, pick: str, missed: list[ArchiveEntry]) -> Manifest:
    measured = {
        "runtime": "tvm",
        "artifact_digest": "b" * 64,
        "latency_ms": entry.latency_ms * 1.03,
        "raw_median_ms": entry.latency_ms * 1.05,
        "mad_ms": 0.004,
        "samples": 200,
        "threads": 1,
        "trusted": True,
        "taken_at": "2025-01-01T01:00:00+00:00",
    }
    value = {
        "schema_version": 1,
        "name": f"{entry.id}-host",
        "model": {
            "space": SPACE.name,
            "arch_id": entry.id,
            "genome": "0",
            "num_classes": 10,
            "input_shape": [1, 3, entry.arch.r, entry.arch.r],
            "output_shape": [1, 10],
            "macs": entry.macs,
            "params": entry.params,
            "peak_activation_bytes": entry.peak_activation_bytes,
            "weights_sha256": "c" * 64,
        },
        "device": {"name": "host", "fingerprint": "f" * 64, "machine": "x86_64", "target": {"kind": "llvm"}},
        "artifacts": [
            {"kind": "onnx", "runtime": "onnxruntime", "path": "model.onnx", "digest": "d" * 64, "toolchain": {}},
            {"kind": "native", "runtime": "tvm", "path": "native/libmodel.so", "digest": "b" * 64, "toolchain": {}},
        ],
        "preprocessing": {},
        "provenance": {
            "natdeploy": "0",
            "data": "digits",
            "data_fingerprint": "e" * 64,
            "seed": 0,
            "supernet": "box",
            "supernet_sha256": "9" * 64,
            "weights_generation": 5,
            "picked_as": [pick],
        },
        "accuracy": [
            {"split": "val", "images": 270, "top1": entry.top1, "standard_error": 0.007, "weights": "adapted"},
            {"split": "test", "images": 359, "top1": 0.978, "standard_error": 0.0077, "weights": "adapted"},
        ],
        "latency": {
            "runtime": "tvm",
            "budget_ms": BUDGET_MS,
            "predicted": {
                "mean_ms": entry.latency_ms,
                "lower_ms": entry.latency_lower_ms,
                "upper_ms": entry.latency_upper_ms,
                "coverage": 0.9,
                "source": "measured",
            },
            "measured": [measured],
            "missed": [
                {"arch_id": e.id, "predicted_ms": e.latency_ms, "measured_ms": e.latency_ms * 1.4} for e in missed
            ],
        },
        "verification": {
            "tolerance": 1e-4,
            "reference": "reference.npz",
            "checks": [
                {"path": "model.onnx", "runtime": "onnxruntime", "images": 16, "max_abs_error": 1e-6, "allowed": 1e-3}
            ],
        },
        "files": [
            {"path": "native/libmodel.so", "sha256": "1" * 64, "bytes": 700_000, "measured": False},
            {"path": "native/weights.bin", "sha256": "2" * 64, "bytes": 300_000, "measured": False},
            {"path": "model.onnx", "sha256": "3" * 64, "bytes": 900_000, "measured": False},
        ],
        "measurement_fields": [],
    }
    return Manifest.model_validate(value)
