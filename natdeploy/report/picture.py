"""The front as a picture that stands still, for READMEs and job summaries: SVG or PNG, drawn by Matplotlib."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import write_bytes
from natdeploy.report.units import milliseconds
from natdeploy.runs import ArchiveEntry, RunBundles, RunFolder, bundles_of

if TYPE_CHECKING:
    from natdeploy.deploy.manifest import Manifest

#: Okabe and Ito's colours (2008), as in the page.
COLORS = ("#0072b2", "#d55e00", "#00795a", "#9b2c78", "#8f6a00", "#3a3f47")
QUIET, BUDGET = "#c3c9d1", "#9b2c78"
FORMATS = (".svg", ".png")
WIDTH_INCH, HEIGHT_INCH, DPI = 7.2, 4.2, 144


def check_picture(out: Path) -> None:
    """Raise BadInput for a file name that says no format that can be drawn."""
    if Path(out).suffix.lower() not in FORMATS:
        raise BadInput(f"{out}: expected a picture's name that ends in {' or '.join(FORMATS)}")


def write_picture(runs: Sequence[RunFolder], out: Path) -> Path:
    """Draw the fronts of one or more runs into a file and return its path; equal runs give equal bytes.

    Args:
        runs: finished, or after their first step.
        out: ends in ``.svg`` or ``.png``.

    Raises BadInput for another ending, for a run without an archive and where the file cannot be written.
    """
    check_picture(out)
    write_bytes(Path(out), picture(runs, Path(out).suffix.lower()[1:]))
    return Path(out)


def picture(runs: Sequence[RunFolder], kind: str) -> bytes:
    """The bytes of a picture of that kind, ``svg`` or ``png``."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    fixed: Any = {"svg.hashsalt": "natdeploy", "svg.fonttype": "none", "font.family": "DejaVu Sans", "font.size": 10}
    with matplotlib.rc_context(fixed):
        figure = Figure(figsize=(WIDTH_INCH, HEIGHT_INCH), dpi=DPI, layout="constrained", facecolor="white")
        axes = figure.add_subplot()
        for number, run in enumerate(runs):
            _draw(axes, run, COLORS[number % len(COLORS)], alone=len(runs) == 1)
        axes.set_xlabel("latency, ms (points: predicted; diamonds: measured)")
        axes.set_ylabel("top-1, %")
        axes.set_ylim(top=min(axes.get_ylim()[1], 100.4))
        if axes.get_xlim()[0] < 0:
            axes.set_xlim(left=0)
        axes.grid(color="#e3e6ea", linewidth=0.8)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=3)
        file = io.BytesIO()
        metadata: dict[str, Any] = (
            {"Date": None, "Creator": "natdeploy"} if kind == "svg" else {"Software": "natdeploy"}
        )
        canvas = FigureCanvasSVG(figure) if kind == "svg" else FigureCanvasAgg(figure)
        canvas.print_figure(file, format=kind, metadata=metadata, dpi=DPI)
    return file.getvalue()


def _draw(axes: Any, run: RunFolder, color: str, *, alone: bool) -> None:
    archive, front, config = run.archive(), run.front(), run.config()
    if not archive:
        raise BadInput(f"{run.path}: the archive is empty; let the search finish its first step, then draw")
    name = run.path.resolve().name
    if alone:
        axes.scatter(*_places(archive), s=14, color=QUIET, label=f"{len(archive)} architectures", zorder=2)
        axes.axvline(config.latency_ms, color=BUDGET, linestyle="--", linewidth=1.4, zorder=1)
        axes.set_title(
            f"{name}: {config.data if config.predictor is None else config.predictor} on {config.device}", fontsize=11
        )
        axes.annotate(
            f"budget {milliseconds(config.latency_ms)} ms",
            (config.latency_ms, 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(-4, 0),
            textcoords="offset points",
            color=BUDGET,
            fontsize=9,
            rotation=90,
            ha="right",
            va="top",
        )
    if front:
        x, y = _places(front)
        spread = [
            [e.latency_ms - e.latency_lower_ms for e in front],
            [e.latency_upper_ms - e.latency_ms for e in front],
        ]
        label = "front (bars: interval)" if alone else f"{name}, {config.device}"
        axes.errorbar(x, y, xerr=spread, fmt="none", ecolor=color, elinewidth=0.8, alpha=0.6, zorder=3)
        axes.plot(
            x, y, drawstyle="steps-post", marker="o", markersize=4.5, color=color, linewidth=1.4, label=label, zorder=4
        )
    measured = _measured(bundles_of(run), archive)
    if measured:
        look = {"color": COLORS[1], "label": "built and measured"} if alone else {"color": color}
        axes.scatter(*zip(*measured), marker="D", s=46, edgecolor="white", zorder=5, **look)


def _places(entries: Sequence[ArchiveEntry]) -> tuple[list[float], list[float]]:
    return [entry.latency_ms for entry in entries], [100 * entry.top1 for entry in entries]


def _measured(bundles: RunBundles, archive: Sequence[ArchiveEntry]) -> list[tuple[float, float]]:
    from natdeploy.report.facts import read_manifests

    top1 = {entry.id: 100 * entry.top1 for entry in archive}
    found: list[Manifest] = read_manifests(bundles.there)
    return [
        (timing.latency_ms, top1[manifest.model.arch_id])
        for manifest in found
        if (timing := manifest.measured_for_budget()) and manifest.model.arch_id in top1
    ]
