"""``build``: from a finished run to bundles that meet its budget as measured."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.deploy.budget import MOST_ATTEMPTS
from natdeploy.deploy.manifest import Manifest
from natdeploy.devices import HardwareProfile, device_fingerprint, load_profile
from natdeploy.devices.retired import is_retired
from natdeploy.devices.units import Access
from natdeploy.ground.cluster import Cluster
from natdeploy.ground.errors import BadInput, DeviceNotReachable
from natdeploy.runs import RunFolder, ServedRun, note_bundle

if TYPE_CHECKING:
    from natdeploy.latency import LatencyModel
    from natdeploy.measure import MeasurementStore


@dataclass(frozen=True)
class BuiltBundle:
    """A bundle that was written.

    Attributes:
        path: its folder.
        manifest: what it says of itself; ``manifest.latency.missed`` lists attempts that measured over the budget.
    """

    path: Path
    manifest: Manifest


def build(
    run: RunFolder,
    *,
    pick: str | Sequence[str] = "best",
    out: Path | None = None,
    device: str | None = None,
    task: str = "",
    supernet: str | None = None,
    data: str | None = None,
    store: MeasurementStore | None = None,
    attempts: int = MOST_ATTEMPTS,
    finetune_epochs: int = 0,
    access: Access | None = None,
    cluster: Cluster | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> list[BuiltBundle]:
    """Build, verify and measure models of a finished run, and pack them once every pick has found one.

    Args:
        run: the run.
        pick: ``best``, ``knee``, ``fastest``, an architecture's id, or several of these; ``front`` is all of the front
            (its members that measure over the budget are left out). Picks that choose one architecture share a bundle.
        out: folder for the bundles; None means ``bundles`` in the run's folder.
        device: hardware profile; None means the one that the search was for, of several the first; another one of them
            has its own budget. For a device that is not this machine, an executable is cross-compiled and verified
            under emulation. If the search was for it by a predictor that was measured on it, and it is attached, models
            are measured there; otherwise nothing is, no budget is promised, and its latency is predicted only where the
            search was for that device.
        task: name of one of the run's further data sets: its weights, its images, its accuracies choose and are built;
            empty for the run's own data set.
        supernet, data: for a run whose accuracies were predicted: a checkpoint, and images that calibrate its batch
            norm and, where they have the weights' classes, measure the accuracy. None: those named for the search.
        store: where timings go; None means the user's own.
        attempts: how many architectures each pick may try.
        finetune_epochs: how long each one that is tried is trained on its own before, see
            :func:`natdeploy.transfer.fine_tune`; 0: not at all.
        access: how to reach a device that is not this machine; it must be there then.
        cluster: where the first choices of all picks are compiled, side by side; None for here.
        progress: told the stage and the fraction done.

    Raises:
        BadInput: unfinished run, changed data, unknown id or data set, no attempt; no weights, where the run has none.
        DeviceNotReachable: the run's latencies are for another device than the one that is here, or no emulator of
            the device is.
        BudgetNotMet: a pick found nothing that measures within the budget; no bundle is written.
        VerificationFailed: an artifact disagrees with the torch module; no bundle is written.
    """
    # Imported here, because the rest of this room (verify, predict) needs neither torch nor XGBoost.
    from natdeploy.deploy.built_run import BuiltRun
    from natdeploy.deploy.candidate import Workshop
    from natdeploy.deploy.chooser import CHOOSING, Chooser
    from natdeploy.deploy.elsewhere import choose_unmeasured
    from natdeploy.deploy.pack import pack
    from natdeploy.deploy.reachable import can_be_timed
    from natdeploy.deploy.spread import compile_on, first_choices
    from natdeploy.deploy.weights import run_weights
    from natdeploy.latency import LatencyModel, telling
    from natdeploy.measure import MeasurementStore
    from natdeploy.measure.builds import scratch_folder
    from natdeploy.transfer import Calibration

    if attempts < 1:
        raise BadInput(f"attempts: expected at least 1, not {attempts}")
    if finetune_epochs < 0:
        raise BadInput(f"finetune_epochs: expected 0 or more, not {finetune_epochs}")
    done = 0.0

    def tell(stage: str, fraction: float) -> None:
        nonlocal done
        done = fraction
        if progress:
            progress(stage, fraction)

    served = ServedRun(run, device, task)
    config = served.config()
    if not run.is_finished:
        raise BadInput(f"{run.path}: the search has not finished; run natdeploy search again to continue it")
    tell("loading the run", 0.0)
    profile = load_profile(device or config.device)
    searched_for = telling(LatencyModel.load(served.latency_model_path), progress)
    (access or Access()).check(profile)
    here = profile.is_this_machine
    same = device is None or profile.name == load_profile(config.device, derive=False).name
    model = searched_for if here or same else None
    if model is not None:
        _refuse_other_device(run, model, profile)
    weights = run_weights(served, config, supernet, data, tell)
    classes = len(weights.dataset.classes)
    built_run = BuiltRun(run, device, task, classes, searched_for)
    if run.config().further_data:
        tell(f"building for the data set {task or config.data}", 0.0)
    if finetune_epochs and not weights.judged:
        raise BadInput("finetune_epochs: the images' classes are not those of the weights; give images that fit")
    store = store or MeasurementStore()
    out = Path(out or run.path / "bundles")
    with _threads(config.threads), scratch_folder() as folder:
        workshop = Workshop(
            weights=weights,
            profile=profile,
            store=store,
            calibration=Calibration.of(config.adapt, config.seed),
            seed=config.seed,
            folder=folder,
            access=access or Access(),
            finetune_epochs=finetune_epochs,
            augmentation=config.adapt.augmentation,
            say=lambda what: tell(what, done),
        )
        picks = [pick] if isinstance(pick, str) else list(pick)
        if cluster is not None:
            tell("compiling on the cluster", 0.02)
            compile_on(cluster, first_choices(built_run, picks), classes, profile)
        if here or can_be_timed(profile, model, access, tell):
            chooser = Chooser(built_run, searched_for, workshop, attempts, tell)
            chosen = chooser.choose(picks)
            model = chooser.model
        else:
            chosen = choose_unmeasured(built_run, workshop, picks, tell)
        bundles = []
        for number, one in enumerate(chosen):
            tell(f"packing {one.met.entry.arch.id}", CHOOSING + (1 - CHOOSING) * number / len(chosen))
            bundles.append(BuiltBundle(*pack(built_run, workshop, model, one, out)))
            note_bundle(run, bundles[-1].path)
    tell("done", 1.0)
    return bundles


def _refuse_other_device(run: RunFolder, model: LatencyModel, profile: HardwareProfile) -> None:
    here = device_fingerprint(profile)
    if is_retired(model.device_fingerprint):
        raise BadInput(
            f"{run.path}: the timings of {model.device} that its budget is in terms of were retired; search again"
        )
    if model.device_fingerprint != here:
        raise DeviceNotReachable(
            f"{run.path}: the search was for {model.device} with fingerprint {model.device_fingerprint}, but the one "
            f"that is here has {here}; build on that device, or search again for this one"
        )


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Torch with the search's own number of threads: sums depend on it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
