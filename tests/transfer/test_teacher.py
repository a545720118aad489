from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from natdeploy.data import Dataset
from natdeploy.ground.errors import BadInput
from natdeploy.spaces import get_space
from natdeploy.supernets import build_supernet
from natdeploy.transfer import teacher
from natdeploy.transfer.lesson import softened_divergence
from natdeploy.transfer.optimizer import sgd
from natdeploy.transfer.replicas import Replicas
from natdeploy.transfer.step import elastic_step
from natdeploy.transfer.teacher import TeacherNetwork, trained_teacher, triangle

Progress = Callable[[str, float], None]


def train(dataset: Dataset, path: Path, epochs: int = 3, progress: Progress | None = None) -> TeacherNetwork:
    return trained_teacher(dataset, 32, epochs, path, augmentation="crop", seed=0, progress=progress)


def top1(network: TeacherNetwork, dataset: Dataset) -> float:
    images = torch.tensor(dataset.test.at(32)).permute(0, 3, 1, 2).float() / 255
    images = (images - torch.tensor(dataset.mean).view(1, 3, 1, 1)) / torch.tensor(dataset.std).view(1, 3, 1, 1)
    return (network(images).argmax(1) == torch.from_numpy(dataset.test.labels)).float().mean().item()


def test_it_learns_and_is_kept(stripes: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    trained = train(stripes, path)
    assert top1(trained, stripes) > 0.9
    assert not any(parameter.requires_grad for parameter in trained.parameters())
    stages: list[str] = []
    again = train(stripes, path, progress=lambda stage, _: stages.append(stage))
    assert stages == []  # it was read
    assert all(torch.equal(one, again.state_dict()[name]) for name, one in trained.state_dict().items())
    with pytest.raises(BadInput, match="not a teacher of these images and settings"):
        train(stripes, path, epochs=4)


def test_out_of_memory_halves_its_batch_too(stripes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = TeacherNetwork.forward

    def forward(network: TeacherNetwork, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 50:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return real(network, images)

    stages: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(TeacherNetwork, "forward", forward)
        short = train(stripes, tmp_path / "short", 1, lambda stage, _: stages.append(stage))
    monkeypatch.setattr(teacher, "BATCH_SIZE", 40)
    small = train(stripes, tmp_path / "small", 1)
    assert [stage for stage in stages if "memory" in stage] == [
        f"teacher: out of memory while training: on with batches of {size} images" for size in (80, 40)
    ]
    assert all(torch.equal(value, small.state_dict()[name]) for name, value in short.state_dict().items())


def test_a_file_that_is_not_a_teacher_is_refused(stripes: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    path.write_bytes(b"no")
    with pytest.raises(BadInput, match="not a readable teacher"):
        train(stripes, path)
    save_file(TeacherNetwork(3).state_dict(), path)
    with pytest.raises(BadInput, match="not a teacher of these images"):
        train(stripes, path)


def test_the_first_layer_whitens_patches() -> None:
    torch.manual_seed(0)
    images = torch.randn(64, 3, 32, 32).cumsum(2).cumsum(3)  # neighbouring pixels are alike
    network = TeacherNetwork(2)
    network.whiten_patches(images)
    found = network.whiten(images)[:, :12].transpose(0, 1).flatten(1)
    torch.testing.assert_close(found @ found.T / found.shape[1], torch.eye(12), atol=0.02, rtol=0)


def test_the_largest_network_comes_to_agree_with_its_teacher(stripes: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(0)
    images, labels = torch.randn(16, 3, 32, 32), torch.zeros(16, dtype=torch.int64)
    wanted = 3 * torch.randn(16, 2)  # has nothing to do with the labels
    supernet = build_supernet(get_space("mbv3-micro"), 2)
    optimizer = sgd(supernet, weight_decay=0)
    optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 0.05
    with Replicas(supernet, 1) as replicas:
        losses = [
            elastic_step(
                replicas,
                optimizer,
                images,
                labels,
                [],
                distillation=0,
                label_smoothing=0,
                clip=5,
                teacher=lambda _: wanted,
                teacher_weight=1.0,
            )
            for _ in range(25)
        ]
    assert losses[-1] < 0.3 * losses[0]


def test_divergence_of_equal_logits_is_none_and_its_gradient_does_not_shrink_with_temperature() -> None:
    torch.manual_seed(0)
    ours, theirs = torch.randn(8, 5, requires_grad=True), torch.randn(8, 5)
    assert softened_divergence(theirs, theirs).item() == pytest.approx(0, abs=1e-5)
    sizes = []
    for temperature in (4.0, 16.0):
        (gradient,) = torch.autograd.grad(softened_divergence(ours, theirs, temperature), ours)
        sizes.append(gradient.norm().item())
    assert sizes[1] == pytest.approx(sizes[0], rel=0.25)


def test_learning_rate_rises_then_falls() -> None:
    assert triangle(0) == pytest.approx(0.2)
    assert triangle(0.23) == pytest.approx(1)
    assert triangle(1) == pytest.approx(0.07)
