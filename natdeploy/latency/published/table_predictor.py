"""Latencies of a space's networks from a published table of blocks: sums, with intervals.

The interval's width follows how unsure the blocks are, as if they were all wrong in the same direction. Its factor is
calibrated on networks of which the table has every block, each predicted without the blocks of its image size; where
the space's channels are not the table's, on the parts of networks that have the same channels, each predicted without
those (conformal prediction, normalised as in Papadopoulos et al. 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from natdeploy.latency.inputs.gene_sums import Archs, GeneSums
from natdeploy.latency.intervals.conformal import calibration_rank
from natdeploy.latency.intervals.prediction import LatencyPrediction
from natdeploy.latency.published.block_regression import BlockRegression
from natdeploy.spaces import Block, Layer, Space, blocks

#: Half-width of the interval of a sum of exactly known blocks: a network is not timed block by block.
WHOLE = 0.01
#: Relative error of blocks below which none is believed to be.
LEAST_ERROR = 0.002
#: Nanoseconds and their errors are whole numbers, so that sums do not depend on their order.
_NS_PER_MS = 1e6


@dataclass(frozen=True, eq=False)
class TablePredictor:
    """Mean and interval from blocks.

    Attributes:
        regression: milliseconds of blocks.
        scores: sorted errors of calibration networks in units of :func:`network_errors`; float64 ``[n]``.
        space: of the networks.
    """

    regression: BlockRegression
    scores: np.ndarray
    space: Space
    _blocks: dict[Block, tuple[float, float]] = field(default_factory=dict, repr=False)
    _sums: dict[int, GeneSums] = field(default_factory=dict, repr=False)

    def predict(self, archs: Archs, coverage: float, num_classes: int | None = None) -> LatencyPrediction:
        """Latencies of architectures. Raises BadInput for a coverage the calibration cannot give."""
        classes = self.space.num_classes if num_classes is None else num_classes
        if classes not in self._sums:
            self._sums[classes] = GeneSums(self.space, self._layer_sum, classes)
        found = self._sums[classes](archs) / _NS_PER_MS
        mean_ms = found[:, 0]
        score = self.scores[calibration_rank(len(self.scores), coverage) - 1]
        # A space may be far from the table; how far is part of the error, so nothing counts as outside.
        return LatencyPrediction.around(mean_ms, half_width(score, network_errors(mean_ms, found[:, 1])))

    def _layer_sum(self, layers: Sequence[Layer]) -> np.ndarray:
        """Nanoseconds of a network, and what they may be off."""
        network = table_blocks(layers)
        new = list(dict.fromkeys(block for block in network if block not in self._blocks))
        if new:
            mean_ms, spread = self.regression.predict(new)
            pairs = np.rint(_NS_PER_MS * np.stack([mean_ms, mean_ms * spread], axis=1))
            self._blocks.update(zip(new, map(tuple, pairs.tolist())))
        return np.array([self._blocks[block] for block in network]).sum(0)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the space is not part of it."""
        return {"regression": self.regression.to_json(), "scores": self.scores.tolist()}

    @staticmethod
    def from_json(value: dict[str, Any], space: Space) -> TablePredictor:
        """Inverse of :meth:`to_json`. Raises ValueError, TypeError or KeyError for what is not of its form."""
        return TablePredictor(
            BlockRegression.from_json(value["regression"]), np.array(value["scores"], np.float64), space
        )


def table_blocks(layers: Sequence[Layer]) -> list[Block]:
    """Blocks of a network as tables know them: not all tables tell activations, so none is asked for."""
    return [replace(block, hswish=None) for block in blocks(layers)]


def network_errors(mean_ms: np.ndarray, error_ms: np.ndarray) -> np.ndarray:
    """Relative error that a network may have, of its latency and the sum of its blocks' errors; float64 ``[n]``."""
    return LEAST_ERROR + error_ms / mean_ms


def half_width(score: float, errors: np.ndarray) -> np.ndarray:
    """Half-widths of intervals in log space from a calibrated score and :func:`network_errors`."""
    return WHOLE + score * errors
