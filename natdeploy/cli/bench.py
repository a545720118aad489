"""``natdeploy bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.bench import BenchResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy bench runs/digits/bundles/pixel4-06050d6e91ea --device pixel4")(bench)


def bench(
    bundle: options.Bundle,
    device: Annotated[str, typer.Option("--device", help="Hardware profile that the bundle was built for.")],
    via: options.Via = None,
    unit: options.Unit = None,
    as_json: options.Json = False,
) -> None:
    """Run and time a bundle's model on its device, and write the measured latency into the bundle."""
    from natdeploy import verbs

    way: Any = via  # any text: the profile says which ways there are
    output.answer(as_json, lambda progress: verbs.bench(bundle, device=device, via=way, unit=unit), _show)


def _show(result: BenchResult) -> None:
    trust = "" if result.trusted else "; NOT to be trusted: the device was unsteady"
    tables.say(
        f"measured: {result.latency_ms:.4g} ms on {result.unit} by {result.via}, median absolute deviation "
        f"{result.mad_ms:.2g} ms{trust}"
    )
    if result.inside is None:
        tables.say("predicted: nothing; there is no latency model of this device")
    else:
        tables.say(
            f"predicted: {result.predicted_ms:.4g} ms, {result.predicted_lower_ms:.4g} to "
            f"{result.predicted_upper_ms:.4g} ms; the measurement lies {'inside' if result.inside else 'OUTSIDE'}"
        )
    if result.budget_ms is not None:
        met = "met" if result.within_budget else "NOT met: choose a faster model of the search (build --pick)"
        tables.say(f"budget: {result.budget_ms:.4g} ms, {met}")
    if result.peak_rss_kib is not None:
        tables.say(f"memory: {result.peak_rss_kib / 1024:.1f} MiB at most, program and weights included")
    tables.say(_energy(result))
    tables.say(f"bundle: {result.bundle}")


def _energy(result: BenchResult) -> str:
    energy = result.energy
    if energy.source is None:
        return f"energy: not known: {energy.reason}"
    idle = "" if energy.idle_watts is None else f", {energy.idle_watts:.3g} W at rest"
    how = f"measured by {energy.meter}" if energy.source == "measured" else f"MODELLED from {energy.meter}"
    return f"energy: {energy.millijoules:.3g} mJ a run, {how}: {energy.watts:.3g} W while it runs{idle}"
