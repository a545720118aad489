"""Predicted against measured latency, and how good the predictor is beside its baselines."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from natdeploy.latency import PointQuality, Quality
from natdeploy.report.facts import Facts
from natdeploy.report.figure import Figure, axis
from natdeploy.report.table import Table, number, table_of, text
from natdeploy.report.units import NONE, percent

#: Networks whose intervals outline the band, at most twice as many.
MOST_CORNERS = 150


def predictor_figure(facts: Facts) -> Figure:
    """Measured latency over predicted latency of networks not trained on and of what was built."""
    traces: list[dict[str, Any]] = []
    judged = [(one.mean_ms, one.lower_ms, one.upper_ms, one.measured_ms, one.arch_id) for one in facts.judged]
    if judged:
        traces.append(_pairs("networks not trained on", judged, ("@archive", "circle", 7)))
    built = [
        (said.mean_ms, said.lower_ms, said.upper_ms, timing.latency_ms, manifest.model.arch_id)
        for manifest in facts.bundles
        if (timing := manifest.measured_for_budget()) and (said := manifest.latency.predicted)
    ]
    missed = [
        (miss.predicted_ms, miss.predicted_ms, miss.predicted_ms, miss.measured_ms, miss.arch_id)
        for manifest in facts.bundles
        for miss in manifest.latency.missed
    ]
    if missed:
        traces.append(_pairs("tried, over the budget", missed, ("@other", "x-thin-open", 10)))
    if built:
        traces.append(_pairs("chosen", built, ("@chosen", "star", 15)))
    ends = [value for trace in traces for axis_name in "xy" for value in trace[axis_name]]
    if ends:
        traces = [*_guides(min(ends) * 0.9, max(ends) * 1.05, facts), *traces]
    coverage = 100 * facts.model.coverage
    caption = (
        f"Measured on {facts.model.device} with {facts.model.runtime}, over what the predictor said. On the line both "
        f"are equal; the shaded band is the {coverage:.0f} % interval, dotted lines are ±10 %."
    )
    if judged:
        inside = sum(one.lower_ms <= one.measured_ms <= one.upper_ms for one in facts.judged)
        caption += f" {inside} of {len(judged)} networks that the predictor was not trained on lie in their intervals."
    else:
        caption += " The timings of networks not trained on are not on this machine; the table sums them up."
    layout = {"xaxis": axis("predicted latency, ms"), "yaxis": axis("measured latency, ms")}
    return Figure("predictor", "Predicted against measured latency", caption, tuple(traces), layout)


def _pairs(
    name: str, pairs: list[tuple[float, float, float, float, str]], look: tuple[str, str, int]
) -> dict[str, Any]:
    color, symbol, size = look
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [round(mean, 6) for mean, *_ in pairs],
        "y": [round(measured, 6) for *_, measured, _ in pairs],
        "text": [arch_id for *_, arch_id in pairs],
        "customdata": [[round(lower, 6), round(upper, 6)] for _, lower, upper, _, _ in pairs],
        "hovertemplate": "%{text}<br>predicted %{x:.4g} ms (%{customdata[0]:.4g} to %{customdata[1]:.4g})"
        "<br>measured %{y:.4g} ms<extra></extra>",
        "marker": {"color": color, "symbol": symbol, "size": size, "line": {"color": color, "width": 1}},
    }


def _guides(low: float, high: float, facts: Facts) -> list[dict[str, Any]]:
    """The intervals as a band, ±10 % and the line of equality."""
    quiet = {"type": "scatter", "mode": "lines", "hoverinfo": "skip"}
    ten: dict[str, Any] = {**quiet, "name": "±10 %", "line": {"color": "@muted", "width": 1, "dash": "dot"}}
    line = {**quiet, "x": [low, high], "y": [low, high], "name": "equal", "line": {"color": "@muted", "width": 1.5}}
    ten |= {"x": [low, high, None, low, high], "y": [1.1 * low, 1.1 * high, None, 0.9 * low, 0.9 * high]}
    said = sorted((one.mean_ms, one.lower_ms, one.upper_ms) for one in facts.judged) or sorted(
        (e.latency_ms, e.latency_lower_ms, e.latency_upper_ms) for e in facts.archive
    )
    said = said[:: max(1, len(said) // MOST_CORNERS)]
    means, lowers, uppers = ([round(value, 6) for value in values] for values in zip(*said))
    outline = {"x": [*means, *reversed(means)], "y": [*uppers, *reversed(lowers)]}
    name = f"{100 * facts.model.coverage:.0f} % interval"
    return [{**quiet, **outline, "name": name, "fill": "toself", "fillcolor": "@band", "line": {"width": 0}}, ten, line]


def quality_table(quality: Quality, title: str = "Predictor quality") -> Table:
    """The predictor, its baselines and the timings' own repeatability; the title says on which networks."""
    coverage = f"{percent(quality.coverage)} (promised {100 * quality.nominal_coverage:.0f} %)"
    rows = [{**_figures("natdeploy", quality), "coverage": coverage, "width": percent(quality.interval_width)}]
    rows += [_figures(name, points) for name, points in sorted(quality.baselines.items())]
    if quality.repeats:
        shares = percent(quality.repeatability_within5), percent(quality.repeatability_within10)
        rows.append({"name": f"timing {quality.repeats} networks again", **dict(zip(("within5", "within10"), shares))})
    return table_of(
        f"{title}: {judged_on(quality)}",
        rows,
        [
            text("predictor", itemgetter("name")),
            *(
                number(heading, lambda row, figure=figure: row.get(figure, NONE))  # type: ignore[misc]
                for heading, figure in (
                    ("within ±5 %", "within5"),
                    ("within ±10 %", "within10"),
                    ("mean error", "mape"),
                    ("Spearman", "spearman"),
                    ("Kendall", "kendall"),
                    ("interval coverage", "coverage"),
                    ("interval width", "width"),
                )
            ),
        ],
    )


def judged_on(quality: Quality) -> str:
    """On how many networks, of which kind, a predictor's figures were taken."""
    known = {
        "holdout": "never trained on",
        "cross-validation": "each left out of training in turn, since no holdout timings can be trusted",
    }
    return f"{quality.networks} networks, {known.get(quality.evaluated_on, quality.evaluated_on)}"


def _figures(name: str, points: Quality | PointQuality) -> dict[str, str]:
    shares = {figure: percent(getattr(points, figure)) for figure in ("within5", "within10", "mape")}
    return {"name": name, **shares, "spearman": f"{points.spearman:.3f}", "kendall": f"{points.kendall:.3f}"}
