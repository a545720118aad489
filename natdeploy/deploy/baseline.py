"""What a bundle is held against: figures of the model that was accepted last, as a JSON file to be committed.

::

    baselines/digits-pixel4.json    {"schema_version": 1, "entry": ..., "models": {"best": {...}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from natdeploy.deploy.integrity import check_files
from natdeploy.deploy.interval import latency_interval
from natdeploy.deploy.manifest import Manifest
from natdeploy.deploy.size import artifact_bytes
from natdeploy.deploy.verify import PROFILE
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import read_json, write_json
from natdeploy.ground.validation import Real, Settings, Whole, validate

if TYPE_CHECKING:
    from natdeploy.measure import Measurement

SCHEMA_VERSION = 1

Share = Annotated[Real, Field(ge=0, le=1)]
Milliseconds = Annotated[Real, Field(gt=0)]


class AccuracyFigure(Settings):
    """A top-1 accuracy with its binomial standard error, and how many images it is of."""

    top1: Share
    standard_error: Share
    images: Annotated[Whole, Field(ge=1)]


class LatencyFigure(Settings):
    """A latency with its interval, milliseconds: of a measured median, or of a prediction."""

    latency_ms: Milliseconds
    lower_ms: Annotated[Real, Field(ge=0)]
    upper_ms: Milliseconds


class ModelFigures(Settings):
    """What is compared of one model.

    Attributes:
        arch_id: names the architecture.
        runtime: whose latency and size.
        bytes: size of the files that the runtime needs.
        accuracy: split to accuracy.
        predicted: by the latency model; None where the device has none.
        measured: device fingerprint to what was measured there: machines of two kinds are not compared.
    """

    arch_id: str
    runtime: str
    bytes: Annotated[Whole, Field(ge=0)]
    accuracy: dict[str, AccuracyFigure]
    predicted: LatencyFigure | None
    measured: dict[str, LatencyFigure]


class Baseline(Settings):
    """The accepted figures of one entry.

    Attributes:
        entry: its name.
        models: pick to figures.
    """

    schema_version: Literal[1] = 1
    entry: str
    models: Annotated[dict[str, ModelFigures], Field(min_length=1)]


def baseline_path(folder: str | Path, entry: str) -> Path:
    """Where an entry's baseline is kept."""
    return Path(folder) / f"{entry}.json"


def read_baseline(folder: str | Path, entry: str) -> Baseline | None:
    """An entry's baseline; None where there is none. Raises BadInput naming file and field."""
    path = baseline_path(folder, entry)
    if not path.exists():
        return None
    value = read_json(path, "baseline")
    version = value.get("schema_version") if isinstance(value, dict) else None
    if version != SCHEMA_VERSION:
        raise BadInput(
            f"{path}: field 'schema_version' is {version!r}, this natdeploy reads {SCHEMA_VERSION}; "
            "take the natdeploy that wrote it, or remove the file and write it anew: natdeploy ci gate --update"
        )
    baseline = validate(Baseline, value, path)
    if baseline.entry != entry:
        raise BadInput(f"{path}: field 'entry' is {baseline.entry!r}, expected the file's own name {entry!r}")
    return baseline


def write_baseline(folder: str | Path, baseline: Baseline) -> Path:
    """Write an entry's baseline, atomically; equal baselines give equal bytes."""
    path = baseline_path(folder, baseline.entry)
    write_json(path, baseline.model_dump(mode="json"))
    return path


def bundle_figures(
    bundle: Path, confidence: float, timing: Measurement | None = None
) -> tuple[ModelFigures, Sequence[str]]:
    """A bundle's figures, and the picks that they are of; the bundle's files are checked first.

    Args:
        bundle: its folder.
        confidence: of a measured latency's interval.
        timing: a later timing, in place of the one in the bundle.

    Raises BadInput where it is no bundle, VerificationFailed where it is damaged.
    """
    manifest = check_files(bundle)
    timing = timing if timing is not None else budget_timing(bundle, manifest)
    predicted = manifest.latency.predicted
    measured: dict[str, LatencyFigure] = {}
    if timing is not None:
        lower, upper = latency_interval(timing, confidence)
        figure = LatencyFigure(latency_ms=timing.latency_ms, lower_ms=lower, upper_ms=upper)
        measured[timing.device_fingerprint] = figure
    return ModelFigures(
        arch_id=manifest.model.arch_id,
        runtime=manifest.latency.runtime,
        bytes=artifact_bytes(manifest),
        accuracy={
            one.split: AccuracyFigure(top1=one.top1, standard_error=one.standard_error, images=one.images)
            for one in manifest.accuracy
        },
        predicted=None
        if predicted is None
        else LatencyFigure(latency_ms=predicted.mean_ms, lower_ms=predicted.lower_ms, upper_ms=predicted.upper_ms),
        measured=measured,
    ), tuple(manifest.provenance.picked_as)


def budget_timing(bundle: Path, manifest: Manifest) -> Measurement | None:
    """The bundle's timing in the runtime that its budget is for; None where it was not timed."""
    from natdeploy.measure import Measurement

    measurements = json.loads((bundle / PROFILE).read_bytes())["measurements"]
    found = (one for one in measurements if one["runtime"] == manifest.latency.runtime)
    first = next(found, None)
    return None if first is None else Measurement.from_json(first)


def renewed(before: Baseline | None, entry: str, models: Mapping[str, ModelFigures]) -> Baseline:
    """The baseline after an update: what other machines measured of a model stays as long as the model does."""
    kept = {}
    for pick, figures in models.items():
        old = before.models.get(pick) if before is not None else None
        same = old is not None and (old.arch_id, old.bytes, old.runtime) == (
            figures.arch_id,
            figures.bytes,
            figures.runtime,
        )
        others = old.measured if old is not None and same else {}
        kept[pick] = figures.model_copy(update={"measured": {**others, **figures.measured}})
    return Baseline(entry=entry, models=kept)
