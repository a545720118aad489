"""The front: accuracy against latency of every architecture evaluated, with what was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from natdeploy.report.facts import Facts
from natdeploy.report.figure import Figure, axis, upright_line
from natdeploy.report.units import milliseconds, stages
from natdeploy.runs import ArchiveEntry
from natdeploy.runs.certainty import top1_error


def front_figure(facts: Facts) -> Figure:
    """Scatter of the archive; front and chosen models marked; predicted intervals and standard errors as bars."""
    front = {entry.id for entry in facts.front}
    rest = [entry for entry in facts.archive if entry.id not in front]
    budget = facts.config.latency_ms
    traces = [
        _points("over the budget", [e for e in rest if not e.feasible], "@other", "x-thin-open", 7),
        _points("within the budget", [e for e in rest if e.feasible], "@archive", "circle", 7),
        {
            **_points("front", facts.front, "@front", "circle", 9),
            # With more objectives, or others, the front is no staircase in this plane.
            "mode": "lines+markers" if set(facts.config.objectives) == {"top1", "latency_ms"} else "markers",
            "line": {"color": "@front", "width": 1.5, "shape": "hv"},
            **_bars(facts.front, "@front"),
        },
        *_chosen(facts),
    ]
    predicted = facts.config.predictor is not None
    top1 = f"top-1 on {facts.archive[0].val_images} validation images (bars: one standard error)"
    if predicted:
        top1 = "predicted, not measured, top-1 (bars: typical error on held-out networks)"
    coverage = facts.model.coverage
    caption = (
        f"Each point is an architecture: {top1} against the "
        f"latency predicted for {facts.config.device} with {facts.config.runtime} (bars: {100 * coverage:.0f} % "
        "interval). The budget holds where the upper end of the interval is left of the dashed line. "
        "Point at a model, or tap it, to see its blocks."
    )
    layout = {
        "xaxis": axis("predicted latency, ms", rangemode="tozero"),
        "yaxis": axis("predicted top-1, %" if predicted else "validation top-1, %"),
        **upright_line(budget, f"budget {milliseconds(budget)} ms"),
    }
    return Figure("front", "Accuracy against latency", caption, tuple(t for t in traces if t["x"]), layout)


def _points(name: str, entries: Sequence[ArchiveEntry], color: str, symbol: str, size: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [round(entry.latency_ms, 6) for entry in entries],
        "y": [round(100 * entry.top1, 3) for entry in entries],
        "customdata": [entry.id for entry in entries],
        "marker": {"color": color, "symbol": symbol, "size": size, "line": {"color": color, "width": 1}},
    }


def _bars(entries: Sequence[ArchiveEntry], color: str) -> dict[str, Any]:
    look = {"type": "data", "color": color, "thickness": 1, "width": 0}
    above = [round(entry.latency_upper_ms - entry.latency_ms, 6) for entry in entries]
    below = [round(entry.latency_ms - entry.latency_lower_ms, 6) for entry in entries]
    errors = [round(100 * top1_error(entry), 3) for entry in entries]
    to_all = [round(min(100 * top1_error(entry), 100 * (1 - entry.top1)), 3) for entry in entries]
    return {
        "error_x": {**look, "symmetric": False, "array": above, "arrayminus": below},
        "error_y": {**look, "symmetric": False, "array": to_all, "arrayminus": errors},
    }


def _chosen(facts: Facts) -> list[dict[str, Any]]:
    """Chosen models where they were predicted and, at the same accuracy, where they measured."""
    found = [(manifest, entry) for manifest in facts.bundles if (entry := facts.entry(manifest.model.arch_id))]
    predicted = _points("chosen, predicted", [entry for _, entry in found], "@chosen", "star", 16)
    measured = [
        (timing.latency_ms, entry)
        for manifest, entry in found
        if (timing := manifest.measured_for_budget()) is not None
    ]
    trace = _points("chosen, measured", [entry for _, entry in measured], "@measured", "diamond", 11)
    return [predicted, {**trace, "x": [round(value, 6) for value, _ in measured]}]


def models(facts: Facts) -> dict[str, dict[str, Any]]:
    """What the page tells of an architecture when it is pointed at, by id."""
    return {entry.id: model(entry, facts.config.latency_ms, entry.id) for entry in facts.archive}


def model(entry: ArchiveEntry, budget_ms: float, name: str) -> dict[str, Any]:
    """What the page tells of one architecture, under that name."""
    return {
        "name": name,
        "budget": budget_ms,
        "top1": round(entry.top1, 6),
        "images": entry.val_images,
        "predicted": entry.accuracy_source == "predicted",
        "ms": [round(v, 6) for v in (entry.latency_ms, entry.latency_lower_ms, entry.latency_upper_ms)],
        "macs": entry.macs,
        "params": entry.params,
        "peak": entry.peak_activation_bytes,
        "r": entry.arch.r,
        "stages": stages(entry.arch),
    }
