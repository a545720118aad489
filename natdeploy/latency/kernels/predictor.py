"""A network's latency from its layers as the runtime fuses them, and from what whole networks take beside their sum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.inputs.features import layer_kind
from natdeploy.latency.inputs.gene_sums import Archs, GeneSums
from natdeploy.latency.intervals.conformal import calibration_rank
from natdeploy.latency.intervals.prediction import LatencyPrediction
from natdeploy.latency.kernels.chains import joined
from natdeploy.latency.kernels.gp import KindModel, shape_features
from natdeploy.latency.kernels.model import WholeOfParts
from natdeploy.latency.measured.lookup_table import workload_key
from natdeploy.spaces import Layer, Space

#: Relative uncertainty that every sum has at least.
LEAST_SPREAD = 0.005
_NS_PER_MS = 1e6


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Kernels and fusion rules of one device and runtime.

    Attributes:
        kinds: model of each kind of layer (:data:`natdeploy.latency.inputs.features.KINDS`).
        saved: what two layers in a row save, as a share of the cheaper one, by their kinds; pairs that the runtime does
            not join are not in it.
        overhead_ms: of a run without any work.
    """

    kinds: Mapping[str, KindModel]
    saved: Mapping[tuple[str, str], float]
    overhead_ms: float
    _known: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    def unknown(self, layers: Sequence[Layer]) -> list[Layer]:
        """Layers of kinds that were never measured."""
        return [layer for layer in layers if layer_kind(layer) not in self.kinds]

    def layers_ms(self, layers: Sequence[Layer]) -> tuple[np.ndarray, np.ndarray]:
        """Milliseconds of each layer by itself, and their standard deviations in log space, float64 ``[n]`` each.

        Raises BadInput naming a layer of a kind that was never measured: it is not 0 ms.
        """
        if lacking := self.unknown(layers):
            raise BadInput(
                f"kernels: layer {lacking[0].name!r} is of kind {layer_kind(lacking[0])}, which was never timed on the "
                f"device; timed kinds: {', '.join(sorted(self.kinds))}"
            )
        new: dict[str, dict[str, Layer]] = defaultdict(dict)
        for layer in layers:
            if workload_key(layer) not in self._known:
                new[layer_kind(layer)][workload_key(layer)] = layer
        for kind, missing in new.items():
            mean, spread = self.kinds[kind](np.stack([shape_features(layer) for layer in missing.values()]))
            self._known.update(zip(missing, zip(np.exp(mean).tolist(), spread.tolist())))
        found = np.array([self._known[workload_key(layer)] for layer in layers], np.float64).reshape(-1, 2)
        return found[:, 0], found[:, 1]

    def fused_ms(self, layers: Sequence[Layer]) -> tuple[np.ndarray, np.ndarray]:
        """Milliseconds of each layer beside its neighbours, and what they may be off; float64 ``[n]`` each."""
        alone, spread = self.layers_ms(layers)
        place = {layer.name: index for index, layer in enumerate(layers)}
        fused = alone.copy()
        for first, second in joined(layers):
            share = self.saved.get((layer_kind(first), layer_kind(second)), 0.0)
            one, two = place[first.name], place[second.name]
            cheaper = one if alone[one] < alone[two] else two
            fused[cheaper] = max(fused[cheaper] - share * alone[cheaper], 0.0)
        return fused, fused * spread

    def network_ns(self, layers: Sequence[Layer]) -> np.ndarray:
        """Nanoseconds of a network's layers, then what those of each of :attr:`kinds` may be off, float64.

        Errors of one kind go together; those of different kinds do not. Whole numbers, so that sums do not depend on
        their order.
        """
        fused_ms, errors_ms = self.fused_ms(layers)
        place = {kind: column for column, kind in enumerate(self.kinds, start=1)}
        found = np.zeros(1 + len(place))
        found[0] = np.rint(_NS_PER_MS * fused_ms).sum()
        np.add.at(found, [place[layer_kind(layer)] for layer in layers], np.rint(_NS_PER_MS * errors_ms))
        return found

    def of_ns(self, found: np.ndarray) -> np.ndarray:
        """Sums over networks in ms and their relative standard deviations, float64 ``[n, 2]``.

        Args:
            found: of :meth:`network_ns`, ``[n, 1 + kinds]``.
        """
        sums_ms = found[:, 0] / _NS_PER_MS + self.overhead_ms
        spread = np.sqrt((found[:, 1:] ** 2).sum(1)) / _NS_PER_MS / np.maximum(sums_ms, 1e-12)
        return np.stack([sums_ms, np.maximum(spread, LEAST_SPREAD)], axis=1)

    def networks_ms(self, networks: Sequence[Sequence[Layer]]) -> np.ndarray:
        """Sum over each network's layers, in ms, and its relative standard deviation; float64 ``[n, 2]``."""
        return self.of_ns(np.array([self.network_ns(layers) for layers in networks]).reshape(len(networks), -1))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kinds": {kind: model.to_json() for kind, model in self.kinds.items()},
            "saved": [[first, second, share] for (first, second), share in sorted(self.saved.items())],
            "overhead_ms": self.overhead_ms,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> KernelSums:
        """Inverse of :meth:`to_json`."""
        kinds = {str(kind): KindModel.from_json(model) for kind, model in value["kinds"].items()}
        saved = {(str(first), str(second)): float(share) for first, second, share in value["saved"]}
        return KernelSums(kinds, saved, float(value["overhead_ms"]))


