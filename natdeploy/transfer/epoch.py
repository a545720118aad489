"""One epoch of elastic training, whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch

from natdeploy.spaces.arch import Arch
from natdeploy.supernets import MobileNetV3Supernet
from natdeploy.transfer.batches import TrainingBatches
from natdeploy.transfer.crew import replicas
from natdeploy.transfer.lesson import Teacher
from natdeploy.transfer.optimizer import set_learning_rate
from natdeploy.transfer.step import elastic_step


class StepSettings(Protocol):
    """What pre-training and adaptation both say of a step; the meanings are :func:`elastic_step`'s."""

    @property
    def distillation(self) -> float:
        """Weight of the teacher in a student's loss."""

    @property
    def label_smoothing(self) -> float:
        """Of the labels' distribution."""

    @property
    def clip(self) -> float:
        """Largest norm of the gradient."""

    @property
    def parts(self) -> int:
        """Of a batch, trained side by side."""


def train_epoch(
    supernet: MobileNetV3Supernet,
    optimizer: torch.optim.Optimizer,
    settings: StepSettings,
    batches: TrainingBatches,
    *,
    key: Sequence[int],
    students: Callable[[np.random.Generator], Sequence[Arch]],
    lr: Callable[[float], float],
    device: torch.device,
    student_weight: float = 1.0,
    teacher: Teacher | None = None,
    teacher_weight: float = 0.0,
    progress: Callable[[str, float], None] | None = None,
    after_step: Callable[[], None] | None = None,
) -> float:
    """Train on every batch once.

    Args:
        key: of the random generator that draws order, augmentation and students.
        students: the subnets of a step beside the largest.
        student_weight, teacher, teacher_weight: see :func:`elastic_step`.
        lr: learning rate at a fraction of the epoch, 0..1.
        progress: told the mean loss of the last 50 steps, in words, and the fraction of the epoch, after each step.
        after_step: called when the weights have changed.

    Returns:
        The largest subnet's mean loss. Raises TrainingDiverged when a loss is not a number.
    """
    losses: list[float] = []
    rng = np.random.default_rng(list(key))
    with replicas(supernet, settings.parts) as side_by_side:
        for step, (images, labels) in enumerate(batches.epoch(rng, device)):
            fraction = step / len(batches)
            set_learning_rate(optimizer, lr(fraction))
            loss = elastic_step(
                side_by_side,
                optimizer,
                images,
                labels,
                students(rng),
                distillation=settings.distillation,
                student_weight=student_weight,
                teacher=teacher,
                teacher_weight=teacher_weight,
                label_smoothing=settings.label_smoothing,
                clip=settings.clip,
            )
            losses.append(loss)
            if after_step:
                after_step()
            if progress:
                progress(f"loss {np.mean(losses[-50:]):.3f}", fraction)
    return float(np.mean(losses))
