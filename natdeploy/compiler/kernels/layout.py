"""Packed weights: panels of output channels, so that a tile reads its weights as one stream."""

from __future__ import annotations

from typing import Any

import numpy as np


def pack_panels(matrix: np.ndarray, lanes: int, vectors: int) -> np.ndarray:
    """``[n, k]`` to ``[rows, lanes]``: a panel of ``vectors`` vectors of n after the other (the last may be narrower),
    in each k outermost; zeros behind the last n."""
    n, k = matrix.shape
    blocks = -(-n // lanes)
    whole = np.zeros((blocks * lanes, k), "<f4")
    whole[:n] = matrix
    by_block = whole.reshape(blocks, lanes, k).transpose(0, 2, 1)
    panels = [by_block[start : start + vectors].transpose(1, 0, 2) for start in range(0, blocks, vectors)]
    return np.concatenate([panel.reshape(-1, lanes) for panel in panels])


def panel_row(block: Any, k: int, channel: Any, vectors: int, vector: int) -> Any:
    """The row of a packed weight: ``block`` is the panel's first vector, ``vectors`` its width, ``k`` its depth."""
    return block * k + channel * vectors + vector


def pad_channels(values: np.ndarray, lanes: int) -> np.ndarray:
    """``[n, ...]`` to ``[blocks, lanes, ...]`` float32 with zeros behind the last channel."""
    blocks = -(-values.shape[0] // lanes)
    whole = np.zeros((blocks * lanes, *values.shape[1:]), "<f4")
    whole[: values.shape[0]] = values
    return whole.reshape(blocks, lanes, *values.shape[1:])
