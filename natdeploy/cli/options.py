"""Options that several verbs take, in one place so that they mean the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from natdeploy.ground.errors import BadInput

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; everything else goes to stderr.")]
Device = Annotated[
    str, typer.Option("--device", help="Hardware profile: a name (see natdeploy devices) or a YAML file.")
]
Space = Annotated[str, typer.Option("--space", help="Search space.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of everything random.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]
Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of a bundle.")]
Via = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--via", help="Way to the device: adb, ssh or tvm-rpc; without it the profile's preferred one."),
]
Unit = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--unit", help="Which one of several: a serial (adb), a host (ssh) or a key (tvm-rpc)."),
]
Ray = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Ray cluster that evaluates subnets and compiles; local: one of its own on this machine's processors.",
    ),
]
LatencyMs = Annotated[
    Optional[str],  # noqa: UP045 - evaluated at run time, by Python 3.10 too
    typer.Option(
        "--latency-ms",
        metavar="MS",
        help="Budget in milliseconds, or p40: the 40th percentile of the profiled random subnets.",
    ),
]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="FIELD=VALUE", help="Any other field of a job: search.iterations=3."),
]


def assignments(items: list[str] | None) -> dict[str, Any]:
    """``FIELD=VALUE`` texts as a mapping, values read as YAML. Raises BadInput for what is not of that form.

    No value at all is an error, too: it could only mean that the field is left out.
    """
    import yaml

    found: dict[str, Any] = {}
    for item in items or []:
        field, _, text = item.partition("=")
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise BadInput(f"--set {item!r}: the value is not plain YAML") from None
        if not field.strip() or value is None:
            raise BadInput(f"--set {item!r}: expected FIELD=VALUE, for instance search.iterations=3")
        found[field.strip()] = value
    return found
