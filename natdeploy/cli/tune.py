"""``natdeploy tune``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.tune import TuneResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy tune --device host --space ofa-mbv3-w1.0 --resolution 224")(tune)


def tune(
    model: Annotated[
        Optional[Path],  # noqa: UP045 - evaluated at run time, by Python 3.10 too
        typer.Argument(metavar="[MODEL.onnx]", help="ONNX file whose kernels are tuned, in place of a space's."),
    ] = None,
    device: options.Device = "host",
    space: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--space", help="Search space.  [default: mbv3-micro]"),
    ] = None,
    resolution: Annotated[
        Optional[list[int]],  # noqa: UP045
        typer.Option(
            "--resolution",
            metavar="PIXELS",
            help="Input resolution of the space; may be given again. Without it all of them, or the middle of many.",
        ),
    ] = None,
    seed: options.Seed = 0,
    via: options.Via = None,
    unit: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--unit", help="A unit: a serial (adb) or a host (ssh). Given again, the units share the work."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure which tiles the kernels run fastest with on a device, and keep that.

    Up to ten tiles of each kernel are timed in turn; the rules' own stays unless another is clearly faster. Every
    kernel is stored at once; started again, the command takes only those that are missing. compile, build and
    profile use what is kept.
    """
    from natdeploy import verbs

    way: Any = via  # any text: the profile says which ways there are
    output.answer(
        as_json,
        lambda progress: verbs.tune(
            model,
            device=device,
            space=space,
            resolutions=resolution or (),
            seed=seed,
            via=way,
            units=unit or (),
            progress=progress,
        ),
        _show,
    )


def _show(result: TuneResult) -> None:
    if result.changed:
        columns = ("kernel", False), ("rule's tile", False), ("chosen", False), ("ms", True), ("ms", True), ("x", True)
        rows = [
            (
                _said(one.workload),
                _said(one.rule),
                _said(one.chosen),
                f"{one.rule_ms:.4f}",
                f"{one.chosen_ms:.4f}",
                f"{one.ratio:.2f}",
            )
            for one in result.changed
        ]
        tables.grid(f"{result.device}: tiles that beat the rules'", columns, rows)
    tables.say(
        f"{result.workloads} kernels of {result.asked}: {result.measured} measured now, "
        f"{result.workloads - result.measured} known; {len(result.changed)} run faster with another tile"
    )
    if result.identity != result.was:
        tables.say("what is compiled for this device changes: build again; predictors of its timings are trained anew")
    tables.say(f"record: {result.folder} ({result.identity})")


def _said(fields: Mapping[str, object]) -> str:
    return " ".join(str(value) if name == "kind" else f"{name}={value}" for name, value in fields.items())
