"""``natdeploy devices``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.devices import DeviceInfo, DevicesResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy devices host")(devices)


def devices(
    name: Annotated[Optional[str], typer.Argument(metavar="[NAME]", help="Show this one.")] = None,  # noqa: UP045
    as_json: options.Json = False,
) -> None:
    """List hardware profiles, or show one with what is known of it."""
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.devices(name), lambda result: _show(result, name is not None))


def _show(result: DevicesResult, in_full: bool) -> None:
    rows = [
        (item.name, item.title, item.soc or "-", ", ".join(item.reach), "yes" if item.attached else "no")
        for item in result.devices
    ]
    columns = ("name", "title", "processor", "reach", "attached")
    tables.grid("Hardware profiles", [(name, False) for name in columns], rows)
    if in_full:
        _show_one(result.devices[0])


def _show_one(device: DeviceInfo) -> None:
    from natdeploy.report import quality_table

    tables.say(f"fingerprint: {device.fingerprint}")
    counts = ", ".join(f"{count} {role}" for role, count in (device.measurements or {}).items())
    tables.say(f"stored timings: {counts or 'none; natdeploy profile takes some'}")
    if device.profile:
        tables.grid("Profile", (("field", False), ("value", False)), tables.flat(device.profile))
    for predictor in device.predictors:
        title = f"Predictor for {predictor.space} with {predictor.runtime} ({predictor.source})"
        tables.draw(quality_table(predictor.quality, title))
    for problem in device.problems:
        tables.say(f"unusable predictor: {problem}")
    if not device.predictors and not device.problems:
        tables.say("predictors: none")
