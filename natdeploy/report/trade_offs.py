"""What a search of several objectives traded off: parallel coordinates, and every objective against every other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from natdeploy.report.facts import Facts
from natdeploy.report.figure import Figure, axis
from natdeploy.report.named import axis_of
from natdeploy.runs import ArchiveEntry
from natdeploy.runs.quantities import LEARNED, kind_of

#: Pairs of more objectives than these are too small to be read; the first ones are drawn.
MOST_PAIRED = 12
#: Up to so many objectives, architectures that are not on the front are drawn beside it.
_ALL_UP_TO = 5
#: Share of the drawing left for the labels of the outer axes.
_MARGIN = 0.06


def trade_off_figures(facts: Facts) -> list[Figure]:
    """Of a search with three objectives or more; none of fewer, which the front's own figure shows."""
    names = facts.config.objectives
    if len(names) < 3 or len(facts.front) < 2:
        return []
    return [parallel_figure(facts, names), pairs_figure(facts, names[:MOST_PAIRED])]


def parallel_figure(facts: Facts, names: Sequence[str]) -> Figure:
    """A line per model of the front over one axis per objective, the better end up."""
    ends = [_ends(facts.front, name) for name in names]
    chosen = {manifest.model.arch_id for manifest in facts.bundles}
    traces = [
        _lines("front", [entry for entry in facts.front if entry.id not in chosen], names, ends, "@front", 1.2, 0.45),
        _lines("chosen", [entry for entry in facts.front if entry.id in chosen], names, ends, "@chosen", 3, 1),
    ]
    ticks = [_label(name) for name in names]
    notes = [
        {
            "x": place,
            "y": 1.03 if up else -0.03,
            "yanchor": "bottom" if up else "top",
            "text": _written(name, end[0 if up else 1]),
            "showarrow": False,
            "font": {"size": 11, "color": "@muted"},
        }
        for place, (name, end) in enumerate(zip(names, ends))
        for up in (True, False)
    ]
    rails = [
        {"type": "line", "x0": place, "x1": place, "y0": 0, "y1": 1, "line": {"color": "@grid", "width": 1}}
        for place in range(len(names))
    ]
    layout = {
        "xaxis": axis(
            "", tickvals=list(range(len(names))), ticktext=ticks, range=[-0.35, len(names) - 0.65], showgrid=False
        ),
        "yaxis": {"visible": False, "range": [-0.12, 1.12]},
        "annotations": notes,
        "shapes": rails,
    }
    caption = (
        f"Each line is one of the {len(facts.front)} models of the front; each axis spans the front, from its best "
        "value at the top to its worst at the bottom. Lines that cross between two axes trade one for the other. "
        "Accuracies are "
        + ("predicted" if facts.config.predictor is not None else "measured on validation images")
        + ", latencies predicted, energies modelled."
    )
    drawn = tuple(trace for trace in traces if trace["x"])
    return Figure("parallel", "All objectives at once", caption, drawn, layout)


def pairs_figure(facts: Facts, names: Sequence[str]) -> Figure:
    """A scatter of every pair of objectives, the lower triangle of their matrix."""
    count = len(names) - 1
    groups: list[tuple[str, Sequence[ArchiveEntry], str, int]] = [("front", facts.front, "@front", 5)]
    if len(names) <= _ALL_UP_TO:
        on_front = {entry.id for entry in facts.front}
        rest = [entry for entry in facts.archive if entry.feasible and entry.id not in on_front]
        groups.insert(0, ("not on the front", rest, "@archive", 4))
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    small = {"tickfont": {"size": 9}, "nticks": 4, "zeroline": False}
    for row in range(count):
        for column in range(row + 1):
            number = row * count + column + 1
            mark = "" if number == 1 else str(number)
            across, up = names[column], names[row + 1]
            for group, entries, color, size in groups:
                traces.append(
                    {
                        "type": "scatter",
                        "mode": "markers",
                        "name": group,
                        "legendgroup": group,
                        "showlegend": number == 1,
                        "x": _values(entries, across),
                        "y": _values(entries, up),
                        "xaxis": f"x{mark}",
                        "yaxis": f"y{mark}",
                        "customdata": [entry.id for entry in entries],
                        "marker": {"color": color, "size": size, "opacity": 0.75},
                    }
                )
            bottom, left = row == count - 1, column == 0
            layout[f"xaxis{mark}"] = {
                **small,
                **_beside(column, count),
                "anchor": f"y{mark}",
                "showticklabels": bottom,
                "title": _title(across) if bottom else {},
            }
            layout[f"yaxis{mark}"] = {
                **small,
                **_beside(count - 1 - row, count),
                "anchor": f"x{mark}",
                "showticklabels": left,
                "title": _title(up) if left else {},
            }
    caption = (
        "Every objective against every other one"
        + (f" (the first {len(names)})" if len(names) < len(facts.config.objectives) else "")
        + ". Where points rise along a line, two objectives are as good as one; along a front one is bought with the "
        "other."
    )
    return Figure("pairs", "Objectives in pairs", caption, tuple(traces), layout, height_rem=max(30, 7 * count + 8))


def _lines(
    group: str,
    entries: Sequence[ArchiveEntry],
    names: Sequence[str],
    ends: Sequence[tuple[float, float]],
    color: str,
    width: float,
    opacity: float,
) -> dict[str, Any]:
    """One trace for all lines of a group, with gaps between them."""
    x: list[int | None] = []
    y: list[float | None] = []
    ids: list[str | None] = []
    for entry in entries:
        for place, (name, (best, worst)) in enumerate(zip(names, ends)):
            share = 1.0 if best == worst else (entry.value(name) - worst) / (best - worst)
            x.append(place)
            y.append(round(share, 4))
            ids.append(entry.id)
        x.append(None)
        y.append(None)
        ids.append(None)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": group,
        "x": x,
        "y": y,
        "customdata": ids,
        "connectgaps": False,
        "opacity": opacity,
        "line": {"color": color, "width": width},
        "marker": {"color": color, "size": 4},
    }


def _ends(entries: Sequence[ArchiveEntry], name: str) -> tuple[float, float]:
    """Best and worst value."""
    values = [entry.value(name) for entry in entries]
    return (max(values), min(values)) if kind_of(name) in LEARNED else (min(values), max(values))


def _values(entries: Sequence[ArchiveEntry], name: str) -> list[float]:
    scale = axis_of(name)[1]
    return [float(f"{entry.value(name) / scale:.6g}") for entry in entries]


def _written(name: str, value: float) -> str:
    scaled = value / axis_of(name)[1]
    return f"{scaled:.0f}" if scaled >= 1000 else f"{scaled:.3g}"


def _beside(place: int, count: int) -> dict[str, Any]:
    """The part of the drawing that one of ``count`` cells in a row has; the first leaves room for labels."""
    width = (1 - _MARGIN) / count
    return {"domain": [round(_MARGIN + place * width, 4), round(_MARGIN + (place + 0.88) * width, 4)]}


def _label(name: str) -> str:
    """A heading in two lines: what, and of what."""
    return "<br>".join(axis_of(name)[0].split(", "))


def _title(name: str) -> dict[str, Any]:
    return {"text": _label(name), "font": {"size": 10}, "standoff": 4}
