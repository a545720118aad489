"""1x1 convolutions of maps.

``out[n, m] = activation(bias[n] + sum over k of x[k, m] * w[k, n]) (+ residual[n, m])`` for ``m`` pixels. A tile is
``rows`` pixels by ``vectors`` vectors of output channels, a unit some tiles on one panel of weights.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, Kind, Schedule, Shape, Workload
from natdeploy.compiler.kernels.layout import pack_panels
from natdeploy.compiler.kernels.product import Product, emit_tile
from natdeploy.compiler.kernels.tiles import cases, gemm_tile, gemm_tiles, varied

#: Units that threads may share, at least.
_SHARES = 32


def _rule(workload: Workload, isa: Isa) -> Schedule:
    return gemm_tile(workload["m"], isa.blocks(workload["n"]), workload["k"], isa)


def _others(workload: Workload, isa: Isa) -> list[Schedule]:
    return varied(gemm_tiles(workload["m"], isa.blocks(workload["n"]), workload["k"], isa))


def _shapes(workload: Workload, isa: Isa) -> tuple[Shape, ...]:
    m, k = workload["m"], workload["k"]
    blocks = isa.blocks(workload["n"])
    out = (blocks, m, isa.lanes)
    residual = (out,) if workload["residual"] else ()
    return ((isa.blocks(k), m, isa.lanes), (blocks * k, isa.lanes), (blocks, isa.lanes), *residual, out)


def _product(kernel: Kernel) -> Product:
    workload, schedule = kernel.workload, kernel.schedule
    return Product(workload["m"], workload["k"], workload["n"], schedule["rows"], schedule["vectors"], kernel.isa)


def _groups(product: Product) -> int:
    """Groups of tiles on each panel: a tile of another size than the others is looked for once in a group only."""
    return max(1, min(product.m // product.rows, ceil(_SHARES / product.panels)))


def _units(kernel: Kernel) -> int:
    product = _product(kernel)
    return product.panels * _groups(product)


def _emit(e: Any, kernel: Kernel, buffers: list[Any], unit: Any) -> None:
    product = _product(kernel)
    groups = _groups(product)
    panel, group = unit // groups, unit % groups
    full, rest = divmod(product.m, product.rows)

    def width(v: int) -> None:
        if full:
            first = group * full // groups
            with e.loop(0, (group + 1) * full // groups - first) as index:
                _emit_tile(e, kernel, buffers, (first + index, panel), (product.rows, v))
        if rest:
            e.only_if(group == groups - 1, lambda: _emit_tile(e, kernel, buffers, (full, panel), (rest, v)))

    cases(e, panel, kernel.isa.blocks(product.n), product.vectors, width)


def _emit_tile(e: Any, kernel: Kernel, buffers: list[Any], place: tuple[Any, Any], size: tuple[int, int]) -> None:
    x, weight, bias, *residual, out = buffers
    first, block = place[0] * kernel.schedule["rows"], place[1] * kernel.schedule["vectors"]

    def finish(r: int, v: int, value: Any) -> None:
        value = e.activate(value, kernel.workload["activation"])
        if residual:
            value = value + e.vector(residual[0], block + v, first + r)
        e.store(out, value, block + v, first + r)

    emit_tile(e, _product(kernel), (x, weight, bias), (first, place[1]), size, finish)


def _pack(kernel: Kernel, weight: np.ndarray, place: int = 0) -> np.ndarray:
    matrix = weight.reshape(weight.shape[0], -1)
    return pack_panels(matrix, kernel.isa.lanes, kernel.schedule["vectors"])


def _work(workload: Workload) -> int:
    return int(workload["m"] * workload["k"] * workload["n"])


KIND = Kind(rule=_rule, shapes=_shapes, units=_units, work=_work, emit=_emit, pack=_pack, others=_others)
