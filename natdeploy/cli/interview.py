"""Asks the user what a device is made of. Questions go to stderr, so that stdout stays the answer's."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from natdeploy.ground.errors import BadInput

if TYPE_CHECKING:
    from natdeploy.devices import Survey


def described_by_user() -> Survey:
    """The user's answers in the form of a survey. Raises BadInput where nobody is there to be asked."""
    if not sys.stdin.isatty():
        raise BadInput(
            "devices add: nobody to ask; say with --from where the facts come from (local, adb, ssh:HOST, FILE)"
        )
    from natdeploy.devices import CoreFacts, Survey

    machine = typer.prompt("Architecture, as uname -m says it", default="aarch64", err=True)
    android = typer.confirm("Does it run Android?", default=False, err=True)
    cores: dict[int, CoreFacts] = {}
    while True:
        which = "fastest" if not cores else "next (empty: that was all)"
        core = typer.prompt(
            f"Name of the {which} cores, for instance Cortex-A76", default="", show_default=False, err=True
        )
        if not core.strip():
            break
        count = typer.prompt("How many of them", type=int, default=1, err=True)
        clock_mhz = typer.prompt("Their highest clock in MHz (0: unknown)", type=float, default=0.0, err=True)
        fact = CoreFacts(model=core.strip(), clock_mhz=clock_mhz or None)
        cores |= dict.fromkeys(range(len(cores), len(cores) + max(0, min(count, 1024))), fact)
    memory_gib = typer.prompt("Main memory in GiB (0: unknown)", type=float, default=0.0, err=True)
    properties = {"ro.product.model": typer.prompt("Model, as Android's settings name it", err=True)} if android else {}
    return Survey(machine, cores, properties, memory_gib=memory_gib or None)
