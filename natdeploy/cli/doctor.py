"""``natdeploy doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.doctor import Check, DoctorResult


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy doctor --json")(doctor)


def doctor(as_json: options.Json = False) -> None:
    """Say which tools are usable here.

    TVM, ONNX Runtime, compilers, emulators, adb, GPU; and how to get what is missing.
    """
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.doctor(), _show)


def _show(result: DoctorResult) -> None:
    rows = [(check.name, _usable(check), check.purpose, check.detail, check.remedy) for check in result.checks]
    columns = ("tool", "usable", "what for", "found", "how to get it")
    tables.grid("Tools", [(name, False) for name in columns], rows)
    tables.say("ready for the main job on this machine" if result.ready else "not ready: see the rows marked MISSING")


def _usable(check: Check) -> str:
    return "yes" if check.usable else "MISSING" if check.required else "no"
