"""Every kind of kernel against torch in float64, on shapes that do not fit its tiles."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, candidate_schedules
from natdeploy.devices.llvm import NOT_NEEDED_BY_TVM
from natdeploy.ground.processes import call_in_child
from tests.compiler.kernels.running import ISAS, Case, blocked, kernel_for, padded, plain, run_in_child

ACTIVATIONS = {
    "none": lambda x: x,
    "relu": F.relu,
    "hsigmoid": lambda x: F.relu6(x + 3) / 6,
    "hswish": lambda x: x * F.relu6(x + 3) / 6,
}


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32) * 2


def conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, **options: int) -> torch.Tensor:
    x64, weight64, bias64 = (torch.from_numpy(value).double() for value in (x, weight, bias))
    return F.conv2d(x64[None], weight64, bias64, padding=weight.shape[2] // 2, **options)[0].flatten(1)


def product(kind: str, isa: Isa, m: int, k: int, n: int, activation: str, residual: bool, **schedule: int) -> Case:
    """A 1x1 convolution of m pixels, from k to n channels."""
    kernel = kernel_for(
        {"kind": kind, "m": m, "k": k, "n": n, "activation": activation, "residual": residual}, isa, **schedule
    )
    x, weight, bias, shortcut = values(k, m), values(n, k, 1, 1), values(n), values(n, m)
    expected = ACTIVATIONS[activation](conv(x[:, :, None], weight, bias))
    arguments = [blocked(x, isa.lanes), kernel.pack(weight), padded(bias, isa.lanes)]
    if kind == "gemv":
        arguments[0] = arguments[0].reshape(-1)
    if residual:
        expected = expected + torch.from_numpy(shortcut)
        arguments.append(blocked(shortcut, isa.lanes))
    return Case(kernel, arguments, expected.numpy())


def gemm_cases(isa: Isa) -> list[Case]:
    return [
        product("gemm", isa, 1, 1, 1, "none", False),
        product("gemm", isa, 3, 5, 7, "relu", False),
        product("gemm", isa, 49, 33, 40, "hswish", True),
        product("gemm", isa, 65, 72, 24, "none", True),
        product("gemm", isa, 169, 16, 67, "hsigmoid", False),
        product("gemm", isa, 23, 19, 3 * isa.lanes + 1, "relu", True, rows=5, vectors=2),
        product("gemm", isa, 400, 24, 72, "relu", False),
    ]


def gemv_cases(isa: Isa) -> list[Case]:
    return [
        product("gemv", isa, 1, 1, 1, "none", False),
        product("gemv", isa, 1, 7, 13, "relu", False),
        product("gemv", isa, 1, 61, 100, "hsigmoid", False),
        product("gemv", isa, 1, 32, 83, "hswish", True, vectors=3, chains=3),
        product("gemv", isa, 1, 321, 257, "none", False),
    ]


def depthwise(isa: Isa, c: int, h: int, w: int, size: int, stride: int, activation: str, **schedule: int) -> Case:
    out_h, out_w = (h - 1) // stride + 1, (w - 1) // stride + 1
    workload = {"kind": "depthwise", "c": c, "in_h": h, "in_w": w, "out_h": out_h, "out_w": out_w}
    kernel = kernel_for({**workload, "kernel": size, "stride": stride, "activation": activation}, isa, **schedule)
    x, weight, bias = values(c, h, w), values(c, 1, size, size), values(c)
    expected = ACTIVATIONS[activation](conv(x, weight, bias, stride=stride, groups=c))
    arguments = [blocked(x.reshape(c, -1), isa.lanes), kernel.pack(weight), padded(bias, isa.lanes)]
    return Case(kernel, arguments, expected.numpy())


def depthwise_cases(isa: Isa) -> list[Case]:
    return [
        *(depthwise(isa, 5, 1, 1, size, stride, "none") for size in (3, 7) for stride in (1, 2)),
        *(depthwise(isa, 9, 4, 3, size, 1, "hswish") for size in (3, 5, 7)),
        depthwise(isa, 19, 13, 29, 3, 1, "relu"),
        depthwise(isa, 16, 12, 61, 5, 1, "hswish"),
        depthwise(isa, 33, 9, 40, 7, 1, "none", columns=6),
        depthwise(isa, 17, 15, 31, 3, 2, "relu"),
        depthwise(isa, 8, 7, 52, 5, 2, "relu", columns=7),
        depthwise(isa, 12, 16, 16, 7, 2, "hsigmoid"),
        depthwise(isa, 24, 2, 112, 7, 2, "relu"),
    ]


def expand(
    isa: Isa, in_c: int, c: int, h: int, w: int, size: int, stride: int, activation: str, **schedule: int
) -> Case:
    """A 1x1 convolution from in_c to c channels and a depthwise one behind it."""
    workload = {"kind": "expand", "in_c": in_c, "c": c, "in_h": h, "in_w": w, "kernel": size, "stride": stride}
    workload |= {"out_h": (h - 1) // stride + 1, "out_w": (w - 1) // stride + 1, "activation": activation}
    kernel = kernel_for(workload, isa, **schedule)
    x, point, point_bias = values(in_c, h, w), values(c, in_c, 1, 1), values(c)
    weight, bias = values(c, 1, size, size), values(c) + 1
    middle = ACTIVATIONS[activation](conv(x, point, point_bias)).reshape(c, h, w)
    deep = F.conv2d(middle[None], *(torch.from_numpy(v).double() for v in (weight, bias)), stride, size // 2, 1, c)
    arguments = [blocked(x.reshape(in_c, -1), isa.lanes), kernel.pack(point), padded(point_bias, isa.lanes)]
    arguments += [kernel.pack(weight, 1), padded(bias, isa.lanes)]
    return Case(kernel, arguments, ACTIVATIONS[activation](deep[0].flatten(1)).numpy())


def expand_cases(isa: Isa) -> list[Case]:
    """Maps that are computed whole, and rows in a ring."""
    return [
        expand(isa, 1, 1, 1, 1, 3, 1, "none"),
        expand(isa, 5, 3 * isa.lanes + 2, 6, 5, 5, 1, "hswish", vectors=2),
        expand(isa, 17, 40, 13, 9, 3, 2, "relu"),
        *(expand(isa, 9, 21, 11, 30, size, 1, "relu", ring=size, rows=7, vectors=2) for size in (3, 5, 7)),
        *(expand(isa, 24, 33, 12, 19, size, 2, "hswish", ring=size, rows=5, vectors=2) for size in (3, 5, 7)),
        expand(isa, 20, 19, 2, 14, 7, 1, "relu", ring=7, rows=6, vectors=1),
        expand(isa, 16, 48, 65, 112, 3, 2, "relu"),
    ]


def dense(isa: Isa, planar: bool, shape: tuple[int, int, int], n: int, size: int, stride: int, activation: str) -> Case:
    c, h, w = shape
    workload = {"kind": "conv", "in_c": c, "in_h": h, "in_w": w, "out_c": n, "kernel": size, "stride": stride}
    workload |= {"out_h": (h - 1) // stride + 1, "out_w": (w - 1) // stride + 1}
    kernel = kernel_for({**workload, "activation": activation, "planar": planar, "residual": not planar}, isa)
    x, weight, bias = values(c, h, w), values(n, c, size, size), values(n)
    expected = ACTIVATIONS[activation](conv(x, weight, bias, stride=stride))
    pixels = x.reshape(c, -1)
    arguments = [pixels[:, :, None] if planar else blocked(pixels, isa.lanes), kernel.pack(weight)]
    arguments.append(padded(bias, isa.lanes))
    if not planar:
        shortcut = values(*expected.shape)
        expected = expected + torch.from_numpy(shortcut)
        arguments.append(blocked(shortcut, isa.lanes))
    return Case(kernel, arguments, expected.numpy())


def conv_cases(isa: Isa) -> list[Case]:
    return [
        dense(isa, True, (3, 9, 7), 8, 3, 2, "hswish"),
        dense(isa, True, (3, 34, 66), 16, 3, 2, "hswish"),
        dense(isa, True, (1, 17, 5), 19, 5, 1, "none"),
        dense(isa, True, (2, 1, 1), 3, 7, 1, "relu"),
        dense(isa, False, (9, 5, 3), 24, 1, 3, "hswish"),
        dense(isa, False, (18, 6, 21), 35, 3, 1, "relu"),
    ]


def grouped(
    isa: Isa, shape: tuple[int, int, int], n: int, groups: int, size: int, stride: int, activation: str, **said: bool
) -> Case:
    c, h, w = shape
    planar, residual = said.get("planar", False), said.get("residual", False)
    workload = {"kind": "grouped", "in_c": c, "in_h": h, "in_w": w, "out_c": n, "groups": groups, "kernel": size}
    workload |= {"out_h": (h - 1) // stride + 1, "out_w": (w - 1) // stride + 1, "stride": stride}
    kernel = kernel_for({**workload, "activation": activation, "planar": planar, "residual": residual}, isa)
    x, weight, bias = values(c, h, w), values(n, c // groups, size, size), values(n)
    x[: c // groups, h // 2, w // 2] = np.nan if said.get("nan") else 1
    expected = ACTIVATIONS[activation](conv(x, weight, bias, stride=stride, groups=groups))
    pixels = x.reshape(c, -1)
    arguments = [pixels[:, :, None] if planar else blocked(pixels, isa.lanes), kernel.pack(weight)]
    arguments.append(padded(bias, isa.lanes))
    if residual:
        shortcut = values(*expected.shape)
        expected = expected + torch.from_numpy(shortcut)
        arguments.append(blocked(shortcut, isa.lanes))
    return Case(kernel, arguments, expected.numpy())


def grouped_cases(isa: Isa) -> list[Case]:
    """Groups that fill vectors, share them, lie across them; multipliers; FBNet's 1x1 convolutions in two groups."""
    lanes = isa.lanes
    return [
        grouped(isa, (4 * lanes, 6, 9), 4 * lanes, 2, 3, 1, "relu", residual=True),
        grouped(isa, (10, 5, 7), 6 * lanes, 2, 1, 1, "none"),
        grouped(isa, (6, 4, 4), 9, 3, 3, 1, "none"),
        grouped(isa, (4, 3, 3), 8, 4, 3, 1, "relu"),
        grouped(isa, (11, 7, 6), 33, 11, 5, 2, "hswish"),
        grouped(isa, (32, 8, 8), 32, 8, 3, 1, "relu", residual=True),
        grouped(isa, (48, 5, 9), 72, 2, 1, 1, "hswish", residual=True),
        grouped(isa, (60, 3, 5), 100, 5, 3, 2, "hsigmoid"),
        grouped(isa, (6, 9, 8), 10, 2, 3, 2, "relu", planar=True),
        grouped(isa, (3, 9, 8), 3, 3, 3, 1, "none", planar=True),
        grouped(isa, (16, 1, 1), 8, 4, 1, 1, "none"),
        grouped(isa, (12, 5, 5), 12, 4, 3, 1, "none", nan=True),
        grouped(isa, (2 * lanes, 5, 5), 2 * lanes, 2, 3, 1, "none", nan=True),
    ]


