"""Replicas of a supernet: shared weights, summed gradients, the same bits whatever the number of threads."""

import os

import pytest
import torch
from torch.nn import functional as F

from natdeploy.spaces import get_space
from natdeploy.supernets import MobileNetV3Supernet, build_supernet
from natdeploy.transfer.optimizer import sgd
from natdeploy.transfer.replicas import Replicas
from natdeploy.transfer.step import elastic_step


@pytest.fixture
def supernet() -> MobileNetV3Supernet:
    torch.manual_seed(0)
    supernet = build_supernet(get_space("mbv3-micro"), 4)
    supernet.set_active(supernet.space.smallest())
    return supernet


def batch(images: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(images, 3, 32, 32, generator=generator), torch.randint(4, (images,), generator=generator)


def part(supernet: MobileNetV3Supernet, images: torch.Tensor, labels: torch.Tensor, share: float) -> float:
    loss = share * F.cross_entropy(supernet(images), labels)
    loss.backward()
    return loss.item()


def test_parts_add_up_to_the_whole(supernet: MobileNetV3Supernet) -> None:
    supernet.eval()  # without batch statistics, parts and whole must agree
    images, labels = batch(7)
    whole = part(supernet, images, labels, 1.0)
    expected = {name: parameter.grad for name, parameter in supernet.named_parameters()}
    with Replicas(supernet, 2) as replicas:
        assert replicas.step(part, images, labels) == pytest.approx(whole, rel=1e-5)
    for name, parameter in supernet.named_parameters():
        if expected[name] is None:
            assert parameter.grad is None, name
        else:
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-5)


def test_replicas_follow_the_optimiser(supernet: MobileNetV3Supernet) -> None:
    images, labels = batch(16)
    with Replicas(supernet, 2) as replicas:
        elastic_step(
            replicas, sgd(supernet, weight_decay=0), images, labels, [], distillation=0.5, label_smoothing=0, clip=5
        )
        first, second = replicas._all
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters()))


def test_one_thread_and_two_give_the_same_bits(supernet: MobileNetV3Supernet, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = batch(16)
    found = []
    for cores in ({0}, {0, 1}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        threads, torch_threads = torch.get_num_threads(), None
        torch.set_num_threads(1)
        supernet.train()
        with Replicas(supernet, 2) as replicas:
            torch_threads = torch.get_num_threads()
            replicas.step(part, images, labels)
        torch.set_num_threads(threads)
        assert torch_threads == 1
        found.append([parameter.grad.clone() for parameter in supernet.parameters() if parameter.grad is not None])
    assert len(found[0]) == len(found[1]) > 0
    assert all(torch.equal(a, b) for a, b in zip(*found))


def test_a_small_batch_is_split_less(supernet: MobileNetV3Supernet) -> None:
    seen = []
    with Replicas(supernet, 2) as replicas:
        for images in (2, 3, 4, 5):
            sizes: list[tuple[int, float]] = []
            replicas.step(lambda _, x, y, share, sizes=sizes: sizes.append((len(x), share)) or 0.0, *batch(images))
            seen.append(sorted(sizes, reverse=True))
    assert seen == [[(2, 1.0)], [(3, 1.0)], [(2, 0.5), (2, 0.5)], [(3, 0.6), (2, 0.4)]]


def test_an_error_in_a_part_is_raised_and_threads_are_restored(supernet: MobileNetV3Supernet) -> None:
    def fail(*_: object) -> float:
        raise RuntimeError("no")

    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="no"), Replicas(supernet, 2) as replicas:
        replicas.step(fail, *batch(8))
    assert torch.get_num_threads() == before
