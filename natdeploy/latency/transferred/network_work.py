"""What networks take on devices that timed other networks: work at rates of each device, and what is left over.

A network's time is nearly a sum of what its operators compute and move. Each device's rates are learned from the
networks that it ran; a Gaussian process over the work (Rasmussen and Williams 2006, 2.2) learns what they leave over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.kernels.work import KernelShapes
from natdeploy.latency.measured.xgboost_model import fit_rates

#: Length scale of what rates leave over, in standard deviations of log work (mean over columns), and noise beside it.
LENGTH, NOISE = 1.5, 0.1
#: Fewest networks that a device must have run.
MIN_NETWORKS = 5
#: No prediction is below this share of the fastest network measured.
FLOOR = 0.01


def network_work(operators: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Amounts that a processor's time for a network is nearly a sum of; float64 ``[15]``.

    A network, its operators, multiply-adds of convolutions by kind, values read and written, groups (a runtime may run
    one convolution for each), weights.

    Args:
        operators: of one network, as published timings describe them.
    """
    shapes = KernelShapes(operators)
    grouped = ~shapes.depthwise & (shapes.groups > 1)
    dense = np.array([name == "CONV_2D" for name in shapes.operation], bool) & ~grouped
    vector = np.array([name == "FULLY_CONNECTED" for name in shapes.operation], bool)
    others = ~(dense | grouped | shapes.depthwise | vector)
    written, read = shapes.out_size**2 * shapes.out_c, shapes.in_size**2 * shapes.in_c
    weights = shapes.in_c * shapes.out_c / shapes.groups * shapes.kernel**2
    macs = shapes.out_size**2 * weights
    point, small = shapes.kernel == 1, shapes.kernel <= 3
    sums = (
        (macs, dense & point),
        (macs, dense & ~point),
        (macs, shapes.depthwise & small),
        (macs, shapes.depthwise & ~small),
        (macs, grouped),
        (shapes.groups, grouped),
        (written, grouped),
        (macs, vector),
        (written, dense),
        (read * shapes.kernel**2, dense & ~point),
        (written, shapes.depthwise),
        (read + written, others),
        (weights, np.ones(len(weights), bool)),
    )
    return np.array([1, len(operators), *(amount[rows].sum() for amount, rows in sums)], np.float64)


@dataclass(frozen=True, eq=False)
class NetworksOnDevices:
    """Predicts networks on devices that timed others.

    Attributes:
        rates_ms: milliseconds per unit of work, float64 ``[columns, devices]``.
        floor_ms: least prediction, float64 ``[devices]``.
        work: of the networks learned from, float64 ``[n, columns]``.
        dual: weights of these networks in what rates leave over, float64 ``[n, devices]``.
    """

    rates_ms: np.ndarray
    floor_ms: np.ndarray
    work: np.ndarray
    dual: np.ndarray

    @staticmethod
    def fit(work: np.ndarray, latency_ms: np.ndarray, *, seed: int = 0) -> NetworksOnDevices:
        """Learn from work ``[n, columns]`` of networks and their milliseconds ``[n, devices]``, both float64.

        Raises BadInput for fewer than five networks, or latencies that are not positive.
        """
        if len(work) < MIN_NETWORKS:
            raise BadInput(f"networks: {len(work)} of them were timed, at least {MIN_NETWORKS} are needed")
        if not (np.isfinite(latency_ms) & (latency_ms > 0)).all():
            raise BadInput("networks: latencies must be positive numbers of ms")
        even = np.ones(len(work))
        rates_ms = np.stack([fit_rates(work, column, even, seed=seed) for column in latency_ms.T], axis=1)
        floor_ms = FLOOR * latency_ms.min(0)
        left_over = np.log(latency_ms / np.maximum(work @ rates_ms, floor_ms))
        dual = np.linalg.solve(_likeness(work, work, work) + NOISE * np.eye(len(work)), left_over)
        return NetworksOnDevices(rates_ms, floor_ms, work, dual)

    def __call__(self, work: np.ndarray) -> np.ndarray:
        """Milliseconds of networks on each device, float64 ``[n, devices]``, from work ``[n, columns]``."""
        base_ms = np.maximum(work @ self.rates_ms, self.floor_ms)
        return np.asarray(base_ms * np.exp(_likeness(work, self.work, self.work) @ self.dual))


def _likeness(left: np.ndarray, right: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Kernel over logarithms of work, standardised over a pool; float64 ``[left, right]``."""
    scale = np.maximum(pool.max(0), 1e-300)
    logs = np.log1p(1e3 * pool / scale)
    spread = logs.std(0)
    varied = spread > 1e-9
    a, b = ((np.log1p(1e3 * part / scale) - logs.mean(0))[:, varied] / spread[varied] for part in (left, right))
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(np.exp(-0.5 * np.maximum(squares, 0) / max(int(varied.sum()), 1) / LENGTH**2))
