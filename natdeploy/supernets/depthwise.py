"""Depthwise convolution for training on a CPU: small maps go through our own code.

Torch's gradients of grouped convolutions are slow where maps have 2 to 16 pixels; ``depthwise.cpp`` keeps a row of
outputs in registers. It is compiled for this machine at the first use. Anything it has no code for (other widths,
GPUs, other types) is torch's own convolution; the results agree to rounding.
"""

from __future__ import annotations

import ctypes
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from natdeploy.ground.errors import ChildFailed
from natdeploy.ground.zig import host_library

_SOURCE = Path(__file__).with_name("depthwise.cpp")
_FLAGS = ("-fno-exceptions", "-fno-rtti", "-nostdlib", "-ffp-contract=fast", "-mprefer-vector-width=512")
_KERNELS = (7, 5, 3)  # the longest to compile first
_FORWARD, _INPUT_GRADIENT, _WEIGHT_GRADIENT = range(3)


def depthwise(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Depthwise convolution with padding ``kernel // 2``.

    Args:
        x: ``[N, C, H, W]``.
        weight: ``[C, 1, kernel, kernel]``.
        stride: of both directions.

    Returns:
        ``[N, C, ceil(H / stride), ceil(W / stride)]``, in channels-last memory where our own code ran.
    """
    channels, _, kernel, _ = weight.shape
    if x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32:
        library = _library(kernel)
        if library is not None and library.depthwise_fits(x.shape[3], channels, stride):
            return _Depthwise.apply(x, weight, stride)
    return F.conv2d(x, weight, stride=stride, padding=kernel // 2, groups=channels)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        images, channels, height, width = x.shape
        kernel = weight.shape[-1]
        taps = weight.reshape(channels, kernel * kernel).t().contiguous()
        out = (images, channels, (height - 1) // stride + 1, (width - 1) // stride + 1)
        y = torch.empty(out, memory_format=torch.channels_last)
        ctx.save_for_backward(x, taps)
        ctx.kernel, ctx.stride = kernel, stride
        _run(_FORWARD, x, taps, y, x.shape, kernel, stride)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, taps = ctx.saved_tensors
        dy = gradients[0].contiguous(memory_format=torch.channels_last)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            dx = torch.empty_like(x)
            _run(_INPUT_GRADIENT, dy, taps, dx, x.shape, ctx.kernel, ctx.stride)
        if ctx.needs_input_grad[1]:
            by_tap = torch.empty_like(taps)
            _run(_WEIGHT_GRADIENT, x, dy, by_tap, x.shape, ctx.kernel, ctx.stride)
            dw = by_tap.t().reshape(x.shape[1], 1, ctx.kernel, ctx.kernel)
        return dx, dw, None


def _run(what: int, a: Tensor, b: Tensor, c: Tensor, shape: torch.Size, kernel: int, stride: int) -> None:
    images, channels, height, width = shape
    pointers = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (a, b, c))
    library = _library(kernel)
    assert library is not None
    library.depthwise_run(what, *pointers, images, height, width, channels, stride)


_loading = threading.Lock()


def _library(kernel: int) -> ctypes.CDLL | None:
    """The compiled code for a kernel size; None for sizes without, and on a machine where it cannot be compiled."""
    with _loading:  # parts of a batch train side by side: one of them compiles
        return _libraries().get(kernel)


@cache
def _libraries() -> dict[int, ctypes.CDLL | None]:
    """All libraries, compiled side by side; without any, and with a warning, where one cannot be compiled."""

    def load(kernel: int) -> ctypes.CDLL:
        return ctypes.CDLL(str(host_library(_SOURCE, (*_FLAGS, f"-DKERNEL={kernel}"))))

    try:
        with ThreadPoolExecutor() as pool:
            return dict(zip(_KERNELS, pool.map(load, _KERNELS)))
    except (ChildFailed, OSError) as error:
        warnings.warn(f"training is slower than it could be: {_SOURCE.name} was not compiled ({error})", stacklevel=4)
        return dict.fromkeys(_KERNELS)
