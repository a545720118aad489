"""A network on a device from the same network on other devices, and from a few networks that were timed on it.

The logarithm of a latency is the mean over the other devices' plus a Gaussian process in how the network departs from
that mean on each of them and in its size; hyperparameters by marginal likelihood (Rasmussen and Williams 2006, 5.4.1).
"""

from __future__ import annotations

from itertools import product

import numpy as np

from natdeploy.ground.errors import BadInput

#: Prior variances: of the device's constant, of its slope with size; tried: of its likeness to each device, and noise.
CONSTANT, SLOPE = 10.0, 0.01
LIKENESS, NOISE = (0.001, 0.01, 0.1, 1.0, 10.0), (0.001, 0.003, 0.01, 0.03)
#: Fewest networks timed on the device.
MIN_MEASURED = 3


def predict_counterparts(
    measured_ms: np.ndarray, on_others_ms: np.ndarray, query_on_others_ms: np.ndarray
) -> np.ndarray:
    """Milliseconds of networks on a device, float64 ``[queries]``.

    Args:
        measured_ms: of the networks timed on it, ``[n]``.
        on_others_ms: of the same networks on other devices, ``[n, devices]``.
        query_on_others_ms: of the queried networks on other devices, ``[queries, devices]``.

    Raises BadInput for fewer than three measured networks, or latencies that are not positive.
    """
    if len(measured_ms) < MIN_MEASURED:
        raise BadInput(f"counterparts: {len(measured_ms)} measured networks, at least {MIN_MEASURED} are needed")
    if not all((np.isfinite(part) & (part > 0)).all() for part in (measured_ms, on_others_ms, query_on_others_ms)):
        raise BadInput("counterparts: latencies must be positive numbers of ms")
    others, query = np.log(on_others_ms), np.log(query_on_others_ms)
    size, query_size = others.mean(1), query.mean(1)
    centre = size.mean()
    residual = np.log(measured_ms) - size
    departs, query_departs = others - size[:, None], query - query_size[:, None]

    def kernel(likeness: float, left: np.ndarray, left_size: np.ndarray) -> np.ndarray:
        slope = SLOPE * np.outer(left_size - centre, size - centre)
        return np.asarray(CONSTANT + likeness * left @ departs.T + slope)

    best, chosen = float("-inf"), np.zeros(len(query))
    for likeness, noise in product(LIKENESS, NOISE):
        lower = np.linalg.cholesky(kernel(likeness, departs, size) + noise * np.eye(len(size)))
        whitened = np.linalg.solve(lower, residual)
        evidence = -float(np.log(np.diag(lower)).sum()) - 0.5 * len(size) * np.log(
            max(float(whitened @ whitened), 1e-300)
        )
        if evidence > best:
            best = float(evidence)
            chosen = kernel(likeness, query_departs, query_size) @ np.linalg.solve(lower.T, whitened)
    return np.asarray(np.exp(np.asarray(query_size) + chosen))
