"""The tables that the command line and the report share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from natdeploy.deploy.manifest import Manifest
from natdeploy.deploy.size import artifact_bytes
from natdeploy.report.facts import read_manifests
from natdeploy.report.named import further, title_of, written
from natdeploy.report.table import Table, number, table_of, text
from natdeploy.report.units import arch_text, interval, kib, millions, milliseconds, percent
from natdeploy.runs import ArchiveEntry, HistoryStep, RunFolder
from natdeploy.runs.certainty import top1_error

_NOT_MEASURED = "not measured"
_NOT_PREDICTED = "not predicted"


def result_table(bundles: Sequence[Manifest | Path]) -> Table:
    """What was built: a row per bundle (its manifest or folder).

    Raises VerificationFailed naming a manifest that cannot be read.
    """
    manifests = [item for item in bundles if isinstance(item, Manifest)]
    manifests += read_manifests([item for item in bundles if not isinstance(item, Manifest)])
    several = any(manifest.provenance.task for manifest in manifests)
    return table_of(
        "Models",
        manifests,
        [
            text("model", lambda manifest: manifest.model.arch_id),
            *([text("data set", _data_set)] if several else []),
            text("picked as", lambda manifest: ", ".join(manifest.provenance.picked_as)),
            number("test top-1", _test_top1),
            number("predicted ms (interval)", _predicted_ms),
            number("measured ms", _measured_ms),
            number("budget ms", _budget_ms),
            number("MACs", lambda manifest: millions(manifest.model.macs)),
            number("params", lambda manifest: millions(manifest.model.params)),
            number("size", lambda manifest: kib(artifact_bytes(manifest))),
        ],
    )


def _data_set(manifest: Manifest) -> str:
    return manifest.provenance.task or manifest.provenance.data


def _test_top1(manifest: Manifest) -> str:
    test = manifest.accuracy_of("test")
    return percent(test.top1, test.standard_error) if test else _NOT_MEASURED


def _predicted_ms(manifest: Manifest) -> str:
    predicted = manifest.latency.predicted
    if predicted is None:
        return _NOT_PREDICTED
    return interval(predicted.mean_ms, predicted.lower_ms, predicted.upper_ms)


def _budget_ms(manifest: Manifest) -> str:
    budget_ms = manifest.latency.budget_ms
    return "none" if budget_ms is None else milliseconds(budget_ms)


def _measured_ms(manifest: Manifest) -> str:
    measured = manifest.measured_for_budget()
    return milliseconds(measured.latency_ms) if measured else _NOT_MEASURED


def front_table(run: RunFolder) -> Table:
    """The run's front, the fastest first. Raises BadInput while there is no archive."""
    return table_of(
        "Front",
        run.front(),
        [
            text("model", lambda entry: entry.id),
            number(top1_name(run), lambda entry: percent(entry.top1, top1_error(entry))),
            number("predicted ms (interval)", _interval),
            *(number(title_of(name), partial(written, name)) for name in further(run.config())),
            number("MACs", lambda entry: millions(entry.macs)),
            number("params", lambda entry: millions(entry.params)),
            number("peak activations", lambda entry: kib(entry.peak_activation_bytes)),
            text("resolution and blocks (kernel x expand)", lambda entry: arch_text(entry.arch)),
        ],
    )


def top1_name(run: RunFolder) -> str:
    """What a run's accuracies are called: they are measured on validation images, or predicted."""
    return "validation top-1" if run.config().predictor is None else "predicted top-1"


def _interval(entry: ArchiveEntry) -> str:
    return interval(entry.latency_ms, entry.latency_lower_ms, entry.latency_upper_ms)


def progress_table(history: Sequence[HistoryStep]) -> Table:
    """The search, iteration by iteration."""
    return table_of(
        "Search",
        history,
        [
            number("iteration", lambda step: str(step.iteration)),
            number("hypervolume", lambda step: f"{step.hypervolume:.4f}"),
            number("evaluated", lambda step: str(step.evaluations)),
            number("within budget", lambda step: str(step.feasible)),
            number("front", lambda step: str(step.front_size)),
            number("best top-1", lambda step: percent(step.best_top1)),
            number("seconds", lambda step: f"{sum(step.seconds.values()):.1f}"),
        ],
    )
