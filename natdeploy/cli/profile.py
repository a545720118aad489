"""``natdeploy profile``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from natdeploy.cli import options, output, tables
from natdeploy.ground.errors import BadInput

if TYPE_CHECKING:
    from natdeploy.verbs.check_profile import CheckResult
    from natdeploy.verbs.profile import KernelProfile, PlanResult, ProfileResult, RuntimeProfile


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: natdeploy profile --device pixel4 --plan")(profile)


def profile(
    device: options.Device = "host",
    space: options.Space = "mbv3-micro",
    runtime: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--runtime", metavar="NAME", help="Runtime to time; may be given again. Without it all that the device has."
        ),
    ] = None,
    networks: Annotated[
        int,
        typer.Option(
            "--networks", help="Subnets to train the predictor on; below 30 it learns from other devices, too."
        ),
    ] = 120,
    holdout: Annotated[int, typer.Option("--holdout", help="Further subnets to judge it by.")] = 40,
    target_within10: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--target-within10",
            metavar="SHARE",
            help="Begin with few subnets, add those it is least sure of, until this share is predicted within 10 %.",
        ),
    ] = None,
    minutes: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--minutes", help="Likewise, and stop after so many minutes for each runtime."),
    ] = None,
    level: Annotated[
        str,
        typer.Option(
            "--level",
            metavar="network|kernel|both",
            help="Time whole subnets, single kernels and few subnets, or both.",
        ),
    ] = "network",
    seed: options.Seed = 0,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only print what would be timed and how long it takes; touch nothing.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only time eight stored subnets again and say whether the predictor still holds."),
    ] = False,
    via: options.Via = None,
    unit: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--unit",
            help="A unit: a serial (adb), a host (ssh), a key (tvm-rpc). Given again, the units share the work.",
        ),
    ] = None,
    devices_matching: Annotated[
        int, typer.Option("--devices-matching", min=1, help="Share the work among so many attached units.")
    ] = 1,
    as_json: options.Json = False,
) -> None:
    """Time subnets on a device and train its predictors.

    Each of the device's runtimes has a predictor of its own. A phone is timed over adb, a board over ssh, as its
    profile says. Every sample is stored at once; started again, the command takes only those that are missing.
    """
    from natdeploy import verbs

    way: Any = via  # any text: the profile says which ways there are
    asked: dict[str, Any] = {
        "space": space,
        "runtimes": runtime,
        "networks": networks,
        "holdout": holdout,
        "target_within10": target_within10,
        "minutes": minutes,
        "level": level,
        "seed": seed,
        "via": way,
        "units": unit or (),
        "devices_matching": devices_matching,
    }
    if plan and check:
        raise BadInput("--plan touches nothing and --check times networks; give one of them")
    if check:
        output.answer(as_json, lambda progress: _checked(device, asked, progress), _show_check)
    elif plan:
        output.answer(as_json, lambda progress: verbs.plan_profile(device, **asked), _show_plan)
    else:
        output.answer(as_json, lambda progress: verbs.profile(device, **asked, progress=progress), _show)


def _checked(device: str, asked: dict[str, Any], progress: Any) -> CheckResult:
    from natdeploy.verbs.check_profile import check_profile

    taken = {name: asked[name] for name in ("space", "runtimes", "via", "units")}
    return check_profile(device, **taken, progress=progress)


def _show_check(result: CheckResult) -> None:
    for one in result.runtimes:
        verdict = "still holds" if one.holds else "does NOT hold any more: profile again"
        tables.say(f"{result.device}, {result.space}, {one.runtime}: the predictor {verdict}")
        tables.say(
            f"  {one.inside} of {one.networks} subnets timed again lie in their {100 * one.coverage:.0f} % intervals; "
            f"they take {one.to_prediction:.3f} times the prediction, {one.to_stored:.3f} times what was stored"
        )
        tables.say(f"  the reference takes {one.pace:.3f} times its baseline, which is divided out")
        if one.slow_baseline:
            tables.say(
                "  so the device was slower when it was first timed (busy, or hot), and latencies are those of then"
            )
            tables.say(f"  to take them anew: natdeploy devices retire {result.device}, and profile it again")
        for text in one.changed:
            tables.say(f"  changed since: {text}")


def _show(result: ProfileResult) -> None:
    from natdeploy.report import quality_table

    for item in result.runtimes:
        tables.draw(quality_table(item.quality, f"{result.device}, {result.space}, {item.runtime} ({item.source})"))
        if item.others:
            tables.say(
                f"{item.source}: {item.quality.training_networks} timed subnets of {result.device}, {item.others}"
            )
        if item.kernels is not None:
            tables.say(_kernels(item.kernels))
        if item.energy is not None:
            tables.say(_energy(item))
    if result.units:
        columns = (("unit", False), ("timings", True), ("untrusted", True), ("its reference", True))
        rows = [(one.unit, one.timings, one.untrusted, f"{one.reference_ratio:.3f} x") for one in result.units]
        tables.grid("Units; what the reference takes on them is divided out", columns, rows)


def _energy(item: RuntimeProfile) -> str:
    energy = item.energy
    assert energy is not None
    if energy.source is None:
        return f"energy: not known: {energy.reason}"
    how = f"measured by {energy.meter}" if energy.source == "measured" else f"MODELLED from {energy.meter}"
    return (
        f"energy: {energy.least_mj:.3g} to {energy.most_mj:.3g} mJ a run, median {energy.median_mj:.3g} mJ, {how} "
        f"({energy.networks} timings)"
    )


def _kernels(kernels: KernelProfile) -> str:
    joined = ", ".join(f"{pair} ({100 * share:.0f} % saved)" for pair, share in kernels.joined.items()) or "none"
    return (
        f"kernels: {sum(kernels.timed.values())} timed; computed together: {joined}; a network takes "
        f"{kernels.scale:.2f} times the sum of its kernels and {kernels.constant_ms:.3g} ms, which is within 10 % for "
        f"{100 * kernels.quality.within10:.0f} % of {kernels.quality.networks} networks never trained on"
    )


def _show_plan(result: PlanResult) -> None:
    who = ", ".join(result.units) if result.units else f"{result.devices} unit{'s' if result.devices > 1 else ''}"
    place = "this machine" if result.via == "local" else f"{who}, reached by {result.via}"
    tables.say(f"would time {result.space} on {result.device} ({place}):")
    for one in result.runtimes:
        counts = ", ".join(f"{count} {role}" for role, count in one.networks.items())
        tables.say(
            f"  {one.runtime}: {counts}; {one.stored} of them are stored already; "
            f"the others take {_duration(one.least_s)} to {_duration(one.most_s)}"
        )
    protocol = result.protocol
    tables.say(
        f"each by {protocol.min_visits} to {protocol.max_visits} visits of {protocol.visit_ms:g} ms, the reference "
        f"network in between, until its median is known to {100 * protocol.target_relative_ci:g} %, with "
        f"{protocol.threads} thread{'s' if protocol.threads > 1 else ''}"
    )
    tables.say("kernels never compiled for the device come on top; nothing was touched")


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