def other_cases(isa: Isa) -> list[Case]:
    found = []
    for m, c in ((1, 1), (3, 5), (49, 20), (1030, 67)):
        x, gate, other = values(c, m), values(c, 1), values(m, c).T.copy()
        size = {"m": m, "c": c}
        maps = [blocked(value, isa.lanes) for value in (x, gate, other)]
        found += [
            Case(kernel_for({"kind": "pool", **size}, isa), maps[:1], x.astype(float).mean(1, keepdims=True)),
            Case(kernel_for({"kind": "scale", **size}, isa), maps[:2], x.astype(float) * gate),
            Case(kernel_for({"kind": "add", **size}, isa), [maps[0], maps[2]], x.astype(float) + other),
            Case(kernel_for({"kind": "block", **size}, isa), [x], x),
        ]
    return found


@pytest.mark.parametrize(
    "make", [gemm_cases, gemv_cases, depthwise_cases, expand_cases, conv_cases, grouped_cases, other_cases]
)
def test_kernels_equal_torch(make) -> None:
    check([case for isa in ISAS for case in make(isa)])


def with_every_candidate(case: Case, isa: Isa, repack: Callable[[Kernel], list[np.ndarray]]) -> list[Case]:
    """The same case by every tile that may be measured."""
    kernels = [Kernel(case.kernel.workload, one, isa) for one in candidate_schedules(case.kernel.workload, isa)]
    return [Case(kernel, repack(kernel), case.expected) for kernel in kernels]


