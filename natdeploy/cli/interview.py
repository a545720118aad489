"""Asks the user what a device is made of. Questions go to stderr, so that stdout stays the answer's."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from natdeploy.ground.errors import BadInput

if TYPE_CHECKING:
    from natdeploy.verbs.add_device import Answers, Cores


def described_by_user() -> Answers:
    """The user's answers. Raises BadInput where nobody is there to be asked."""
    if not sys.stdin.isatty():
        raise BadInput(
            "devices add: nobody to ask; say with --from where the facts come from (local, adb, ssh:HOST, or a file)"
        )
    from natdeploy.verbs.add_device import Answers

    machine = typer.prompt("Architecture, as uname -m says it", default="aarch64", err=True)
    android = typer.confirm("Does it run Android?", default=False, err=True)
    cores: list[Cores] = []
    while kind := _cores("fastest" if not cores else "next (empty: that was all)"):
        cores.append(kind)
    memory_gib = typer.prompt("Main memory in GiB (0: unknown)", type=float, default=0.0, err=True)
    model = typer.prompt("Model, as Android's settings name it", err=True) if android else None
    return Answers(machine, tuple(cores), model, memory_gib or None)


def _cores(which: str) -> Cores | None:
    from natdeploy.verbs.add_device import Cores

    name = typer.prompt(f"Name of the {which} cores, for instance Cortex-A76", default="", show_default=False, err=True)
    if not name.strip():
        return None
    count = typer.prompt("How many of them", type=int, default=1, err=True)
    clock_mhz = typer.prompt("Their highest clock in MHz (0: unknown)", type=float, default=0.0, err=True)
    return Cores(name.strip(), count, clock_mhz or None)
