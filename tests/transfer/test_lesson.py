"""A lesson as other processes take it, and elastic networks in bfloat16, as GPUs run them."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from natdeploy.spaces import get_space
from natdeploy.supernets import MobileNetV3Supernet, build_supernet
from natdeploy.transfer.compute import compute_device, placed
from natdeploy.transfer.lesson import Lesson

SPACE = get_space("mbv3-micro")


@pytest.fixture
def supernet() -> MobileNetV3Supernet:
    torch.manual_seed(0)
    return build_supernet(SPACE, 10)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(16, 3, 32, 32, generator=generator), torch.randint(10, (16,), generator=generator)


def gradients(supernet: MobileNetV3Supernet) -> torch.Tensor:
    found = [parameter.grad for parameter in supernet.parameters() if parameter.grad is not None]
    assert {grad.dtype for grad in found} == {torch.float32}
    return torch.cat([grad.reshape(-1) for grad in found])


@pytest.mark.parametrize("seed", range(3))
def test_elastic_networks_run_in_bfloat16_and_keep_their_gradients(supernet: MobileNetV3Supernet, seed: int) -> None:
    images, labels = batch()
    supernet.set_active(SPACE.sample(np.random.default_rng(seed)))
    found = []
    for enabled in (False, True):
        supernet.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            logits = supernet(images)
        assert logits.dtype == (torch.bfloat16 if enabled else torch.float32)
        F.cross_entropy(logits.float(), labels).backward()
        found.append(gradients(supernet))
    assert F.cosine_similarity(*found, dim=0) > 0.9


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_lesson_on_a_gpu_agrees_with_the_cpus(supernet: MobileNetV3Supernet) -> None:
    lesson = Lesson((SPACE.smallest(),), distillation=0.5, label_smoothing=0.1)
    images, labels = batch()
    on_cpu = lesson(supernet, images, labels, 1.0), gradients(supernet)
    supernet.zero_grad()
    device = compute_device()
    on_gpu = lesson(placed(supernet, device), images.to(device), labels.to(device), 1.0), gradients(supernet).cpu()
    assert on_gpu[0] == pytest.approx(on_cpu[0], rel=0.02)
    assert F.cosine_similarity(on_cpu[1], on_gpu[1], dim=0) > 0.9


def test_a_lesson_is_plain_data_and_its_teachers_answers(supernet: MobileNetV3Supernet) -> None:
    rng = np.random.default_rng(0)
    students = (SPACE.smallest(), SPACE.sample(rng))
    images, labels = batch()
    taught = torch.randn(16, 10)
    lesson = Lesson(students, 0.3, 0.1, student_weight=0.5, teacher_weight=0.4, teacher=lambda _: taught)
    again = Lesson.from_json(json.loads(json.dumps(lesson.to_json())), lambda _: taught)
    losses = []
    for one in (lesson, again):
        supernet.zero_grad()
        losses.append((one(supernet, images, labels, 0.25), gradients(supernet)))
    assert losses[0][0] == losses[1][0] and torch.equal(losses[0][1], losses[1][1])
    supernet.zero_grad()
    assert Lesson(students, 0.3, 0.1, student_weight=0.5)(supernet, images, labels, 0.25) != losses[0][0]
