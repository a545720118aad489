"""``natdeploy compile``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.compile import CompileResult


_COLUMNS = ("layer", "kernel", "tile", "shape", "MACs", "bytes", "ms here", "predicted ms")
_NUMBERS = _COLUMNS[4:]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy compile model.onnx --device rpi4 --out compiled --explain")(compile)


def compile(
    model: Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="ONNX file with static shapes.")],
    device: Annotated[
        Optional[str],  # noqa: UP045 - evaluated at run time, by Python 3.10 too
        typer.Option("--device", help="Hardware profile: a name or a YAML file.  [default: host]"),
    ] = None,
    target: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--target",
            metavar="TRIPLE/cpu",
            help="Instead, LLVM's names: aarch64-linux-gnu/cortex-a76; or opencl, cuda, metal.",
        ),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="Folder for the artifacts.  [default: MODEL-DEVICE]"),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="List every layer's kernel, shape, MACs, bytes and times.")
    ] = False,
    producer: Annotated[
        str, typer.Option("--producer", help="Who computes convolutions: kernels (natdeploy's own) or relax (TVM).")
    ] = "kernels",
    as_json: options.Json = False,
) -> None:
    """Compile any ONNX model with static shapes, and check it against ONNX Runtime."""
    from natdeploy import verbs

    output.answer(
        as_json,
        lambda progress: verbs.compile(
            model, device=device, target=target, out=out, explain=explain, producer=producer, progress=progress
        ),
        _show,
    )


def _show(result: CompileResult) -> None:
    if result.layers:
        names = (*_COLUMNS, "threads") if result.layers[0].threads else _COLUMNS
        columns = [(name, name in _NUMBERS) for name in names]
        rows = [
            (
                layer.layer,
                layer.kernel,
                layer.tile,
                "x".join(map(str, layer.shape)),
                f"{layer.macs:,}",
                f"{layer.bytes:,}",
                *("-" if ms is None else f"{ms:.4f}" for ms in (layer.measured_ms, layer.predicted_ms)),
                *([layer.threads] if layer.threads else []),
            )
            for layer in result.layers
        ]
        tables.grid(f"{result.model}: {result.calls} calls of {result.kernels} kernels", columns, rows)
    if result.predictions:
        tables.say(f"predictions: {result.predictions}")
    tables.say(
        f"{result.macs:,} MACs, {result.arena_bytes:,} bytes of activations, {result.constant_bytes:,} of weights, "
        f"for {result.target['mtriple']} / {result.target.get('mcpu', result.target['kind'])}"
    )
    if result.tuned:
        tables.say(f"tiles of {result.tuned} kernels come from this device's tuning record ({result.tuning})")
    if result.verified:
        tables.say(
            f"verified on {result.verified.where}: {result.verified.inputs} random inputs differ from ONNX Runtime by "
            f"at most {result.verified.max_rel_error:.2g} of the largest value (allowed {result.verified.allowed:g})"
        )
    else:
        tables.say(f"not verified: {result.not_verified}")
    if result.target["kind"] == "opencl" and "executable" not in result.artifacts:
        tables.say("OpenCL's C program is for your app to build (CMakeLists.txt); linking it here takes an Android NDK")
    tables.say(f"artifacts: {result.out} ({', '.join(result.artifacts.values())})")
