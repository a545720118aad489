"""One optimisation step of a supernet: several subnets, the largest of which teaches the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from natdeploy.ground.errors import BadInput
from natdeploy.spaces.arch import Arch
from natdeploy.transfer.lesson import Lesson, Teacher
from natdeploy.transfer.replicas import Replicas


class TrainingDiverged(BadInput):
    """The loss is not a number, so that settings, weights or images do not go together: exit 2."""


def elastic_step(
    replicas: Replicas,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    students: Sequence[Arch],
    *,
    distillation: float,
    label_smoothing: float,
    clip: float,
    student_weight: float = 1.0,
    teacher: Teacher | None = None,
    teacher_weight: float = 0.0,
) -> float:
    """Train the largest subnet on labels and ``students`` on labels and its predictions; gradients add up.

    The largest subnet sees the batch as it is and students see it at their own resolution (the sandwich rule of Yu et
    al. 2020). ``distillation`` is the weight of the teacher in a student's loss, the labels have the rest;
    ``student_weight`` is that of a student's loss beside the largest subnet's. ``teacher_weight`` is that of
    a ``teacher``'s predictions in the largest subnet's own loss, the labels have the rest.

    Returns:
        The largest subnet's loss.

    Raises:
        TrainingDiverged: the loss is not a number; the weights are left as they were.
    """

    lesson = Lesson(tuple(students), distillation, label_smoothing, student_weight, teacher_weight, teacher)
    value = replicas.step(lesson, images, labels)
    norm = replicas.clip_gradients(clip)
    if not math.isfinite(value) or not math.isfinite(norm):
        raise TrainingDiverged(
            f"training diverged: loss {value}, gradient norm {norm}; use a lower learning rate "
            "(adapt.lr of a search, --lr of natdeploy pretrain)"
        )
    optimizer.step()
    return value
