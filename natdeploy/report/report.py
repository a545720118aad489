"""From a run folder to its report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.ground.files import write_text
from natdeploy.report import html
from natdeploy.report.facts import Facts, gather
from natdeploy.report.front import front_figure, models
from natdeploy.report.gains import gain_sentences, gains_table
from natdeploy.report.layers import layers_figure, layers_table
from natdeploy.report.predictor import predictor_figure, quality_table
from natdeploy.report.progress import progress_figure
from natdeploy.report.provenance import provenance_table
from natdeploy.report.reasons import reasons
from natdeploy.report.sharing import sharing_table
from natdeploy.report.surrogates import surrogates_table
from natdeploy.report.tables import front_table, progress_table, result_table
from natdeploy.report.trade_offs import trade_off_figures
from natdeploy.report.units import milliseconds, percent
from natdeploy.runs import RunFolder

if TYPE_CHECKING:
    from natdeploy.measure import Measurement


def write_report(
    run: RunFolder,
    bundles: Sequence[Path] | None = None,
    out: Path | None = None,
    *,
    measurements: Sequence[Measurement] | None = None,
    refresh_s: float | None = None,
) -> Path:
    """Write one self-contained HTML file and return its path.

    Args:
        run: a run, finished or after its first step.
        bundles: bundle folders to tell of; None takes the run's, wherever they were built.
        out: the file; None writes ``RUN/report.html``.
        measurements: timings of networks the predictor never saw; None takes them from the user's store, if there.
        refresh_s: seconds after which the page loads itself again, while a run goes on; None: never.

    Raises BadInput while there is nothing to report or the file cannot be written, VerificationFailed naming a bundle's
    damaged manifest.
    """
    facts = gather(run, bundles, measurements)
    out = run.report_path if out is None else Path(out)
    write_text(out, report_html(facts, run, refresh_s))
    return out


def report_html(facts: Facts, run: RunFolder, refresh_s: float | None = None) -> str:
    """The document's text."""
    front, predictor, progress = front_figure(facts), predictor_figure(facts), progress_figure(facts)
    trades = trade_off_figures(facts)
    layers = [layers_figure(shown, facts.layers[shown.name])] if (shown := facts.shown) and _timed(facts) else []
    config = json.dumps(facts.config.model_dump(mode="json"), indent=2)
    at_first = facts.shown.model.arch_id if facts.shown else (facts.front or facts.archive)[-1].id
    sections = [
        _header(facts),
        html.section(
            front.title,
            html.figure_html(front),
            '<div id="model" aria-live="polite"></div>',
            html.details(f"The front as a table ({len(facts.front)} models)", html.table_html(front_table(run))),
        ),
        *(html.section(figure.title, html.figure_html(figure)) for figure in trades),
        *_sharing(facts),
        html.section("What the budget buys", *_gains(facts)),
        html.section("What was chosen, and why", *_chosen(facts)),
        html.section("Latency per layer", *map(html.figure_html, layers), *_layers(facts)),
        html.section(predictor.title, html.figure_html(predictor), html.table_html(quality_table(facts.model.quality))),
        html.section(
            progress.title,
            html.figure_html(progress),
            html.details("Iteration by iteration", html.table_html(progress_table(facts.history))),
            *_surrogates(facts),
        ),
        html.section("Where the figures come from", html.table_html(provenance_table(facts))),
        html.section("Settings", html.details("run.json", f"<pre>{html.escape(config)}</pre>")),
    ]
    chosen = [manifest.model.arch_id for manifest in facts.bundles]
    data: dict[str, Any] = {"models": models(facts), "chosen": chosen, "shown": at_first}
    if refresh_s is not None:
        data["refresh_s"] = refresh_s
    return html.page(_title(facts), sections, [front, *trades, *layers, predictor, progress], data)


def _title(facts: Facts) -> str:
    return f"{facts.name}: {facts.config.predictor or Path(facts.config.data).name} on {facts.config.device}"


