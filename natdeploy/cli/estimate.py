"""``natdeploy estimate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.estimate import EstimateResult

_MIB = 2**20


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy estimate model.onnx --device rpi5")(estimate)


def estimate(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="ONNX file with static shapes.")],
    device: options.Device,
    top: Annotated[int, typer.Option("--top", min=0, help="How many of the costliest layers to list.")] = 10,
    as_json: options.Json = False,
) -> None:
    """Estimate any model's latency and memory on a device, without building it or reaching the device.

    The estimate is a prior, from the device's hardware profile, or comes from published measurements of its operators,
    or from kernels that were imported or timed; it says which. Layers that it cannot know are named and not part of it;
    where imported kernels lack one, that is an error.
    """
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.estimate(model, device=device, top=top, progress=progress), _show)


def _show(result: EstimateResult) -> None:
    tables.say(
        f"{result.model.name} on {result.device} ({result.runtime}): {result.latency_ms:.4g} ms, "
        f"{result.lower_ms:.4g} to {result.upper_ms:.4g} ms in {100 * result.coverage:.0f} % of cases"
    )
    tables.say(
        f"{result.macs / 1e6:.4g} M MACs; weights {result.weight_bytes / _MIB:.3g} MiB, activations "
        f"{result.peak_activation_bytes / _MIB:.3g} MiB at most"
    )
    for layer in result.costliest:
        kinds = " ".join(dict.fromkeys(layer.operators))
        tables.say(f"  {layer.latency_ms:8.3f} ms  {layer.macs / 1e6:8.2f} M MACs  {layer.name} ({kinds})")
    for text in result.unknown:
        tables.say(f"not known, not counted: {text}")
    tables.say(f"source: {result.source}; caution: {result.caution}")
