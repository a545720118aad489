"""``natdeploy predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.predict import PredictResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy predict runs/digits/bundles/host-06050d6e91ea photo.jpg")(predict)


def predict(
    bundle: options.Bundle,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures of any size.")],
    top: Annotated[int, typer.Option("--top", min=1, help="How many classes to name.")] = 5,
    runtime: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--runtime", help="Runtime to use; without it the compiled model."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Classify images with a bundle's compiled model."""
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.predict(bundle, images, top=top, runtime=runtime), _show)


def _show(result: PredictResult) -> None:
    for item in result.predictions:
        rows = [(name, f"{100 * probability:.2f} %") for name, probability in item.classes]
        tables.grid(str(item.path), (("class", False), ("probability", True)), rows)
