"""From timed chains to kernels and fusion rules, and from whole networks to what they take beside the sum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.inputs.features import layer_kind
from natdeploy.latency.kernels.chains import Split, empty_chains, pair_chain, single_chain
from natdeploy.latency.kernels.gp import KindModel, shape_features
from natdeploy.latency.kernels.model import WholeOfParts
from natdeploy.latency.kernels.predictor import KernelPredictor, KernelSums
from natdeploy.latency.measured.lookup_table import workload_key
from natdeploy.measure.kernel_timing import chain_key
from natdeploy.spaces import Layer, Space

#: Relative error of a chain's time, and the share of it below which a kernel's own part cannot be told from nothing.
CHAIN_ERROR, LEAST_PART = 0.01, 0.02
#: A kernel has to take so many errors of its chain before a pair tells whether it is joined.
UNSURE = 3
#: A pair is joined where it saves this share of the cheaper kernel (nn-Meter, Zhang et al. 2021, section 4).
JOINED = 0.5
#: Fewest networks by which the whole is told from the sum.
MIN_NETWORKS = 5


def fit_kernels(
    chains_ms: Mapping[str, float], singles: Sequence[Layer], pairs: Sequence[tuple[Layer, Layer]]
) -> KernelSums:
    """Kernels from the chains of single layers, fusion rules from those of pairs.

    Args:
        chains_ms: milliseconds by :func:`natdeploy.measure.kernel_timing.chain_key`; all that the following need.
        singles: layers that were timed by themselves, those of the pairs among them.
        pairs: layers that were timed one after the other.

    Raises BadInput for no layers.
    """
    if not singles:
        raise BadInput("kernels: no layer was timed")
    once_ms, twice_ms = (chains_ms[chain_key(chain)] for chain in empty_chains())
    overhead_ms = float(np.clip(2 * once_ms - twice_ms, 0.0, once_ms))
    rows: dict[str, list[tuple[np.ndarray, float, float]]] = defaultdict(list)
    alone: dict[str, float] = {}
    for layer in singles:
        with_ms, without_ms = _both(chains_ms, single_chain(layer), overhead_ms)
        ms = max(with_ms - without_ms, LEAST_PART * with_ms)
        alone[workload_key(layer)] = ms
        spread = CHAIN_ERROR * float(np.hypot(with_ms, without_ms)) / ms
        rows[layer_kind(layer)].append((shape_features(layer), ms, spread))
    kinds = {
        kind: KindModel.fit(*(np.array([row[part] for row in found]) for part in range(3)))
        for kind, found in rows.items()
    }
    shares: dict[tuple[str, str], list[float]] = defaultdict(list)
    for first, second in pairs:
        split = pair_chain(first, second)
        if split is None:
            continue
        with_ms, without_ms = _both(chains_ms, split, overhead_ms)
        own = [alone[workload_key(layer)] for layer in split.asked]
        if min(own) < UNSURE * CHAIN_ERROR * with_ms:
            continue  # what a kernel that small saves cannot be told from noise
        shares[layer_kind(first), layer_kind(second)].append((sum(own) - (with_ms - without_ms)) / min(own))
    saved = {kinds_: float(np.clip(np.median(found), 0, 1)) for kinds_, found in shares.items()}
    return KernelSums(kinds, {pair: share for pair, share in saved.items() if share > JOINED}, overhead_ms)


def _both(chains_ms: Mapping[str, float], split: Split, overhead_ms: float) -> tuple[float, float]:
    """Milliseconds with and without what is asked for; a call of the runtime is in both, once."""
    without = [chains_ms[chain_key(chain)] - overhead_ms for chain in split.rest]
    return chains_ms[chain_key(split.chain)], sum(without) + overhead_ms


def fit_whole(
    sums: KernelSums, networks: Sequence[Sequence[Layer]], latency_ms: np.ndarray, space: Space
) -> tuple[KernelPredictor, np.ndarray]:
    """What whole networks take beside the sum of their kernels, and intervals from networks left out one by one.

    Args:
        sums: of kernels.
        networks: layers of each timed network.
        latency_ms: float64 ``[n]``.
        space: of the networks.

    Returns the predictor, and logarithms of measured over predicted latencies, each predicted without it. Raises
    BadInput for too few networks.
    """
    if len(networks) < MIN_NETWORKS:
        raise BadInput(
            f"kernels: {len(networks)} whole networks, at least {MIN_NETWORKS} are needed beside the kernels"
        )
    found = sums.networks_ms(networks)
    sums_ms, spread = found[:, 0], found[:, 1]
    errors = np.zeros(len(networks))
    for row in range(len(networks)):
        rest = np.arange(len(networks)) != row
        said = float(rising_whole(sums_ms[rest], latency_ms[rest])(sums_ms[row : row + 1])[0])
        errors[row] = np.log(latency_ms[row] / max(said, 1e-6))
    scores = np.sort(np.abs(errors) / spread)
    return KernelPredictor(sums, rising_whole(sums_ms, latency_ms), scores, space), errors


def rising_whole(sums_ms: np.ndarray, latency_ms: np.ndarray, kernels: np.ndarray | None = None) -> WholeOfParts:
    """Networks from sums of their kernels, and how many these are if given, float64 ``[n]`` each.

    A factor alone where latencies would fall with the sum, or below zero.
    """
    line = WholeOfParts.fit(sums_ms, latency_ms, kernels)
    if line.scale > 0 and (line(sums_ms, kernels) > 0).all():
        return line
    return WholeOfParts(float(np.exp(np.mean(np.log(latency_ms / sums_ms)))), 0.0)
