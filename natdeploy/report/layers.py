"""What each layer of a model takes: block by block as a figure, call by call as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from natdeploy.deploy.layers import LayerTime, LayerTimes
from natdeploy.deploy.manifest import Manifest
from natdeploy.report.figure import Figure, axis
from natdeploy.report.table import Table, number, table_of, text
from natdeploy.report.units import NONE, milliseconds, percent

#: Parts of an inverted residual block by the end of their layers' names, in the order of execution, and their colours.
_PARTS = (
    ("expand (1 x 1)", (".inverted_bottleneck",), "@front"),
    ("depthwise", (".depth_conv",), "@archive"),
    ("squeeze and excite", (".se.pool", ".se.reduce", ".se.expand", ".se.scale"), "@random"),
    ("project (1 x 1)", (".point_linear", ".shortcut"), "@chosen"),
)
_REST = ("outside the blocks", "@other")


def layers_figure(manifest: Manifest, times: LayerTimes) -> Figure:
    """Measured milliseconds of each block, stacked by its parts; what the lookup table predicts for it as a mark."""
    places = list(dict.fromkeys(map(_place, times.layers)))
    parts = [(name, [one for one in times.layers if _part(one) == name], color) for name, _, color in _PARTS]
    parts.append((_REST[0], [one for one in times.layers if _part(one) == _REST[0]], _REST[1]))
    traces: list[dict[str, Any]] = [
        {
            "type": "bar",
            "name": name,
            "x": list(sums),
            "y": [round(ms, 6) for ms in sums.values()],
            "hovertemplate": f"%{{x}}, {name}<br>measured %{{y:.4g}} ms<extra></extra>",
            "marker": {"color": color},
        }
        for name, calls, color in parts
        if (sums := _sums(places, ((_place(call), call.measured_ms) for call in calls)))
    ]
    if times.networks:
        predicted = _sums(places, ((_place(one), one.predicted_ms) for one in times.layers if one.predicted_ms))
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "predicted",
                "x": list(predicted),
                "y": [round(ms, 6) for ms in predicted.values()],
                "hovertemplate": "%{x}<br>predicted %{y:.4g} ms<extra></extra>",
                "marker": {
                    "color": "@ink",
                    "symbol": "line-ew-open",
                    "size": 14,
                    "line": {"width": 2, "color": "@ink"},
                },
            }
        )
    layout = {
        "barmode": "stack",
        "xaxis": axis("", type="category", categoryorder="array", categoryarray=places, tickangle=-45),
        "yaxis": axis("ms", rangemode="tozero"),
    }
    title = f"Latency per layer of {manifest.model.arch_id}"
    return Figure("layers", title, _caption(manifest, times), tuple(traces), layout)


def _caption(manifest: Manifest, times: LayerTimes) -> str:
    whole = next((m for m in manifest.latency.measured or () if m.artifact_digest == times.artifact_digest), None)
    told = (
        f"Each call of the compiled library timed by itself on {manifest.device.name}, {times.threads} thread(s), "
        f"median of {times.runs} runs; together {milliseconds(times.measured_ms)} ms, reading the clock included"
    )
    if whole is not None:
        told += f"; the whole network measures {milliseconds(whole.latency_ms)} ms"
    if not times.networks:
        return told + ". Nothing is predicted per layer: the device's own timings were not at hand."
    return (
        f"{told}. Marks: predicted by a lookup table learned from {times.networks} whole networks timed on the device, "
        f"together {milliseconds(sum(one.predicted_ms or 0.0 for one in times.layers))} ms; the budget was held by "
        "another predictor, which knows whole networks only."
    )


def layers_table(times: LayerTimes) -> Table:
    """Every call of the library, in order."""
    total = times.measured_ms
    return table_of(
        "Layers",
        times.layers,
        [
            text("layer", lambda one: one.layer),
            number("measured ms", lambda one: milliseconds(one.measured_ms)),
            number("share", lambda one: percent(one.measured_ms / total if total else None)),
            number("predicted ms", lambda one: NONE if one.predicted_ms is None else milliseconds(one.predicted_ms)),
        ],
    )


def _sums(places: Sequence[str], values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Milliseconds by place, in the order of the places; those without any are left out."""
    found: dict[str, float] = {}
    for place, ms in values:
        found[place] = found.get(place, 0.0) + ms
    return {place: found[place] for place in places if place in found}


def _place(one: LayerTime) -> str:
    """The block that a layer belongs to, or the layer's own name."""
    first, _, rest = one.layer.partition(".")
    if first == "blocks" and rest:
        return f"block {rest.partition('.')[0]}"
    return one.layer.replace("_", " ").removesuffix(" layer")


def _part(one: LayerTime) -> str:
    if one.layer.startswith("blocks."):
        for name, ends, _ in _PARTS:
            if one.layer.endswith(ends):
                return name
    return _REST[0]
