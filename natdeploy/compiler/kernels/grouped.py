"""Convolutions in groups: each output channel is a sum over its own group's input channels only.

Where a group's output channels fill whole vectors, a tile lies within one group and is computed as a dense one. Else a
vector holds channels of several groups: it goes over all their input channels, and a mask says which lanes each of
these adds to. The others are left as they are, not added zero to: a NaN stays within its group.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from natdeploy.compiler.kernels.conv import Channels, emit_panel, pack_filters, rows_of_panels, shapes_of_depth
from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel, Kind, Schedule, Shape, Workload
from natdeploy.compiler.kernels.layout import pad_channels
from natdeploy.compiler.kernels.tiles import gemm_tiles, varied


def _sizes(workload: Workload) -> tuple[int, int]:
    """Input and output channels of a group."""
    return workload["in_c"] // workload["groups"], workload["out_c"] // workload["groups"]


def _whole_vectors(workload: Workload, isa: Isa) -> bool:
    return _sizes(workload)[1] % isa.lanes == 0


def _first(workload: Workload, isa: Isa, block: Any) -> Any:
    """The first input channel of a block of output channels."""
    in_g, out_g = _sizes(workload)
    return block * isa.lanes // out_g * in_g


def _channels(workload: Workload, isa: Isa) -> int:
    """How many input channels a vector goes over: those of all groups that one may hold."""
    in_g, out_g = _sizes(workload)
    if _whole_vectors(workload, isa):
        return in_g
    lasts = [min((block + 1) * isa.lanes, workload["out_c"]) - 1 for block in range(isa.blocks(workload["out_c"]))]
    return max(last // out_g * in_g + in_g - _first(workload, isa, block) for block, last in enumerate(lasts))


def _tiles(workload: Workload, isa: Isa) -> list[Schedule]:
    """A tile stays within a group; one vector where it holds several, beside registers for a mask and what it makes."""
    whole = _whole_vectors(workload, isa)
    blocks = _sizes(workload)[1] // isa.lanes if whole else 1
    room = isa if whole else Isa(isa.lanes, isa.registers - 2)
    tiles = gemm_tiles(workload["out_w"], blocks, _depth(workload, isa), room)
    return [{"columns": tile["rows"], "vectors": tile["vectors"]} for tile in tiles if blocks % tile["vectors"] == 0]


def _depth(workload: Workload, isa: Isa) -> int:
    return int(_channels(workload, isa) * workload["kernel"] ** 2 + (not _whole_vectors(workload, isa)))


def _rule(workload: Workload, isa: Isa) -> Schedule:
    return _tiles(workload, isa)[0]


def _others(workload: Workload, isa: Isa) -> list[Schedule]:
    return varied(_tiles(workload, isa), 5)


def _shapes(workload: Workload, isa: Isa) -> tuple[Shape, ...]:
    return shapes_of_depth(workload, isa, _depth(workload, isa))


def _emit(e: Any, kernel: Kernel, buffers: list[Any], unit: Any) -> None:
    workload, isa = kernel.workload, kernel.isa
    in_g, _ = _sizes(workload)
    whole = _whole_vectors(workload, isa)
    channels = Channels(
        _channels(workload, isa),
        lambda block: _first(workload, isa, block),
        None if whole else lambda channel: channel // in_g,
        None if whole else workload["in_c"] - 1,
    )
    emit_panel(e, kernel, buffers, unit, channels)


def _pack(kernel: Kernel, weight: np.ndarray, place: int = 0) -> np.ndarray:
    workload, isa = kernel.workload, kernel.isa
    if _whole_vectors(workload, isa):
        return pack_filters(kernel, weight)
    in_g, out_g = _sizes(workload)
    wide = np.zeros((weight.shape[0], _channels(workload, isa), *weight.shape[2:]), np.float32)
    for channel, filters in enumerate(weight):
        start = channel // out_g * in_g - _first(workload, isa, channel // isa.lanes)
        wide[channel, start : start + in_g] = filters
    lanes = pad_channels(np.arange(len(weight)) // out_g + 1, isa.lanes)[:, None] - 1
    taps = pack_filters(kernel, wide).reshape(len(lanes), -1, isa.lanes)
    return np.concatenate([lanes, taps], axis=1).reshape(-1, isa.lanes)


def _work(workload: Workload) -> int:
    inputs = _sizes(workload)[0] * workload["kernel"] ** 2
    return int(workload["out_c"] * workload["out_h"] * workload["out_w"] * inputs)


KIND = Kind(rule=_rule, shapes=_shapes, units=rows_of_panels, work=_work, emit=_emit, pack=_pack, others=_others)
