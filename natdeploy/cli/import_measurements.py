"""``natdeploy import-measurements``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.import_measurements import ImportResult

Words = Optional[str]  # noqa: UP045


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(
        "import-measurements",
        epilog="Example: natdeploy import-measurements --format ofa-lut --device note10 224_lookup_table.yaml",
    )(import_measurements)


def import_measurements(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The published file, or a tidied CSV of it.")],
    format: Annotated[
        str,
        typer.Option(
            "--format", help="ofa-lut, proxyless-lut, msunas-lut, help, oneproxy, mobile-ml-benchmark or ncnn."
        ),
    ],
    device: Annotated[str, typer.Option("--device", help="Hardware profile that the latencies are of.")],
    named: Annotated[
        Words, typer.Option("--of", metavar="NAME", help="The device as the file names it, where it has several.")
    ] = None,
    source: Annotated[
        Words, typer.Option("--source", help="Where the file comes from, if not the usual place.")
    ] = None,
    licence: Annotated[Words, typer.Option("--licence", help="Its licence, if not the usual one.")] = None,
    published: Annotated[Words, typer.Option("--date", help="When it was published, if not the usual one.")] = None,
    runtime: Annotated[
        Words, typer.Option("--runtime", help="What ran the networks, if the file does not tell.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Keep latencies that others published of a device, with where they come from.

    They never mix with the device's own timings.
    """
    from natdeploy import verbs

    output.answer(
        as_json,
        lambda progress: verbs.import_measurements(
            *(file,),
            format=format,
            device=device,
            named=named,
            source=source,
            licence=licence,
            published=published,
            runtime=runtime,
        ),
        _show,
    )


def _show(result: ImportResult) -> None:
    counts = ", ".join(f"{count} {kind}s" for kind, count in result.counts.items())
    tables.say(f"{result.device}: published latencies of {counts}, kept in {result.stored}")
    tables.say(f"source: {result.source}; licence: {result.licence}; {result.published}")
    tables.say(f"runtime: {', '.join(result.runtimes) or result.runtime}")
    for text in result.uses:
        tables.say(text)
