"""What a person wants to know of a bundle, read from its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BundleInfo:
    """A bundle's figures.

    Attributes:
        path: its folder.
        arch_id: names the architecture.
        picked_as: the picks that chose it.
        val_top1, test_top1: shares classified correctly; None where not measured.
        test_images: how many test images.
        device, runtime, budget_ms: what the budget is for.
        predicted_ms, predicted_lower_ms, predicted_upper_ms: what the latency model said, with the interval's ends.
        measured_ms: what the compiled model measured.
        macs, params: static costs.
        bytes: size of the compiled model's files.
    """

    path: Path
    arch_id: str
    picked_as: tuple[str, ...]
    val_top1: float | None
    test_top1: float | None
    test_images: int
    device: str
    runtime: str
    budget_ms: float
    predicted_ms: float
    predicted_lower_ms: float
    predicted_upper_ms: float
    measured_ms: float | None
    macs: int
    params: int
    bytes: int


def bundle_info(path: Path) -> BundleInfo:
    """Read a bundle's manifest. Raises VerificationFailed naming the file when it is damaged."""
    from natdeploy.deploy import read_manifest

    manifest = read_manifest(path / "manifest.json")
    latency = manifest.latency
    val, test = manifest.accuracy_of("val"), manifest.accuracy_of("test")
    measured = manifest.measured_for_budget()
    return BundleInfo(
        path=path,
        arch_id=manifest.model.arch_id,
        picked_as=tuple(manifest.provenance.picked_as),
        val_top1=val.top1 if val else None,
        test_top1=test.top1 if test else None,
        test_images=test.images if test else 0,
        device=manifest.device.name,
        runtime=latency.runtime,
        budget_ms=latency.budget_ms,
        predicted_ms=latency.predicted.mean_ms,
        predicted_lower_ms=latency.predicted.lower_ms,
        predicted_upper_ms=latency.predicted.upper_ms,
        measured_ms=measured.latency_ms if measured else None,
        macs=manifest.model.macs,
        params=manifest.model.params,
        bytes=_artifact_bytes(path, manifest, latency.runtime),
    )


def _artifact_bytes(path: Path, manifest: object, runtime: str) -> int:
    """Bytes of the budget's artifact: its file, or the folder it has of its own."""
    artifact = next(item for item in manifest.artifacts if item.runtime == runtime)  # type: ignore[attr-defined]
    folder = artifact.path.rpartition("/")[0]
    return sum(
        entry.bytes
        for entry in manifest.files  # type: ignore[attr-defined]
        if entry.path == artifact.path or (folder and entry.path.startswith(f"{folder}/"))
    )
