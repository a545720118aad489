"""``build``: from a searched architecture to a verified, measured bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.verbs.bundle_info import BundleInfo, bundle_info
from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.devices import Via


@dataclass(frozen=True)
class BuildResult(Result):
    """What was built.

    Attributes:
        run: the run's folder.
        bundles: one per pick and data set; picks that chose the same architecture share one.
        further_tasks: of a run of several data sets, the further ones that were not built for.
    """

    run: Path
    bundles: tuple[BundleInfo, ...]
    further_tasks: tuple[str, ...] = ()


def build(
    run: str | Path,
    *,
    pick: str | Sequence[str] = "best",
    out: str | Path | None = None,
    device: str | None = None,
    task: str | Sequence[str] | None = None,
    supernet: str | None = None,
    data: str | None = None,
    attempts: int = 5,
    finetune_epochs: int = 0,
    via: Via | None = None,
    unit: str | None = None,
    ray: str | None = None,
    progress: Progress | None = None,
) -> BuildResult:
    """Extract, export, compile, verify, measure and bundle; a model that measures over the budget is not shipped.

    Args:
        run: folder of a finished search.
        pick: ``best``, ``knee``, ``fastest``, an architecture's id, or several of them; ``front`` is all of the front.
        out: folder for the bundles; None means ``bundles`` in the run's folder.
        device: hardware profile; None means the one that the search was for. For one that is not this machine, an
            executable is cross-compiled and verified under emulation, and measured where the search was for it and it
            is attached.
        task: of a run of several data sets, the further one to build for, by its name there, or several of them: what
            ships has its weights and classes, and is chosen by the accuracy on it. ``all``: these and the run's own
            data set, which is the one where none is named. They are built one after the other; where one fails, those
            before it are there.
        supernet, data: for a run whose accuracies were predicted: a checkpoint (or its address) and images that
            calibrate its batch norm; where these have the weights' classes, the accuracy is measured. None takes those
            that the search was given.
        attempts: how many architectures each pick may try.
        finetune_epochs: epochs that each one is trained on its own before it is built, after a quarter as many of its
            classifier alone; where it is worse on validation images then, the network stays as it was. 0: none.
        via, unit: way to a device that is not this machine, and which one of several; it must be there then.
        ray: address of a Ray cluster that compiles the first choices of all picks; ``"local"`` for one of its own.
        progress: told what is going on.

    Raises:
        BadInput: not a run, an unknown pick or data set, or weights or images are missing; the message says where to
            get them.
        BudgetNotMet: nothing that was built measured within the budget.
        DeviceNotReachable: the device is not this machine and there is no emulator of it.
        VerificationFailed: a compiled model disagrees with its source.
    """
    from natdeploy.deploy import build as make
    from natdeploy.devices.units import Access
    from natdeploy.ground.cluster import connected
    from natdeploy.runs import RunFolder, tasks_to_build

    folder = RunFolder(run)
    tasks = tasks_to_build(folder, task)
    where = None if out is None else Path(out)
    bundles: list[BundleInfo] = []
    with connected(ray) as cluster:
        for number, name in enumerate(tasks):
            built = make(
                folder,
                pick=pick,
                out=where,
                device=device,
                task=name,
                supernet=supernet,
                data=data,
                attempts=attempts,
                finetune_epochs=finetune_epochs,
                access=None if via is None and unit is None else Access(via, () if unit is None else (unit,)),
                cluster=cluster,
                progress=_part(progress, name, number, len(tasks)),
            )
            bundles += (bundle_info(item.path, item.manifest) for item in built)
    left = tuple(name for name in folder.config().further_data if name not in tasks)
    return BuildResult(folder.path, tuple(bundles), left)


def _part(progress: Progress | None, task: str, number: int, count: int) -> Progress | None:
    """Progress of one data set's build as progress of all."""
    if progress is None:
        return None
    return lambda stage, fraction: progress(f"{task}: {stage}" if task else stage, (number + fraction) / count)
