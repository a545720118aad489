"""Profile a device by its kernels: those that matter most to networks and are known least come first."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from natdeploy.devices import HardwareProfile
from natdeploy.devices.units import Access
from natdeploy.ground.errors import BadInput
from natdeploy.latency.inputs.features import layer_kind
from natdeploy.latency.intervals.evaluation import TimedNetworks, on_holdout, quality_of
from natdeploy.latency.kernels.chains import (
    Chain,
    Kernels,
    empty_chains,
    kernels_of,
    pair_chain,
    random_archs,
    single_chain,
)
from natdeploy.latency.kernels.fit import fit_kernels, fit_whole
from natdeploy.latency.kernels.predictor import KernelSums
from natdeploy.latency.measured.comparable import comparable
from natdeploy.latency.measured.fit import model_of, timed_twice, timings_of
from natdeploy.latency.measured.lookup_table import workload_key
from natdeploy.latency.model import LatencyModel
from natdeploy.measure import Measurement, MeasurementStore, TimingProtocol
from natdeploy.measure.kernel_timing import chain_key, time_chains
from natdeploy.spaces import Layer, Space

Progress = Callable[[str, float], None]
#: Kernels of each kind to begin with, added at a time (in all, and of a kind), and in all at most.
FIRST, ROUND, OF_A_KIND, MOST = 4, 12, 3, 160
#: Pairs of each two kinds that are timed.
PAIRS = 2
#: Relative uncertainty of the sum over a network's kernels that is small enough.
SURE = 0.015


@dataclass(frozen=True)
class KernelJob:
    """Kernels of a space on a device in one runtime."""

    profile: HardwareProfile
    space: Space
    runtime: str
    store: MeasurementStore
    protocol: TimingProtocol
    access: Access
    num_classes: int | None = None
    seed: int = 0

    def learn(
        self,
        *,
        ends: float = float("inf"),
        enough: Callable[[KernelSums], bool] | None = None,
        tell: Progress | None = None,
    ) -> KernelSums:
        """Time kernels until networks' sums are known well enough, or until it is late.

        Args:
            ends: ``time.monotonic()`` after which no further round starts.
            enough: whether what is known so far suffices.
            tell: told the stage and the fraction done.
        """
        archs = random_archs(self.space, seed=self.seed)
        kernels = kernels_of(self.space, archs, self.num_classes)
        networks = [self.space.layers(arch, self.num_classes) for arch in archs[:40]]
        singles = [layer for found in kernels.singles.values() for layer in _spread(found, FIRST)]
        pairs = [pair for found in kernels.pairs.values() for pair in found[:PAIRS] if pair_chain(*pair) is not None]
        singles = with_parts(singles, pairs)
        chains_ms: dict[str, float] = {}
        while True:
            self._time(chains_ms, singles, pairs, tell)
            sums = fit_kernels(chains_ms, singles, pairs)
            unsure = float(np.median(sums.networks_ms(networks)[:, 1]))
            if unsure < SURE or len(singles) >= MOST or time.monotonic() > ends or (enough and enough(sums)):
                return sums
            more = least_known(sums, kernels, singles)
            if not more:
                return sums
            singles += more

    def _time(
        self,
        chains_ms: dict[str, float],
        singles: Sequence[Layer],
        pairs: Sequence[tuple[Layer, Layer]],
        tell: Progress | None,
    ) -> None:
        splits = [*map(single_chain, singles), *(split for pair in pairs if (split := pair_chain(*pair)))]
        wanted: list[Chain] = [*empty_chains(), *(chain for split in splits for chain in split.chains)]
        new = {chain_key(chain): chain for chain in wanted if chain_key(chain) not in chains_ms}
        timed = time_chains(
            list(new.values()),
            space=self.space,
            profile=self.profile,
            runtime=self.runtime,
            protocol=self.protocol,
            store=self.store,
            progress=None if tell is None else lambda stage, _: tell(stage, min(len(chains_ms) / MOST / 2, 1.0)),
            access=self.access,
        )
        chains_ms.update(zip(new, (item.latency_ms for item in timed)))


def with_parts(singles: Sequence[Layer], pairs: Sequence[tuple[Layer, Layer]]) -> list[Layer]:
    """Single layers, and those of the pairs: what two save shows beside what each takes by itself."""
    asked = [layer for pair in pairs if (split := pair_chain(*pair)) for layer in split.asked]
    return list({workload_key(layer): layer for layer in (*singles, *asked)}.values())


def least_known(sums: KernelSums, kernels: Kernels, timed: Sequence[Layer]) -> list[Layer]:
    """Kernels whose timing would take the most uncertainty out of networks, by how often they stand in them."""
    known = {workload_key(layer) for layer in timed}
    free = [layer for found in kernels.singles.values() for layer in found if workload_key(layer) not in known]
    if not free:
        return []
    ms, spread = sums.layers_ms(free)
    gain = ms * spread * np.array([kernels.frequency[workload_key(layer)] for layer in free])
    chosen: list[Layer] = []
    taken: Counter[str] = Counter()
    for row in np.argsort(-gain):
        kind = layer_kind(free[row])
        if taken[kind] < OF_A_KIND:
            taken[kind] += 1
            chosen.append(free[row])
        if len(chosen) == ROUND:
            break
    return chosen


def fit_kernel_model(
    sums: KernelSums, measurements: Sequence[Measurement], space: Space, *, coverage: float = 0.9
) -> tuple[LatencyModel, np.ndarray]:
    """A latency model of kernels, and what whole networks take beside them.

    Args:
        sums: kernels and fusion rules.
        measurements: of whole networks on the same device, runtime and toolchain; those of role ``holdout`` judge.
        space: of the networks.
        coverage: share of intervals that shall hold.

    Returns the model, and errors of the training networks as
    :func:`natdeploy.latency.measured.fit.fit_and_leave_out` does.
    Raises BadInput for too few networks.
    """
    usable = comparable(measurements, space)
    train, holdout = timings_of(usable, space)
    training, judged = TimedNetworks.of(space, train), TimedNetworks.of(space, holdout)
    if len(judged.networks) < 2:
        raise BadInput(f"kernels: {len(judged.networks)} holdout networks can be trusted, at least 2 are needed")
    networks = [space.layers(*network) for network in training.networks]
    predictor, errors = fit_whole(sums, networks, training.latency_ms, space)
    found = sums.networks_ms([space.layers(*network) for network in judged.networks])
    prediction = predictor.of_sums(found, coverage)
    outcome = on_holdout(space, prediction, training, judged)
    quality = quality_of(outcome, coverage, len(train), timed_twice(usable, space))
    model = model_of(predictor, usable, space, quality)
    return model, errors


def _spread(layers: Sequence[Layer], count: int) -> list[Layer]:
    """Layers spread over their kind's range of work, the least and the greatest among them."""
    order = sorted(layers, key=lambda layer: (layer.macs, layer.out_elements, workload_key(layer)))
    places = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return [order[place] for place in places]
