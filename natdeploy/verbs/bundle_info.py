"""What a person wants to know of a bundle, read from its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from natdeploy.deploy import Manifest


@dataclass(frozen=True)
class BundleInfo:
    """A bundle's figures.

    Attributes:
        path: its folder.
        arch_id: names the architecture.
        picked_as: the picks that chose it.
        data: name of the data set that its weights were adapted to.
        task: what a run of several data sets calls it; empty for the run's own.
        val_top1, test_top1: shares classified correctly; None where not measured.
        test_images: how many test images.
        device, runtime, budget_ms: what the budget is for.
        predicted_ms, predicted_lower_ms, predicted_upper_ms: what the latency model said, with the interval's ends.
        measured_ms: what the compiled model measured.
        verified: where the device's own artifact was run: on this machine, emulated (by what), on the device.

    Figures that nothing is known of, because the device was not here, are None.
        macs, params: static costs.
        bytes: size of the files that the budget's runtime needs.
    """

    path: Path
    arch_id: str
    picked_as: tuple[str, ...]
    data: str
    task: str
    val_top1: float | None
    test_top1: float | None
    test_images: int
    device: str
    runtime: str
    budget_ms: float | None
    predicted_ms: float | None
    predicted_lower_ms: float | None
    predicted_upper_ms: float | None
    measured_ms: float | None
    verified: str
    macs: int
    params: int
    bytes: int


def bundle_info(path: Path, manifest: Manifest) -> BundleInfo:
    """The figures of a bundle at ``path``."""
    from natdeploy.deploy.size import artifact_bytes

    latency = manifest.latency
    val, test = manifest.accuracy_of("val"), manifest.accuracy_of("test")
    measured, predicted = manifest.measured_for_budget(), latency.predicted
    return BundleInfo(
        path=path,
        arch_id=manifest.model.arch_id,
        picked_as=tuple(manifest.provenance.picked_as),
        data=manifest.provenance.data,
        task=manifest.provenance.task,
        val_top1=val.top1 if val else None,
        test_top1=test.top1 if test else None,
        test_images=test.images if test else 0,
        device=manifest.device.name,
        runtime=latency.runtime,
        budget_ms=latency.budget_ms,
        predicted_ms=predicted.mean_ms if predicted else None,
        predicted_lower_ms=predicted.lower_ms if predicted else None,
        predicted_upper_ms=predicted.upper_ms if predicted else None,
        measured_ms=measured.latency_ms if measured else None,
        verified=manifest.verification.verified,
        macs=manifest.model.macs,
        params=manifest.model.params,
        bytes=artifact_bytes(manifest),
    )
