"""Training for as many seconds of processor time as NAT took: a supernet ahead of its search, or one subnet alone."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from natdeploy.data import Dataset
    from natdeploy.runs import AdaptSettings, RunConfig
    from natdeploy.spaces import Arch
    from natdeploy.transfer.average import MovingAverage, Network


class _TimeIsUp(Exception):
    """The step that used up the last second is done."""


def trained_ahead(dataset: Dataset, config: RunConfig, seconds: float, path: Path) -> float:
    """Train the shipped supernet as a search's warm-up does, and write the moving average of its weights to ``path``.

    Returns the seconds of processor time that it took, those that were asked for and the rest of the last step.

    First the largest subnet alone, for as many epochs as in ``config``, then drawn subnets of the whole space as well,
    as long as there is time. The learning rate falls as it does in the search: by epochs at first, as if there were as
    many in all as ``config`` has, then with time (:class:`natdeploy.transfer.Adaptation` goes by epochs to the end).
    """
    import torch

    from natdeploy.supernets import load_supernet, save_supernet
    from natdeploy.transfer.batches import TrainingBatches
    from natdeploy.transfer.compute import compute_device, placed
    from natdeploy.transfer.epoch import train_epoch
    from natdeploy.transfer.optimizer import cosine, sgd

    adapt = config.adapt
    torch.manual_seed(config.seed)
    supernet = placed(load_supernet(num_classes=len(dataset.classes)), compute_device())
    space, alone = supernet.space, adapt.largest_epochs
    average = _average(supernet, adapt)
    optimizer = sgd(supernet, weight_decay=adapt.weight_decay)
    batches = TrainingBatches.of(dataset, space.resolutions[-1], adapt.batch_size, adapt.augmentation)
    share_alone = alone / (adapt.epochs_before_search + config.search.iterations * adapt.epochs_per_iteration)
    started, epoch, drawn_since = time.process_time(), 0, 0.0

    def passed() -> float:
        return time.process_time() - started

    def lr(fraction: float) -> float:
        if epoch < alone:
            done = share_alone * (epoch + fraction) / alone
        else:
            left = max(seconds - drawn_since, 1e-9)
            done = share_alone + (1 - share_alone) * (passed() - drawn_since) / left
        return cosine(min(done, 1.0), adapt.lr, warm_up=0.05)

    def after_step() -> None:
        average.step()
        if passed() >= seconds:
            raise _TimeIsUp

    def students(rng: np.random.Generator) -> list[Arch]:
        return [space.sample(rng) for _ in range(0 if epoch < alone else adapt.subnets_per_step)]

    try:
        while True:
            train_epoch(
                supernet,
                optimizer,
                adapt,
                batches,
                key=[config.seed, 0, epoch],
                students=students,
                lr=lr,
                device=compute_device(),
                after_step=after_step,
            )
            epoch += 1
            if epoch == alone:
                drawn_since = passed()
    except _TimeIsUp:
        took = passed()
    save_supernet(path, average.network, {"classes": list(dataset.classes)})
    return took


def trained_alone(arch: Arch, dataset: Dataset, config: RunConfig, seconds: float) -> tuple[float, float]:
    """Top-1 on the fold's images of one subnet that was trained alone for so many seconds, and how many it was.

    What is judged is the moving average of its weights, calibrated, as in a search. Raises TrainingDiverged when a loss
    is not a number.
    """
    import torch
    from torch.nn import functional as F

    from natdeploy.supernets import extract, load_supernet
    from natdeploy.transfer import Calibration, evaluate
    from natdeploy.transfer.batches import TrainingBatches
    from natdeploy.transfer.compute import compute_device, keep_freed_memory, placed
    from natdeploy.transfer.evaluate import recalibrate
    from natdeploy.transfer.optimizer import cosine, set_learning_rate, sgd
    from natdeploy.transfer.step import TrainingDiverged

    keep_freed_memory()
    torch.manual_seed(config.seed)
    subnet = placed(extract(load_supernet(num_classes=len(dataset.classes)), arch), compute_device()).train()
    adapt = config.adapt
    batches = TrainingBatches.of(dataset, arch.r, adapt.batch_size, adapt.augmentation)
    optimizer = sgd(subnet, weight_decay=adapt.weight_decay)
    average = _average(subnet, adapt)
    rng, started, passed = np.random.default_rng(config.seed), time.process_time(), 0.0
    while passed < seconds:
        for images, labels in batches.epoch(rng, compute_device()):
            set_learning_rate(optimizer, cosine(min(1.0, passed / seconds), adapt.lr, warm_up=0.05))
            optimizer.zero_grad()
            loss = F.cross_entropy(subnet(images), labels, label_smoothing=adapt.label_smoothing)
            if not math.isfinite(loss.item()):
                raise TrainingDiverged(f"training {arch.id} alone diverged: loss {loss.item()}")
            loss.backward()
            torch.nn.utils.clip_grad_norm_(subnet.parameters(), adapt.clip)
            optimizer.step()
            average.step()
            passed = time.process_time() - started
            if passed >= seconds:
                break
    judged = average.network
    recalibrate(judged, arch, dataset, Calibration.of(adapt, config.seed), varied_at=arch.r)
    return evaluate(judged, arch, dataset, split="test").top1, passed


def _average(network: Network, adapt: AdaptSettings) -> MovingAverage[Network]:
    """What is judged: all ways by an average, or the comparison is not fair."""
    from natdeploy.transfer.average import MovingAverage, averaging

    how = averaging(adapt)
    if how is None:
        raise ValueError("the ways' settings have neither ema nor average_age")
    return MovingAverage(network, how)
