"""The field's usual predictor, kept as a baseline: a latency for each distinct layer workload, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import canonical_json
from natdeploy.latency.inputs.features import KINDS, feature_names, features, layer_kind
from natdeploy.spaces import Layer

#: Penalties tried for a workload's departure from its kind's rate.
PENALTIES = tuple(float(10**exponent) for exponent in np.arange(-3, 3.5, 0.5))


@lru_cache(maxsize=1 << 16)
def workload_key(layer: Layer) -> str:
    """Text by which a table knows a layer."""
    return canonical_json(layer.workload())


@dataclass(frozen=True)
class LookupTable:
    """Milliseconds per workload.

    Attributes:
        latency_ms: by :func:`workload_key`.
        kind_rates_ms: by layer kind: milliseconds per layer, per MAC and per byte moved, for workloads of a kind that
            the table has but not in this shape.
    """

    latency_ms: Mapping[str, float]
    kind_rates_ms: Mapping[str, tuple[float, float, float]]

    def network_ms(self, layers: Sequence[Layer]) -> float:
        """Sum over the layers. Raises BadInput naming a layer of a kind that was never measured: it is not 0 ms."""
        return sum((self.layer_ms(layer) for layer in layers), 0.0)

    def layer_ms(self, layer: Layer) -> float:
        """One layer's part. Raises BadInput naming it where its kind was never measured."""
        found = self.latency_ms.get(workload_key(layer))
        if found is not None:
            return found
        kind = layer_kind(layer)
        if kind not in self.kind_rates_ms:
            raise BadInput(f"lookup table: layer {layer.name!r} is of kind {kind}, which was never measured")
        return float(np.dot(self.kind_rates_ms[kind], _costs(layer)))


def fit_lookup_table(networks: Sequence[Sequence[Layer]], latency_ms: np.ndarray) -> LookupTable:
    """A table whose sums are nearest to measured whole networks, in relative errors.

    Non-negative rates per kind first; then each workload departs from its rate by ridge regression, with the penalty
    of the least leave-one-out error.
    """
    from scipy.optimize import nnls

    workloads = {workload_key(layer): layer for layers in networks for layer in layers}
    names = list(workloads)
    counted = [Counter(workload_key(layer) for layer in layers) for layers in networks]
    counts = np.array([[counter[name] for name in names] for counter in counted], np.float64)
    kinds = [kind for kind in KINDS if any(layer_kind(layer) == kind for layer in workloads.values())]
    cost = np.zeros((len(names), len(kinds), 3))
    for row, layer in enumerate(workloads.values()):
        cost[row, kinds.index(layer_kind(layer))] = _costs(layer)
    costs = cost.reshape(len(names), -1)
    scale = np.maximum((counts @ costs).max(0), 1e-30)
    rates, _ = nnls(counts @ (costs / scale) / latency_ms[:, None], np.ones(len(networks)), maxiter=10000)
    rates = rates / scale
    # A workload whose kind got no rate of its own still takes some time: a thousandth of an average layer's.
    prior = np.maximum(costs @ rates, 1e-3 * float(np.median(latency_ms)) / max(1.0, float(counts.sum(1).mean())))
    departure = _ridge(counts * prior / latency_ms[:, None], 1 - counts @ prior / latency_ms)
    table = np.maximum(prior * (1 + departure), 0.1 * prior)
    return LookupTable(
        dict(zip(names, table.tolist())),
        {kind: tuple(rates[3 * index : 3 * index + 3].tolist()) for index, kind in enumerate(kinds)},
    )


def _costs(layer: Layer) -> np.ndarray:
    """1, MACs, and bytes moved of a layer."""
    sums = dict(zip(feature_names(), features([layer])))
    return np.array([1.0, sums["macs"], sums["activation_bytes"] + sums["weight_bytes"]])


def _ridge(matrix: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Ridge regression in its dual form, penalty by leave-one-out error."""
    values, vectors = np.linalg.eigh(matrix @ matrix.T)
    unit = max(float(values.mean()), 1e-30)
    best, chosen = np.inf, np.zeros(len(values))
    for penalty in PENALTIES:
        inverse = 1 / (np.maximum(values, 0) + penalty * unit)
        dual = vectors @ (inverse * (vectors.T @ target))
        error = float(np.mean((dual / (vectors**2 @ inverse)) ** 2))
        if error < best:
            best, chosen = error, dual
    return matrix.T @ chosen
