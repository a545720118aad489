"""The networks of any_onnx.py are what they are called, and its data is asked for in one line."""

from pathlib import Path

import pytest
import torch

from benchmarks.any_onnx import sample
from benchmarks.onnx_networks import VitTiny, efficientnet_b0, randomise, resnet18, same_padding
from natdeploy.ground.errors import BadInput


@pytest.mark.parametrize(
    ("make", "parameters"),
    [(resnet18, 11_689_512), (efficientnet_b0, 5_288_548), (VitTiny, 5_717_416)],  # as their authors' code counts
)
def test_networks_have_their_published_sizes(make, parameters: int) -> None:
    assert sum(parameter.numel() for parameter in make().parameters()) == parameters


def test_random_statistics_are_seeded() -> None:
    found = [dict(randomise(efficientnet_b0(), seed).named_buffers())["1.running_mean"] for seed in (3, 3, 4)]
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.parametrize(("size", "kernel", "stride", "out"), [(9, 3, 2, 5), (8, 3, 2, 4), (8, 3, 1, 8), (7, 1, 1, 7)])
def test_tensorflow_padding(size: int, kernel: int, stride: int, out: int) -> None:
    padded = same_padding(torch.ones(1, 1, size, size), kernel, stride)
    assert (padded.shape[2] - kernel) // stride + 1 == out
    assert padded[0, 0, 0].sum() <= padded[0, 0, size // 2].sum()
    if size == 8 and stride == 2:
        assert padded[0, 0, 0, 0] == 1 and padded[0, 0, -1, -1] == 0  # the odd pixel lies to the right and below


def test_missing_data_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no readable ImageNet sample"):
        sample(tmp_path / "images.npz", None)
