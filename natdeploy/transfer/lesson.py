"""What a replica does with its part of a batch: forward and backward of the largest subnet and of some students."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from natdeploy.spaces.arch import Arch
from natdeploy.supernets import MobileNetV3Supernet
from natdeploy.transfer.batches import resize

#: Softens a teacher's predictions, which are too sure of images that it was trained on.
TEMPERATURE = 4.0

#: Gives logits for normalised images; frozen, and called from several threads.
Teacher = Callable[[Tensor], Tensor]


def soft_cross_entropy(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean cross entropy ``[]`` of logits ``[N, C]`` against the teacher's distribution (Hinton et al. 2015, T = 1)."""
    return F.cross_entropy(logits, teacher_logits.softmax(1))


def softened_divergence(logits: Tensor, teacher_logits: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Mean divergence ``[]`` from the teacher's softened distribution; gradients keep their size (ibid., section 2)."""
    ours, theirs = (logits / temperature).log_softmax(1), (teacher_logits / temperature).softmax(1)
    return temperature**2 * F.kl_div(ours, theirs, reduction="batchmean")


@dataclass(frozen=True)
class Lesson:
    """One step's forward and backward passes; plain data but for the teacher, so that other processes can do them.

    The meanings are :func:`natdeploy.transfer.step.elastic_step`'s.
    """

    students: tuple[Arch, ...]
    distillation: float
    label_smoothing: float
    student_weight: float = 1.0
    teacher_weight: float = 0.0
    teacher: Teacher | None = None

    def __call__(self, supernet: MobileNetV3Supernet, images: Tensor, labels: Tensor, share: float) -> float:
        """Add the gradients of ``share`` times the mean loss to the supernet's; returns the largest subnet's share.

        On a GPU, networks run in bfloat16 and losses in float32.
        """
        supernet.train()
        logits = self._logits(supernet, supernet.space.largest(), images)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
        if self.teacher is not None:
            taught = softened_divergence(logits, self.teacher(images))
            loss = self.teacher_weight * taught + (1 - self.teacher_weight) * loss
        (share * loss).backward()
        largest_logits = logits.detach()
        for arch in self.students:
            logits = self._logits(supernet, arch, resize(images, arch.r))
            student_loss = self.distillation * soft_cross_entropy(logits, largest_logits)
            if self.distillation < 1:
                on_labels = F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
                student_loss = student_loss + (1 - self.distillation) * on_labels
            (share * self.student_weight * student_loss).backward()
        return share * loss.item()

    @staticmethod
    def _logits(supernet: MobileNetV3Supernet, arch: Arch, images: Tensor) -> Tensor:
        supernet.set_active(arch)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=images.is_cuda):
            logits: Tensor = supernet(images)
        return logits.float()

    def to_json(self) -> dict[str, Any]:
        """All but the teacher."""
        numbers = ("distillation", "label_smoothing", "student_weight", "teacher_weight")
        return {
            "students": [arch.to_json() for arch in self.students],
            **{name: getattr(self, name) for name in numbers},
        }

    @staticmethod
    def from_json(value: Any, teacher: Teacher | None) -> Lesson:
        """Read :meth:`to_json`'s form."""
        return Lesson(**{**value, "students": tuple(map(Arch.from_json, value["students"]))}, teacher=teacher)
