"""The command ``natdeploy``: puts the verbs together."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import natdeploy
from natdeploy.cli import (
    bench,
    build,
    ci,
    compile,
    devices,
    diff,
    doctor,
    estimate,
    export,
    import_measurements,
    mlflow,
    predict,
    pretrain,
    profile,
    report,
    run,
    search,
    tune,
    validate,
    verify,
)
from natdeploy.cli.app import app, refused
from natdeploy.ground.errors import BadInput
from natdeploy.ground.torchrun import place

for module in (
    devices,
    profile,
    estimate,
    import_measurements,
    search,
    build,
    export,
    compile,
    tune,
    run,
    validate,
    ci,
    diff,
    verify,
    bench,
    predict,
    report,
    mlflow,
    pretrain,
    doctor,
):
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"natdeploy {natdeploy.__version__}")
        raise typer.Exit


@app.callback()
def natdeploy_command(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """From images, a device and a latency budget to compiled, verified models that fit."""


def main() -> None:
    """Entry point of the installed command."""
    try:
        alone = place().size == 1
    except BadInput as error:
        sys.exit(refused(error, "--json" in sys.argv))
    if alone:
        app()
    else:
        from natdeploy.verbs.torchrun import lead_or_help

        lead_or_help(app)


if __name__ == "__main__":
    main()
