"""Our depthwise convolution against torch's: values and both gradients, and what it leaves to torch."""

import pytest
import torch
from torch.nn import functional as F

from natdeploy.supernets import depthwise as room
from natdeploy.supernets.depthwise import depthwise


def both(x: torch.Tensor, weight: torch.Tensor, stride: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Output, input gradient and weight gradient: ours and torch's."""
    found = []
    for function in (depthwise, lambda *a: F.conv2d(a[0], a[1], None, a[2], weight.shape[-1] // 2, 1, len(weight))):
        inputs = [tensor.detach().clone().requires_grad_() for tensor in (x, weight)]
        y = function(*inputs, stride)
        y.backward(torch.sin(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape))
        found.append([y.detach(), *(tensor.grad for tensor in inputs)])
    return list(zip(*found))


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(2, 2), (3, 3), (4, 4), (6, 6), (5, 7), (8, 8), (14, 14), (16, 12)])
@pytest.mark.parametrize("channels", [8, 40])
def test_agrees_with_torch(kernel: int, stride: int, height: int, width: int, channels: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, channels, height, width)
    for ours, theirs in both(x, torch.randn(channels, 1, kernel, kernel), stride):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=2e-5)


def test_small_maps_take_our_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    library = room._library(7)
    assert library is not None
    assert library.depthwise_fits(8, 96, 1)
    assert not library.depthwise_fits(8, 97, 1)
    assert not library.depthwise_fits(112, 96, 1)
    assert room._library(9) is None
    assert not library.depthwise_fits(8, 96, 3)


@pytest.mark.parametrize(("channels", "size", "kernel"), [(7, 4, 3), (8, 19, 3), (8, 4, 1)])
def test_what_it_has_no_code_for_is_torchs(channels: int, size: int, kernel: int) -> None:
    x, weight = torch.randn(2, channels, size, size), torch.randn(channels, 1, kernel, kernel)
    for ours, theirs in both(x, weight, 1):
        assert torch.equal(ours, theirs)


def test_double_precision_is_torchs() -> None:
    x, weight = torch.randn(2, 8, 4, 4, dtype=torch.float64), torch.randn(8, 1, 3, 3, dtype=torch.float64)
    for ours, theirs in both(x, weight, 1):
        assert ours.dtype == torch.float64
        assert torch.equal(ours, theirs)


def test_any_memory_order_of_the_input() -> None:
    x, weight = torch.randn(2, 16, 4, 4), torch.randn(16, 1, 5, 5)
    plain = depthwise(x, weight, 1)
    assert torch.equal(plain, depthwise(x.to(memory_format=torch.channels_last), weight, 1))
    assert torch.equal(plain, depthwise(x.transpose(2, 3).contiguous().transpose(2, 3), weight, 1))


def test_without_a_compiler_it_warns_and_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise room.ChildFailed("no compiler")

    room._libraries.cache_clear()
    monkeypatch.setattr(room, "host_library", refuse)
    x, weight = torch.randn(2, 8, 4, 4), torch.randn(8, 1, 3, 3)
    try:
        with pytest.warns(UserWarning, match="slower than it could be.*no compiler"):
            y = depthwise(x, weight, 1)
    finally:
        room._libraries.cache_clear()
    assert torch.equal(y, F.conv2d(x, weight, padding=1, groups=8))