def candidate_cases(isa: Isa) -> list[Case]:
    found = []
    for kind, m, k, n in (("gemm", 49, 33, 5 * isa.lanes + 3), ("gemv", 1, 61, 4 * isa.lanes + 1)):
        case = product(kind, isa, m, k, n, "hswish", True)
        weight = values(n, k, 1, 1)
        first, _, *rest = case.arguments
        found += with_every_candidate(
            case, isa, lambda kernel, first=first, rest=rest, weight=weight: [first, kernel.pack(weight), *rest]
        )
    for case in (depthwise(isa, 9, 5, 29, 5, 2, "relu"), depthwise(isa, 5, 3, 40, 3, 1, "none")):
        found += with_every_candidate(case, isa, lambda kernel, case=case: case.arguments)
    case = expand(isa, 9, 2 * isa.lanes + 1, 11, 19, 5, 1, "relu")
    point, (x, _, bias, *rest) = values(2 * isa.lanes + 1, 9, 1, 1), case.arguments
    found += with_every_candidate(case, isa, lambda kernel: [x, kernel.pack(point), bias, *rest])
    return found


def test_every_tile_that_may_be_chosen_computes_the_same() -> None:
    cases = [case for isa in ISAS[:2] for case in candidate_cases(isa)]
    assert len({case.kernel.symbol for case in cases}) == len(cases) > 50
    check(cases)


def check(cases: list[Case]) -> None:
    given = [(case.kernel, case.arguments) for case in cases]
    outputs = call_in_child(run_in_child, given, timeout_s=600, without=NOT_NEEDED_BY_TVM)
    for case, out in zip(cases, outputs):
        found, finite = plain(out, len(case.expected)), np.isfinite(case.expected)
        assert np.array_equal(np.isfinite(found), finite), case.kernel
        error = np.abs(found - case.expected)[finite].max() / max(1, np.abs(case.expected[finite]).max())
        assert error < 1e-5, case.kernel
