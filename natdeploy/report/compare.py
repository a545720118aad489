"""Several runs side by side: one page with all their fronts, models, gains and sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from natdeploy.deploy.manifest import Manifest
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import write_text
from natdeploy.report import html
from natdeploy.report.facts import Facts, gather
from natdeploy.report.figure import Figure, axis
from natdeploy.report.front import model
from natdeploy.report.gains import gain_sentences
from natdeploy.report.predictor import judged_on
from natdeploy.report.provenance import provenance_table
from natdeploy.report.table import Column, Table, number, table_of, text
from natdeploy.report.tables import result_table
from natdeploy.report.units import NONE, milliseconds, percent
from natdeploy.runs import ArchiveEntry, RunFolder
from natdeploy.runs.certainty import top1_error

#: Colours of ``page/style.css`` and symbols; further runs begin anew with another symbol.
COLORS = ("@run1", "@run2", "@run3", "@run4", "@run5", "@run6")
SYMBOLS = ("circle", "square", "triangle-up", "pentagon", "hexagon", "cross")
#: From this ratio of latencies on, the axis is logarithmic: a phone's and a server's would not fit otherwise.
LOG_FROM = 8.0

Named = tuple[str, Facts]


def write_comparison(runs: Sequence[RunFolder], out: Path, *, refresh_s: float | None = None) -> Path:
    """Write one self-contained HTML file that shows several runs, and return its path.

    Args:
        runs: two or more, finished or after their first step.
        out: the file.
        refresh_s: seconds after which the page loads itself again; None: never.

    Raises BadInput for fewer than two runs, one given twice, or one without anything to tell, and where the file cannot
    be written.
    """
    if len(runs) < 2:
        raise BadInput("a comparison needs at least two runs")
    places = [run.path.resolve() for run in runs]
    if twice := [place for place, times in Counter(places).items() if times > 1]:
        raise BadInput(f"{twice[0]}: given twice; name each run once")
    named = list(zip(_labels(places), map(gather, runs)))
    write_text(Path(out), _page(named, refresh_s))
    return Path(out)


def _labels(places: Sequence[Path]) -> list[str]:
    """Folder names, with as many parents as tell all of them apart."""
    depth = 1
    while len({place.parts[-depth:] for place in places}) < len(places):
        depth += 1
    return ["/".join(place.parts[-depth:]) for place in places]


def _page(named: Sequence[Named], refresh_s: float | None) -> str:
    front = fronts_figure(named)
    title = f"{len(named)} runs side by side"
    data: dict[str, Any] = {"models": _models(named), "chosen": [], "shown": _key(0, _shown(named[0][1]))}
    data["chosen"] = [
        _key(index, entry)
        for index, (_, facts) in enumerate(named)
        for manifest in facts.bundles
        if (entry := facts.entry(manifest.model.arch_id))
    ]
    if refresh_s is not None:
        data["refresh_s"] = refresh_s
    sections = [
        f"<header><h1>{html.escape(title)}</h1>{html.paragraph(', '.join(name for name, _ in named), 'note')}</header>",
        html.section("Runs", html.table_html(runs_table(named)), *_caveats(named)),
        html.section(front.title, html.figure_html(front), '<div id="model" aria-live="polite"></div>'),
        html.section("Models that were built", *_built(named)),
        html.section("What the budget buys", *_gains(named)),
        html.section("How well latencies are predicted", html.table_html(quality_of_runs(named))),
        html.section(
            "Where the figures come from",
            *(html.details(name, html.table_html(provenance_table(facts))) for name, facts in named),
        ),
    ]
    return html.page(title, sections, [front], data)


def runs_table(named: Sequence[Named]) -> Table:
    """What was searched for, and how far it came."""
    return table_of(
        "Runs",
        named,
        [
            text("run", lambda one: one[0]),
            text("device", lambda one: one[1].config.device),
            text("runtime", lambda one: one[1].config.runtime),
            text("data", lambda one: one[1].config.predictor or one[1].config.data),
            text("space", lambda one: one[1].config.space),
            number("budget ms", lambda one: milliseconds(one[1].config.latency_ms)),
            number("best top-1 within it", lambda one: _best(one[1])),
            number("front", lambda one: str(len(one[1].front))),
            text("search", lambda one: "finished" if one[1].is_finished else f"iteration {len(one[1].history)}"),
        ],
    )


def _best(facts: Facts) -> str:
    best = max(facts.front, key=lambda entry: entry.top1, default=None)
    return NONE if best is None else percent(best.top1, top1_error(best))


def _caveats(named: Sequence[Named]) -> list[str]:
    told = []
    if len({_images(facts) for _, facts in named}) > 1:
        told.append("These runs are of different images or weights: their accuracies cannot be compared.")
    if len({facts.model.source for _, facts in named}) > 1:
        sources = ", ".join(f"{name}: {facts.model.source}" for name, facts in named)
        told.append(f"Their latencies come from different sources ({sources}).")
    return [html.paragraph(line, "note") for line in told]


def _images(facts: Facts) -> tuple[object, ...]:
    return facts.config.data, facts.summary.get("data_fingerprint"), facts.config.accuracy, facts.config.supernet


def fronts_figure(named: Sequence[Named]) -> Figure:
    """All fronts in one plane, each with its intervals; measured models as diamonds of the same colour."""
    traces: list[dict[str, Any]] = []
    for index, (name, facts) in enumerate(named):
        color, symbol = COLORS[index % len(COLORS)], SYMBOLS[index // len(COLORS) % len(SYMBOLS)]
        if facts.front:
            traces.append(_front(index, name, facts.front, color, symbol))
        measured = [
            (timing.latency_ms, entry)
            for manifest in facts.bundles
            if (timing := manifest.measured_for_budget()) and (entry := facts.entry(manifest.model.arch_id))
        ]
        if measured:
            traces.append(
                {
                    **_points(index, [entry for _, entry in measured], color, "diamond", 13),
                    "name": f"{name}, measured",
                    "x": [round(ms, 6) for ms, _ in measured],
                }
            )
    values = [x for trace in traces for x in trace["x"]]
    wide = bool(values) and max(values) > LOG_FROM * min(values)
    xaxis = axis("latency, ms", type="log") if wide else axis("latency, ms", rangemode="tozero")
    caption = (
        "The front of each run within its budget: latency predicted (bars: interval) for its own device and runtime, "
        "top-1 on its validation images. Diamonds: measured on the device. "
        + ("The latency axis is logarithmic. " if wide else "")
        + "Point at a model, or tap it, to see its blocks."
    )
    return Figure("front", "Fronts", caption, tuple(traces), {"xaxis": xaxis, "yaxis": axis("top-1, %")})


def _front(index: int, name: str, entries: Sequence[ArchiveEntry], color: str, symbol: str) -> dict[str, Any]:
    above = [round(entry.latency_upper_ms - entry.latency_ms, 6) for entry in entries]
    below = [round(entry.latency_ms - entry.latency_lower_ms, 6) for entry in entries]
    return {
        **_points(index, entries, color, symbol, 9),
        "name": name,
        "mode": "lines+markers",
        "line": {"color": color, "width": 1.5, "shape": "hv"},
        "error_x": {
            **{"type": "data", "color": color, "thickness": 1, "width": 0, "symmetric": False},
            **{"array": above, "arrayminus": below},
        },
    }


def _points(index: int, entries: Sequence[ArchiveEntry], color: str, symbol: str, size: int) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [round(entry.latency_ms, 6) for entry in entries],
        "y": [round(100 * entry.top1, 3) for entry in entries],
        "customdata": [_key(index, entry) for entry in entries],
        "marker": {"color": color, "symbol": symbol, "size": size, "line": {"color": color, "width": 1}},
    }


def _key(index: int, entry: ArchiveEntry) -> str:
    """The same architecture has another latency in another run."""
    return f"{index + 1}:{entry.id}"


def _shown(facts: Facts) -> ArchiveEntry:
    return (facts.front or facts.archive)[-1]


def _models(named: Sequence[Named]) -> dict[str, dict[str, Any]]:
    found = {}
    for index, (name, facts) in enumerate(named):
        built = [facts.entry(manifest.model.arch_id) for manifest in facts.bundles]
        for entry in {one.id: one for one in (*facts.front, _shown(facts), *built) if one}.values():
            found[_key(index, entry)] = model(entry, facts.config.latency_ms, f"{entry.id}, {name}")
    return found


def _built(named: Sequence[Named]) -> list[str]:
    """All bundles in one table, each with its run and device."""
    rows: list[tuple[str, ...]] = []
    columns: tuple[Column, ...] = ()
    for name, facts in named:
        table = result_table(facts.bundles)
        columns = (Column("run"), Column("device"), *table.columns)
        rows += [(name, _device(manifest), *row) for manifest, row in zip(facts.bundles, table.rows)]
    if not rows:
        return [html.paragraph("None yet; natdeploy build makes and measures models of a run.")]
    return [html.table_html(Table("Models", columns, tuple(rows)))]


def _device(manifest: Manifest) -> str:
    return manifest.device.name


def _gains(named: Sequence[Named]) -> list[str]:
    parts = []
    for name, facts in named:
        parts += [f"<h3>{html.escape(name)}</h3>", html.bullets(gain_sentences(facts.archive, facts.config.latency_ms))]
    return parts


def quality_of_runs(named: Sequence[Named]) -> Table:
    """The latency predictor of each run."""
    return table_of(
        "Predictors",
        named,
        [
            text("run", lambda one: one[0]),
            text("device", lambda one: one[1].model.device),
            text("source", lambda one: one[1].model.source),
            text("judged on", lambda one: judged_on(one[1].model.quality)),
            number("within ±10 %", lambda one: percent(one[1].model.quality.within10)),
            number("mean error", lambda one: percent(one[1].model.quality.mape)),
            number("interval coverage", lambda one: percent(one[1].model.quality.coverage)),
            number("interval width", lambda one: percent(one[1].model.quality.interval_width)),
        ],
    )
