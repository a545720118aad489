"""One optimisation step of a supernet: several subnets, the largest of which teaches the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from natdeploy.ground.errors import NatdeployError
from natdeploy.spaces.arch import Arch
from natdeploy.supernets import MobileNetV3Supernet
from natdeploy.transfer.batches import resize
from natdeploy.transfer.replicas import Replicas

#: Softens a teacher's predictions, which are too sure of images that it was trained on.
TEMPERATURE = 4.0


class TrainingDiverged(NatdeployError):
    """The loss is not a number."""


#: Gives logits for normalised images; frozen, and called from several threads.
Teacher = Callable[[Tensor], Tensor]


def soft_cross_entropy(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean cross entropy ``[]`` of logits ``[N, C]`` against the teacher's distribution (Hinton et al. 2015, T = 1)."""
    return F.cross_entropy(logits, teacher_logits.softmax(1))


def softened_divergence(logits: Tensor, teacher_logits: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Mean divergence ``[]`` from the teacher's softened distribution; gradients keep their size (ibid., section 2)."""
    ours, theirs = (logits / temperature).log_softmax(1), (teacher_logits / temperature).softmax(1)
    return temperature**2 * F.kl_div(ours, theirs, reduction="batchmean")


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

    def part(supernet: MobileNetV3Supernet, images: Tensor, labels: Tensor, share: float) -> float:
        supernet.train()
        supernet.set_active(supernet.space.largest())
        logits = supernet(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        if teacher is not None:
            loss = teacher_weight * softened_divergence(logits, teacher(images)) + (1 - teacher_weight) * loss
        (share * loss).backward()
        largest_logits = logits.detach()
        for arch in students:
            supernet.set_active(arch)
            logits = supernet(resize(images, arch.r))
            student_loss = distillation * soft_cross_entropy(logits, largest_logits)
            if distillation < 1:
                student_loss = student_loss + (1 - distillation) * F.cross_entropy(
                    logits, labels, label_smoothing=label_smoothing
                )
            (share * student_weight * student_loss).backward()
        return share * loss.item()

    value = replicas.step(part, images, labels)
    norm = replicas.clip_gradients(clip)
    if not math.isfinite(value) or not math.isfinite(norm):
        raise TrainingDiverged(f"training diverged: loss {value}, gradient norm {norm}; use a lower learning rate")
    optimizer.step()
    return value
