"""How the search went: hypervolume after each iteration, beside as many random architectures."""

from __future__ import annotations

from typing import Any

from natdeploy.report.facts import Facts
from natdeploy.report.figure import Figure, axis


def progress_figure(facts: Facts) -> Figure:
    """Hypervolume over the number of architectures evaluated."""
    steps = facts.history
    evaluations = [step.evaluations for step in steps]
    hover = "iteration %{customdata}: %{y:.4f}<br>%{x} architectures<extra></extra>"
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "search",
            "x": evaluations,
            "y": [round(step.hypervolume, 6) for step in steps],
            "customdata": [step.iteration for step in steps],
            "hovertemplate": hover,
            "line": {"color": "@front", "width": 2},
            "marker": {"color": "@front", "size": 8},
        }
    ]
    random = facts.summary.get("hypervolume_random")
    if random is not None and steps:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "random architectures",
                "x": [evaluations[0], evaluations[-1]],
                "y": [round(random, 6)] * 2,
                "hovertemplate": f"as many random architectures: {random:.4f}<extra></extra>",
                "line": {"color": "@random", "width": 2, "dash": "dot"},
            }
        )
    caption = (
        "Hypervolume of the architectures within the budget, as a share of the box between the ideal and a fixed "
        "reference point, after each iteration. All architectures are evaluated again whenever the weights have been "
        "adapted, so the curve can fall. "
    )
    if random is not None:
        drawn, feasible = facts.summary["random_drawn"], facts.summary["random_feasible"]
        caption += f"Dotted: {drawn} random architectures ({feasible} within the budget), with the final weights."
    elif facts.is_finished:
        caption += "This run was not compared with random architectures."
    else:
        caption += "The search has not finished; random architectures are compared at its end."
    layout = {"xaxis": axis("architectures evaluated", rangemode="tozero"), "yaxis": axis("hypervolume")}
    return Figure("progress", "Search progress", caption, tuple(traces), layout)
