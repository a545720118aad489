"""``natdeploy profile``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.profile import ProfileResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy profile --device host --networks 200")(profile)


def profile(
    device: options.Device = "host",
    space: options.Space = "mbv3-micro",
    runtime: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--runtime", metavar="NAME", help="Runtime to time; may be given again. Without it all that the device has."
        ),
    ] = None,
    networks: Annotated[int, typer.Option("--networks", help="Subnets to train the predictor on.")] = 120,
    holdout: Annotated[int, typer.Option("--holdout", help="Further subnets to judge it by.")] = 40,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Time subnets on a device and train its predictors.

    Each of the device's runtimes has a predictor of its own.
    Every sample is stored at once; started again, the command takes only those that are missing.
    """
    from natdeploy import verbs

    output.answer(
        as_json,
        lambda progress: verbs.profile(
            device, space=space, runtimes=runtime, networks=networks, holdout=holdout, seed=seed, progress=progress
        ),
        _show,
    )


def _show(result: ProfileResult) -> None:
    from natdeploy.report import quality_table

    for item in result.runtimes:
        tables.draw(quality_table(item.quality, f"{result.device}, {result.space}, {item.runtime} ({item.source})"))