def _header(facts: Facts) -> str:
    config = facts.config
    task = config.data
    if config.predictor is not None:
        task = f"{config.predictor} with predicted accuracies, not measured ones,"
    what = f"{config.space} searched for {task} on {config.device} with {config.runtime}, seed {config.seed}, "
    state = "" if facts.is_finished else " The search has not finished: these are the figures so far."
    return (
        "<header>"
        + f"<h1>{html.escape(_title(facts))}</h1>"
        + html.paragraph(f"{what}started {config.created}.{state}", "note")
        + html.tiles(_tiles(facts))
        + "<noscript><p>The figures need JavaScript; the tables below hold the same numbers.</p></noscript></header>"
    )


def _tiles(facts: Facts) -> list[tuple[str, str, str]]:
    tiles: list[tuple[str, str, str]] = []
    budget = f"budget {milliseconds(facts.config.latency_ms)} ms"
    if shown := facts.shown:
        if test := shown.accuracy_of("test"):
            of = f" of {shown.provenance.task or shown.provenance.data}" if facts.config.further_data else ""
            note = f"± {100 * test.standard_error:.1f}, {test.images} images{of}"
            tiles.append(("Test top-1", percent(test.top1), note))
        if timing := shown.measured_for_budget():
            tiles.append(("Measured latency", f"{milliseconds(timing.latency_ms)} ms", budget))
    elif facts.front:
        best = facts.front[-1]
        if facts.config.predictor is None:
            tiles.append(("Validation top-1", percent(best.top1), f"best within budget, {best.val_images} images"))
        else:
            tiles.append(("Predicted top-1", percent(best.top1), "best within budget; predicted, not measured"))
        tiles.append(("Predicted latency", f"{milliseconds(best.latency_ms)} ms", f"not measured; {budget}"))
    tiles.append(("Front", f"{len(facts.front)} models", f"of {len(facts.archive)} in the archive"))
    if facts.history:
        random = facts.summary.get("hypervolume_random")
        note = "of the ideal" if random is None else f"random architectures: {random:.3f}"
        tiles.append(("Hypervolume", f"{facts.history[-1].hypervolume:.3f}", note))
    return tiles


def _timed(facts: Facts) -> bool:
    return facts.shown is not None and facts.shown.name in facts.layers


def _gains(facts: Facts) -> list[str]:
    if facts.config.objectives and "top1" not in facts.config.objectives:
        return [html.paragraph("Accuracy was not an objective of this search.")]
    return [
        html.bullets(gain_sentences(facts.archive, facts.config.latency_ms)),
        html.details("Step by step", html.table_html(gains_table(facts.archive))),
        html.paragraph(
            "A step is shown only where the gain is larger than its standard error, which is that of both accuracies "
            "together; the budget that a model needs is the upper end of its predicted latency interval.",
            "note",
        ),
    ]


def _sharing(facts: Facts) -> list[str]:
    """For several devices: what one model for all costs."""
    if not (sharing := facts.summary.get("sharing")):
        return []
    note = (
        "All models are from this search's archive: a search for one device alone may find a better one for it. Ids of "
        "models are what natdeploy build --pick takes; --device says which device's budget counts."
    )
    return [html.section("What sharing costs", html.table_html(sharing_table(sharing)), html.paragraph(note, "note"))]


def _surrogates(facts: Facts) -> list[str]:
    table = surrogates_table(facts.history)
    return [html.details("What it learned with", html.table_html(table))] if table.rows else []


def _layers(facts: Facts) -> list[str]:
    if not facts.layers:
        why = "nothing is built yet" if not facts.bundles else "no bundle of this run was timed layer by layer"
        return [html.paragraph(f"Not known: {why}.")]
    return [
        html.details(f"{name}, call by call", html.table_html(layers_table(times)))
        for name, times in facts.layers.items()
    ]


def _chosen(facts: Facts) -> list[str]:
    parts = [html.paragraph(f"No longer there as it was built: {path}", "note") for path in facts.gone]
    if not facts.bundles:
        return [*parts, html.paragraph("Nothing is built yet; natdeploy build makes and measures models of this run.")]
    parts.append(html.table_html(result_table(facts.bundles)))
    for manifest in facts.bundles:
        parts.append(f"<h3>{html.escape(manifest.name)}</h3>")
        parts.append(html.bullets(reasons(facts, manifest)))
    return parts
