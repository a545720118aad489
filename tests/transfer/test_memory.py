"""Training and evaluation where memory runs out, and a loss that is no number."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch

from natdeploy.ground.errors import OutOfMemory
from natdeploy.supernets import Subnet, build_supernet
from natdeploy.transfer import Adaptation, Calibration, epoch, evaluate_arch
from natdeploy.transfer.memory import is_out_of_memory, within_memory
from natdeploy.transfer.step import TrainingDiverged
from tests.transfer.make import SPACE, fresh, same, smallest

evaluation = import_module("natdeploy.transfer.evaluate")  # the room gives its function that name
#: What the allocators of GPU, CPU and numpy raise.
NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
    RuntimeError("could not create a primitive"),
]
ACTS = ("calibrating", "evaluating")


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Steps of more than eleven images run out of memory; the sizes that were tried."""
    real, sizes = epoch.elastic_step, []

    def step(replicas, optimizer, images, *rest: object, **more: object) -> float:
        sizes.append(len(images))
        if len(images) > 11:
            raise NO_MEMORY[0]
        return real(replicas, optimizer, images, *rest, **more)

    monkeypatch.setattr(epoch, "elastic_step", step)
    return sizes


def test_out_of_memory_halves_the_batch_says_so_and_is_remembered(stripes, tmp_path, little_memory) -> None:
    said: list[str] = []
    adaptation = fresh(stripes)
    adaptation.warm_up(lambda stage, fraction: said.append(stage))
    assert little_memory[:3] == [40, 20, 10] and set(little_memory[2:]) == {10} and len(little_memory) == 2 + 16
    told = [line for line in said if "out of memory" in line]
    assert told == [f"warm-up: out of memory while training: on with batches of {size} images" for size in (20, 10)]
    adaptation.save(tmp_path)
    little_memory.clear()
    continued = Adaptation.load(tmp_path, stripes)
    continued.adapt(1, smallest)
    adaptation.adapt(1, smallest)
    assert set(little_memory) == {10} and same(continued.supernet, adaptation.supernet)


@pytest.mark.parametrize("error", NO_MEMORY, ids=["cuda", "cpu", "python", "onednn"])
def test_work_is_done_anew_with_half_of_the_batch(error: Exception) -> None:
    tried: list[int] = []
    said: list[str] = []

    def work(size: int) -> int:
        tried.append(size)
        if size > 30:
            raise error
        return -size

    assert within_memory(100, work, said.append, "trying") == (-25, 25) and tried == [100, 50, 25]
    assert said == [f"out of memory while trying: on with batches of {size} images" for size in (50, 25)]


def test_what_is_trained_is_what_smaller_batches_train(stripes, little_memory) -> None:
    short, small = fresh(stripes), fresh(stripes, batch_size=10)
    short.adapt(1, smallest)
    small.adapt(1, smallest)
    assert little_memory.count(40) == little_memory.count(20) == 1 and same(short.supernet, small.supernet)


@pytest.mark.parametrize("error", NO_MEMORY[:2], ids=["cuda", "cpu"])
def test_what_is_evaluated_is_what_smaller_batches_give(
    stripes, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Memory runs out at the second batch, of calibration and of evaluation: what the first one gave counts no more."""
    torch.manual_seed(0)
    supernet, arch, said = build_supernet(SPACE, 2), SPACE.smallest(), list[str]()
    real, left = Subnet.forward, []

    def forward(network: Subnet, images: torch.Tensor) -> torch.Tensor:
        left.append(len(images))
        if len(images) > 10 and left.count(20) == 2:
            left.clear()
            raise error
        return real(network, images)

    monkeypatch.setattr(evaluation, "AT_ONCE", 10)
    wanted = evaluate_arch(supernet, arch, stripes, Calibration(40))
    monkeypatch.setattr(evaluation, "AT_ONCE", 20)
    whole = evaluate_arch(supernet, arch, stripes, Calibration(40))
    monkeypatch.setattr(Subnet, "forward", forward)
    assert evaluate_arch(supernet, arch, stripes, Calibration(40), say=said.append) == wanted != whole
    assert said == [f"out of memory while {what} {arch.id}: on with batches of 10 images" for what in ACTS]


def test_a_network_too_large_for_two_images(stripes, monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(network: Subnet, images: torch.Tensor) -> torch.Tensor:
        raise NO_MEMORY[0]

    monkeypatch.setattr(Subnet, "forward", forward)
    with pytest.raises(OutOfMemory, match=r"out of memory while calibrating \w{12}, with batches of 2 images already"):
        evaluate_arch(build_supernet(SPACE, 2), SPACE.smallest(), stripes, Calibration(40))


def test_no_batch_at_all_fits(stripes, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: object, **__: object) -> float:
        raise NO_MEMORY[1]

    monkeypatch.setattr(epoch, "elastic_step", step)
    with pytest.raises(OutOfMemory, match=r"while training, with batches of 2 images already \(RuntimeError \[enforce"):
        fresh(stripes).warm_up()


def test_other_errors_come_out(stripes, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(*_: object, **__: object) -> float:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(epoch, "elastic_step", step)
    with pytest.raises(RuntimeError, match="shapes"):
        fresh(stripes).warm_up()
    assert is_out_of_memory(MemoryError()) and not is_out_of_memory(ValueError("not enough memory"))


def test_a_loss_that_is_no_number_stops_and_changes_nothing(stripes) -> None:
    adaptation = fresh(stripes)
    with torch.no_grad():
        next(adaptation.supernet.parameters()).fill_(float("nan"))
    before = {name: value.clone() for name, value in adaptation.supernet.named_parameters()}
    with pytest.raises(TrainingDiverged, match="lower learning rate"):
        adaptation.warm_up()
    for name, value in adaptation.supernet.named_parameters():
        assert torch.equal(value.nan_to_num(7), before[name].nan_to_num(7))
