"""``natdeploy mlflow``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.mlflow import MlflowResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy mlflow runs/digits --tracking-uri sqlite:///mlflow.db")(mlflow)


def mlflow(
    run: options.Run,
    tracking_uri: Annotated[
        Optional[str],  # noqa: UP045 - evaluated at run time, by Python 3.10 too
        typer.Option("--tracking-uri", metavar="URI", help="Server or store.  [default: MLflow's own setting]"),
    ] = None,
    experiment: Annotated[str, typer.Option("--experiment", help="Made where there is none.")] = "natdeploy",
    as_json: options.Json = False,
) -> None:
    """Log a run, its report and its bundles with their models to MLflow; again, only what is new.

    Needs MLflow: pip install 'natdeploy[mlflow]'.
    """
    from natdeploy import verbs

    output.answer(as_json, lambda _: verbs.mlflow(run, tracking_uri=tracking_uri, experiment=experiment), _show)


def _show(result: MlflowResult) -> None:
    tables.say(f"{result.tracking_uri}, experiment {result.experiment}: run {result.run_id}")
    tables.say(f"iterations added: {result.iterations}")
    for name, run_id in result.bundles.items():
        tables.say(f"bundle {name}: run {run_id}{'' if name in result.added else ' (was there)'}")
