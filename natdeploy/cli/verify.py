"""``natdeploy verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.verify import VerifyResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy verify runs/digits/bundles/host-06050d6e91ea")(verify)


def verify(
    bundle: options.Bundle,
    signature_command: Annotated[
        Optional[str],  # noqa: UP045 - evaluated at run time, by Python 3.10 too
        typer.Option(
            "--signature-command",
            metavar="COMMAND",
            help="Program that checks the signature: '... {signature} {file}'; the bundle must be signed then.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Check a bundle from itself alone.

    Checksums, manifest, and the outputs of every artifact against the recorded reference outputs.
    """
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.verify(bundle, signature_command=signature_command), _show)


def _show(result: VerifyResult) -> None:
    rows = [
        (item.path, item.runtime, item.images, f"{item.max_abs_error:.2g}", f"{item.allowed:.2g}")
        for item in result.artifacts
    ]
    columns = (
        ("artifact", False),
        ("runtime", False),
        ("images", True),
        ("largest difference", True),
        ("allowed", True),
    )
    tables.grid(f"{result.name}: verified", columns, rows)
    tables.say(f"{result.files} files, all checksums hold; signature: {result.signature}")
