"""``natdeploy export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.export import ExportResult

_KNOWN = {
    True: "the weights were not trained on these",
    False: "the weights were trained on another division: they may have met some of these",
    None: "the checkpoint does not tell what the weights were trained on",
}
_EXAMPLE = "Example: natdeploy export net.config --supernet ofa_mbv3_d234_e346_k357_w1.0 --data imagenet:PATH --out net"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog=_EXAMPLE)(export)


def export(
    net: Annotated[
        str,
        typer.Argument(
            metavar="NET",
            help="A net.config, net.subnet, net.encoding or subnet.json; or largest or smallest of the weights' space.",
        ),
    ],
    data: Annotated[
        str, typer.Option("--data", help="Images that calibrate the weights, and judge the file if the classes fit.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for model.onnx and what belongs to it.")],
    supernet: Annotated[
        str, typer.Option("--supernet", help="Weights: a checkpoint of natdeploy's or Once-for-All's, or its address.")
    ] = "box",
    resolution: Annotated[
        Optional[int],  # noqa: UP045 - evaluated at run time, by Python 3.10 too
        typer.Option("--resolution", help="Pixels, of a file that does not hold them."),
    ] = None,
    calibration_images: Annotated[
        int, typer.Option("--calibration-images", help="Images drawn for the statistics of batch norm.")
    ] = 1000,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Take one subnet out of a checkpoint as an ONNX file, checked against PyTorch."""
    from natdeploy import verbs

    output.answer(
        as_json,
        lambda progress: verbs.export(
            net,
            data=data,
            out=out,
            supernet=supernet,
            resolution=resolution,
            calibration_images=calibration_images,
            seed=seed,
            progress=progress,
        ),
        _show,
    )


def _show(result: ExportResult) -> None:
    found = result.exported
    tables.say(
        f"{result.arch_id} of {result.arch['space']} at {result.arch['r']} pixels: {found.macs:,} MACs, "
        f"{found.params:,} parameters, {found.num_classes} classes"
    )
    tables.say(
        f"verified: outputs for {found.images} images differ from PyTorch's by at most {found.max_abs_error:.2g} "
        f"(allowed {found.allowed:.2g}); images are normalised with {found.normalised_as} mean and deviation"
    )
    if found.test_top1 is None:
        tables.say("no accuracy: the images' classes are not the weights'")
    else:
        tables.say(
            f"top-1 {found.test_top1:.2%} ± {found.test_standard_error:.2%} of {found.test_images} test images "
            f"({_KNOWN[found.same_division]})"
        )
    tables.say(f"files: {result.out} ({', '.join(found.files)})")
