"""Tables as plain data: the command line draws them with Rich, the report as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from natdeploy.deploy.manifest import Manifest
from natdeploy.deploy.pick import standard_error
from natdeploy.report.facts import read_manifests
from natdeploy.report.units import NONE, arch_text, interval, kib, millions, milliseconds, percent
from natdeploy.runs import HistoryStep, RunFolder


@dataclass(frozen=True)
class Column:
    """A column's heading; numbers are set right."""

    name: str
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A title, columns and rows of text."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.title!r}: a row has {len(row)} cells for {len(self.columns)} columns")

    def to_json(self) -> dict[str, Any]:
        """Title, column names and rows."""
        return {
            "title": self.title,
            "columns": [column.name for column in self.columns],
            "rows": [list(row) for row in self.rows],
        }


def result_table(bundles: Sequence[Manifest | Path]) -> Table:
    """What was built: a row per bundle (its manifest or folder).

    Raises VerificationFailed naming a manifest that cannot be read.
    """
    manifests = [item for item in bundles if isinstance(item, Manifest)]
    manifests += read_manifests([item for item in bundles if not isinstance(item, Manifest)])
    columns = (
        Column("model"),
        Column("picked as"),
        Column("test top-1", numeric=True),
        Column("predicted ms (interval)", numeric=True),
        Column("measured ms", numeric=True),
        Column("budget ms", numeric=True),
        Column("MACs", numeric=True),
        Column("params", numeric=True),
        Column("size", numeric=True),
    )
    return Table("Models", columns, tuple(_result_row(manifest) for manifest in manifests))


def _result_row(manifest: Manifest) -> tuple[str, ...]:
    test = manifest.accuracy_of("test")
    predicted = manifest.latency.predicted
    measured = manifest.measured_for_budget()
    return (
        manifest.model.arch_id,
        ", ".join(manifest.provenance.picked_as),
        percent(test.top1, test.standard_error) if test else "not measured",
        interval(predicted.mean_ms, predicted.lower_ms, predicted.upper_ms),
        milliseconds(measured.latency_ms) if measured else "not measured",
        milliseconds(manifest.latency.budget_ms),
        millions(manifest.model.macs),
        millions(manifest.model.params),
        kib(artifact_bytes(manifest)),
    )


def artifact_bytes(manifest: Manifest) -> int:
    """Size of the files needed to run the model with the budget's runtime."""
    sizes = {entry.path: entry.bytes for entry in manifest.files}
    paths = [artifact.path for artifact in manifest.artifacts if artifact.runtime == manifest.latency.runtime]
    total = 0
    for path in paths:
        folder, slash, _ = path.rpartition("/")
        # A native library may keep its weights beside it, in a folder of its own; model.onnx stands alone.
        total += sum(size for name, size in sizes.items() if (name.startswith(f"{folder}/") if slash else name == path))
    return total


def front_table(run: RunFolder) -> Table:
    """The run's front, the fastest first. Raises BadInput while there is no archive."""
    columns = (
        Column("model"),
        Column("validation top-1", numeric=True),
        Column("predicted ms (interval)", numeric=True),
        Column("MACs", numeric=True),
        Column("params", numeric=True),
        Column("peak activations", numeric=True),
        Column("resolution and blocks (kernel x expand)"),
    )
    rows = tuple(
        (
            entry.id,
            percent(entry.top1, standard_error(entry.top1, entry.val_images)),
            interval(entry.latency_ms, entry.latency_lower_ms, entry.latency_upper_ms),
            millions(entry.macs),
            millions(entry.params),
            kib(entry.peak_activation_bytes),
            arch_text(entry.arch),
        )
        for entry in run.front()
    )
    return Table("Front", columns, rows)


def progress_table(history: Sequence[HistoryStep]) -> Table:
    """The search, iteration by iteration."""
    columns = (
        Column("iteration", numeric=True),
        Column("hypervolume", numeric=True),
        Column("evaluated", numeric=True),
        Column("within budget", numeric=True),
        Column("front", numeric=True),
        Column("best validation top-1", numeric=True),
        Column("surrogate"),
        Column("Kendall", numeric=True),
        Column("seconds", numeric=True),
    )
    rows = tuple(
        (
            str(step.iteration),
            f"{step.hypervolume:.4f}",
            str(step.evaluations),
            str(step.feasible),
            str(step.front_size),
            percent(step.best_top1),
            str(step.surrogate.get("chosen", step.surrogate.get("name", NONE))),
            _number(step.surrogate.get("kendall", step.surrogate.get("cv_kendall"))),
            f"{sum(step.seconds.values()):.1f}",
        )
        for step in history
    )
    return Table("Search", columns, rows)


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