@dataclass(frozen=True, eq=False)
class KernelPredictor:
    """Mean and interval of networks from kernels.

    Attributes:
        sums: of kernels.
        whole: what a network takes beside the sum of its kernels.
        scores: sorted errors of networks left out, in standard deviations of their sums; float64 ``[n]``.
        space: of the networks.
    """

    sums: KernelSums
    whole: WholeOfParts
    scores: np.ndarray
    space: Space
    _tables: dict[int, GeneSums] = field(default_factory=dict, repr=False)

    def predict(self, archs: Archs, coverage: float, num_classes: int | None = None) -> LatencyPrediction:
        """Latencies of architectures.

        Raises BadInput for a coverage the calibration cannot give, and naming a layer that was never timed.
        """
        classes = self.space.num_classes if num_classes is None else num_classes
        if classes not in self._tables:
            self._tables[classes] = GeneSums(self.space, self._known_ns, classes)
        found = self._tables[classes](archs)
        for row in np.flatnonzero(np.isnan(found[:, 0]))[:1]:
            arch = self.space.decode(archs[row]) if isinstance(archs, np.ndarray) else archs[row]
            self.sums.layers_ms(self.space.layers(arch, classes))  # names the layer
        return self.of_sums(self.sums.of_ns(found), coverage)

    def _known_ns(self, layers: Sequence[Layer]) -> np.ndarray:
        """NaN for a network that is not asked for, maybe, and cannot be known."""
        if self.sums.unknown(layers):
            return np.full(1 + len(self.sums.kinds), np.nan)
        return self.sums.network_ns(layers)

    def of_sums(self, found: np.ndarray, coverage: float) -> LatencyPrediction:
        """Latencies from sums of kernels and their spread, as :meth:`KernelSums.networks_ms` gives; ``[n, 2]``."""
        mean_ms = np.maximum(self.whole(found[:, 0]), 1e-6)
        score = float(self.scores[calibration_rank(len(self.scores), coverage) - 1])
        return LatencyPrediction.around(mean_ms, score * found[:, 1])

    def of_layers(self, layers: Sequence[Layer], coverage: float) -> tuple[np.ndarray, LatencyPrediction]:
        """Milliseconds of each layer, float64 ``[n]``, and the latency of all together."""
        layers_ms, _ = self.sums.fused_ms(layers)
        return layers_ms * self.whole.scale, self.of_sums(self.sums.networks_ms([layers]), coverage)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the space is not part of it."""
        return {
            "kernels": self.sums.to_json(),
            "scale": self.whole.scale,
            "constant_ms": self.whole.constant_ms,
            "scores": self.scores.tolist(),
        }

    @staticmethod
    def from_json(value: dict[str, Any], space: Space) -> KernelPredictor:
        """Inverse of :meth:`to_json`. Raises ValueError or KeyError for what is not of its form."""
        whole = WholeOfParts(float(value["scale"]), float(value["constant_ms"]))
        return KernelPredictor(
            KernelSums.from_json(value["kernels"]), whole, np.array(value["scores"], np.float64), space
        )
