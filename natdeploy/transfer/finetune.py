"""Fine-tuning of a chosen subnet in two phases: the classifier alone, then everything.

The network is on its own by then: nothing is shared with others, so that its weights may serve it alone. NATv2 (Sarti
et al. 2023) ends with two phases, too; these are ours.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from natdeploy.data import Dataset
from natdeploy.spaces.arch import Arch
from natdeploy.supernets import Subnet
from natdeploy.transfer.batches import TrainingBatches
from natdeploy.transfer.calibration import Calibration
from natdeploy.transfer.compute import placed
from natdeploy.transfer.evaluate import evaluate, recalibrate
from natdeploy.transfer.memory import Say, nobody, train_within_memory
from natdeploy.transfer.optimizer import cosine, set_learning_rate, sgd
from natdeploy.transfer.step import TrainingDiverged

#: Peak learning rates of the two phases: a new classifier learns fast, what transferred is moved little.
HEAD_LR, LR = 0.05, 0.01
_CLIP = 5.0
_WEIGHT_DECAY = 1e-4


@dataclass(frozen=True)
class FineTuned:
    """A subnet after fine-tuning.

    Attributes:
        subnet: the better one of the network before and after, by top-1 on validation images.
        epochs: of the second phase; 0 where the network is as it was.
        before, after: top-1 on the validation images, shares.
    """

    subnet: Subnet
    epochs: int
    before: float
    after: float


def head_epochs(epochs: int) -> int:
    """Epochs of the first phase: a quarter of the second one's, at least one."""
    return max(1, epochs // 4)


def fine_tune(
    subnet: Subnet,
    arch: Arch,
    dataset: Dataset,
    epochs: int,
    *,
    batch_size: int = 64,
    augmentation: str = "auto",
    calibration: Calibration,
    seed: int = 0,
    say: Say = nobody,
) -> FineTuned:
    """Train a copy of a calibrated subnet on training images at its resolution; the validation images decide.

    Args:
        subnet: as :func:`natdeploy.transfer.calibrated_subnet` gives it; left as it is.
        arch: its architecture.
        dataset: training and validation part are used.
        epochs: of the second phase, at least one.
        batch_size: images a step.
        augmentation: one of :data:`natdeploy.transfer.AUGMENTATIONS`.
        calibration: of batch norm, once it is trained.
        seed: of order and augmentation.
        say: told what goes on.

    Raises TrainingDiverged when a loss, in training or of the validation images, or a gradient is not a number.
    """
    before = evaluate(subnet, arch, dataset, say=say).top1
    tuned = placed(copy.deepcopy(subnet), next(subnet.parameters()).device)
    batches = TrainingBatches.of(dataset, arch.r, batch_size, augmentation)
    head = tuned.get_submodule(next(layer.name for layer in reversed(tuned.layers) if layer.op == "linear"))
    for phase, (part, count, peak) in enumerate(((head, head_epochs(epochs), HEAD_LR), (tuned, epochs, LR))):
        optimizer = sgd(part, weight_decay=_WEIGHT_DECAY)
        for epoch in range(count):
            say(f"fine-tuning {arch.id}, phase {phase + 1} of 2: epoch {epoch + 1} of {count}")
            train = partial(
                _epoch,
                tuned,
                part,
                optimizer,
                peak=peak,
                place=(epoch, count),
                key=[seed, phase, epoch, int(arch.id, 16)],
            )
            _, batches = train_within_memory(batches, train, say, f"fine-tuning {arch.id}")
    recalibrate(tuned, arch, dataset, calibration, varied_at=arch.r, say=say)
    after = evaluate(tuned, arch, dataset, say=say)
    if not math.isfinite(after.loss):  # by its last step
        raise TrainingDiverged(f"fine-tuning diverged: loss {after.loss} of the validation images")
    better = after.top1 >= before
    return FineTuned(tuned if better else subnet, epochs if better else 0, before, after.top1)


def _epoch(
    subnet: Subnet,
    part: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: TrainingBatches,
    *,
    peak: float,
    place: tuple[int, int],
    key: list[int],
) -> None:
    """Train ``part`` on every batch once; batch norm keeps its statistics where only a part is trained."""
    subnet.train(part is subnet)
    for parameter in subnet.parameters():
        parameter.requires_grad_(part is subnet)
    for parameter in part.parameters():
        parameter.requires_grad_(True)
    device = next(subnet.parameters()).device
    for step, (images, labels) in enumerate(batches.epoch(np.random.default_rng(key), device)):
        set_learning_rate(optimizer, cosine((place[0] + step / len(batches)) / place[1], peak, warm_up=0.05))
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(subnet(images), labels)
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(part.parameters(), _CLIP))
        if not math.isfinite(loss.item()) or not math.isfinite(norm):
            raise TrainingDiverged(f"fine-tuning diverged: loss {loss.item()}, gradient norm {norm}")
        optimizer.step()
