"""``natdeploy devices``: lists them; with a name shows one; ``add`` writes one, ``retire`` leaves its timings out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer
from typer.core import TyperGroup

from natdeploy.cli import options, output, tables

if TYPE_CHECKING:
    from natdeploy.verbs.add_device import AddDeviceResult, Answers
    from natdeploy.verbs.devices import DeviceInfo, DevicesResult
    from natdeploy.verbs.retire_timings import RetireResult


#: Preferred way to a device -> what such devices are.
_GROUPS = {
    "local": "This machine",
    "adb": "Phones, behind adb",
    "ssh": "Boards and servers, behind ssh",
    "tvm-rpc": "Behind TVM's RPC tracker",
    "qemu": "Emulated",
}


class _DevicesGroup(TyperGroup):
    """``devices`` and ``devices NAME`` mean ``devices show``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``show`` in front of arguments that begin with no command."""
        first = next((arg for arg in args if not arg.startswith("-")), None)
        if first not in self.commands and not {"-h", "--help"} & set(args):
            args = ["show", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    group = typer.Typer(name="devices", cls=_DevicesGroup, rich_markup_mode=None, add_completion=False)
    group.callback(epilog="Example: natdeploy devices; natdeploy devices pixel4 --json; natdeploy devices add --help")(
        _devices
    )
    group.command(epilog="Example: natdeploy devices show pixel4")(show)
    group.command(epilog="Example: natdeploy devices add my-board --from ssh:pi@raspberrypi.local")(add)
    group.command(epilog="Example: natdeploy devices retire host; natdeploy profile --device host")(retire)
    app.add_typer(group)


def _devices() -> None:
    """List hardware profiles, show one (devices NAME), add one of your own (add), or retire its timings (retire).

    All take --json.
    """


def show(
    name: Annotated[Optional[str], typer.Argument(metavar="[NAME]", help="Show this one.")] = None,  # noqa: UP045
    as_json: options.Json = False,
) -> None:
    """List hardware profiles, or show one with what is known of it; the word show may be left out."""
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.devices(name), lambda result: _show(result, name is not None))


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What --device will take.")],
    source: Annotated[
        Optional[str],  # noqa: UP045 - evaluated at run time, by Python 3.10 too
        typer.Option(
            "--from",
            metavar="SOURCE",
            help="Whom to ask: local (this machine), adb or adb:SERIAL, ssh:[USER@]HOST[:PORT], or a file with the "
            "output of uname -m, /proc/cpuinfo, lscpu, getprop (- for standard input). Without it you are asked.",
        ),
    ] = None,
    title: Annotated[Optional[str], typer.Option("--title", help="The device's name for people.")] = None,  # noqa: UP045
    set_: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="FIELD=VALUE", help="Any field of the profile: clusters.0.clock_mhz=2400."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a profile of yours that has this name.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write a hardware profile of your own, from what a device says of itself or from your answers.

    It goes to a folder of yours that is looked up before the shipped profiles.
    """
    from natdeploy import verbs
    from natdeploy.cli.interview import described_by_user
    from natdeploy.verbs.add_device import Output

    changes = options.assignments(set_)
    facts: str | Output | Answers
    if source == "-":
        facts = Output(sys.stdin.read())
    else:
        facts = source if source is not None else described_by_user()
    output.answer(
        as_json,
        lambda progress: verbs.add_device(name, facts, title=title, changes=changes, replace=force),
        _added,
    )


def retire(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Hardware profile of the device.")],
    as_json: options.Json = False,
) -> None:
    """Use no timing of a device any more that was taken until now, because it was busy or hot then.

    Timings, predictors and runs stay where they are; the device is profiled anew the next time it is needed. Runs that
    searched with the old timings cannot be built any more.
    """
    from natdeploy import verbs

    output.answer(as_json, lambda progress: verbs.retire_timings(name), _retired)


def _retired(result: RetireResult) -> None:
    tables.say(f"{result.timings} timings of {result.device} stay stored ({result.retired}) and are not used any more")
    tables.say(f"take new ones, while the device does nothing else: natdeploy profile --device {result.device}")


def _added(result: AddDeviceResult) -> None:
    tables.grid(f"{result.name}: {result.path}", (("field", False), ("value", False)), tables.flat(result.profile))
    if result.hides:
        tables.say(f"hides the shipped profile {result.hides}")
    if result.unknown:
        tables.say(f"nothing told {', '.join(result.unknown)}; fill in what you know")


def _show(result: DevicesResult, in_full: bool) -> None:
    if in_full:
        _show_one(result.devices[0])
        return
    groups: dict[str, list[DeviceInfo]] = {}
    for device in result.devices:
        groups.setdefault("Your own profiles" if device.own else _GROUPS[device.reach[0]], []).append(device)
    for title in ("Your own profiles", *_GROUPS.values()):
        if rows := [(device.name, device.title, device.soc or "-") for device in groups.get(title, [])]:
            tables.grid(title, [("name", False), ("device", False), ("processor", False)], rows)
    tables.say("natdeploy devices NAME shows one in full, natdeploy devices add NAME writes one of your own.")


def _show_one(device: DeviceInfo) -> None:
    from natdeploy.report import quality_table

    tables.say(f"{device.name}: {device.title}" + (f", {device.soc}" if device.soc else ""))
    tables.say(f"reached by: {', '.join(device.reach)}" + (" (it is this machine)" if device.here else ""))
    tables.say(f"fingerprint: {device.fingerprint}")
    counts = ", ".join(f"{count} {role}" for role, count in (device.measurements or {}).items())
    tables.say(f"stored timings: {counts or 'none; natdeploy profile takes some'}")
    if device.profile:
        tables.grid("Profile", (("field", False), ("value", False)), tables.flat(device.profile))
    for predictor in device.predictors:
        title = f"Predictor for {predictor.space} with {predictor.runtime} ({predictor.source})"
        tables.draw(quality_table(predictor.quality, title))
    for problem in device.problems:
        tables.say(f"unusable predictor: {problem}")
    if not device.predictors and not device.problems:
        tables.say("predictors: none")
