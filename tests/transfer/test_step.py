"""One step's parts by themselves: who teaches whom, the bound on the gradient, the learning rate over a whole run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from natdeploy.spaces import get_space
from natdeploy.supernets import MobileNetV3Supernet, build_supernet
from natdeploy.transfer import Adaptation, AdaptConfig, epoch
from natdeploy.transfer.lesson import Lesson
from natdeploy.transfer.optimizer import cosine, sgd
from natdeploy.transfer.replicas import Replicas
from natdeploy.transfer.step import elastic_step

SPACE = get_space("mbv3-micro")
STUDENTS = (SPACE.smallest(), SPACE.sample(np.random.default_rng(0)))


@pytest.fixture
def supernet() -> MobileNetV3Supernet:
    torch.manual_seed(0)
    return build_supernet(SPACE, 4)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(12, 3, 32, 32, generator=generator), torch.randint(4, (12,), generator=generator)


def gradient(supernet: MobileNetV3Supernet) -> torch.Tensor:
    found = [torch.zeros_like(one) if one.grad is None else one.grad for one in supernet.parameters()]
    return torch.cat([one.reshape(-1) for one in found])


@pytest.mark.parametrize(("distillation", "from_labels"), [(1.0, False), (0.5, True)])
def test_students_learn_from_the_largest_and_from_labels_as_far_as_asked(
    supernet: MobileNetV3Supernet, distillation: float, from_labels: bool
) -> None:
    images, labels = batch()

    def of_students(labels: torch.Tensor) -> torch.Tensor:
        found = []
        for students in (STUDENTS, ()):
            supernet.zero_grad()
            Lesson(students, distillation, 0.0)(supernet, images, labels, 1.0)
            found.append(gradient(supernet))
        return found[0] - found[1]

    one, other = of_students(labels), of_students((labels + 1) % 4)
    assert one.norm() > 0
    assert (float((one - other).norm() / one.norm()) > 1e-2) == from_labels


def test_each_student_adds_its_gradient(supernet: MobileNetV3Supernet) -> None:
    images, labels = batch()
    found = {}
    for students in ((), STUDENTS[:1], STUDENTS[1:], STUDENTS):
        supernet.zero_grad()
        Lesson(students, 0.5, 0.0)(supernet, images, labels, 1.0)
        found[students] = gradient(supernet)
    alone = found[STUDENTS[:1]] + found[STUDENTS[1:]] - found[()]
    assert torch.allclose(found[STUDENTS], alone, atol=1e-5) and not torch.equal(found[STUDENTS], found[()])


@pytest.mark.parametrize(("clip", "clipped"), [(0.1, True), (1e6, False)])
def test_the_gradient_is_no_longer_than_it_may_be(supernet: MobileNetV3Supernet, clip: float, clipped: bool) -> None:
    images, labels = batch()
    with Replicas(supernet, 2) as replicas:
        elastic_step(
            replicas,
            sgd(supernet, weight_decay=0),
            images,
            labels,
            STUDENTS,
            distillation=0.5,
            label_smoothing=0,
            clip=clip,
        )
    norm = float(gradient(supernet).norm())
    assert norm == pytest.approx(clip, rel=1e-3) if clipped else 0.1 < norm < clip


def test_one_cosine_spans_warm_up_and_all_iterations_continued_or_not(
    stripes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    monkeypatch.setattr(epoch, "set_learning_rate", lambda optimizer, value: rates.append(value))
    monkeypatch.setattr(epoch, "elastic_step", lambda *given, **more: 0.0)
    config = AdaptConfig(
        largest_epochs=1, warm_up_epochs=2, iterations=2, epochs_per_iteration=3, batch_size=16, lr=0.2
    )
    adaptation = Adaptation(build_supernet(SPACE, 2), stripes, config, 0)
    adaptation.warm_up()
    adaptation.adapt(1, SPACE.sample)
    adaptation.save(tmp_path)
    Adaptation.load(tmp_path, stripes).adapt(2, SPACE.sample)
    steps = len(rates)
    assert steps % 9 == 0 and steps > 9
    assert rates == pytest.approx([cosine(step / steps, 0.2, warm_up=0.05) for step in range(steps)])
    assert rates[-1] < 0.01 < 0.19 < max(rates)
