"""A network's latency from its layers as the runtime fuses them, and from what whole networks take beside their sum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.conformal import calibration_rank
from natdeploy.latency.features import layer_kind
from natdeploy.latency.gene_sums import Archs
from natdeploy.latency.kernel_chains import joined
from natdeploy.latency.kernel_gp import KindModel, shape_features
from natdeploy.latency.kernel_model import WholeOfParts
from natdeploy.latency.lookup_table import workload_key
from natdeploy.latency.prediction import LatencyPrediction
from natdeploy.spaces import Layer, Space

#: Relative uncertainty that every sum has at least.
LEAST_SPREAD = 0.005


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Kernels and fusion rules of one device and runtime.

    Attributes:
        kinds: model of each kind of layer (:data:`natdeploy.latency.features.KINDS`).
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

    def fused_ms(self, layers: Sequence[Layer]) -> tuple[np.ndarray, float]:
        """Milliseconds of each layer beside its neighbours, and the relative standard deviation of their sum."""
        alone, spread = self.layers_ms(layers)
        place = {layer.name: index for index, layer in enumerate(layers)}
        fused = alone.copy()
        for first, second in joined(layers):
            share = self.saved.get((layer_kind(first), layer_kind(second)), 0.0)
            one, two = place[first.name], place[second.name]
            cheaper = one if alone[one] < alone[two] else two
            fused[cheaper] = max(fused[cheaper] - share * alone[cheaper], 0.0)
        by_kind: dict[str, float] = defaultdict(float)
        for layer, ms, deviation in zip(layers, fused, spread):
            # Errors of one kind go together; those of different kinds do not.
            by_kind[layer_kind(layer)] += float(ms) * float(deviation)
        total = float(fused.sum()) + self.overhead_ms
        relative = float(np.sqrt(sum(error**2 for error in by_kind.values()))) / max(total, 1e-12)
        return fused, max(relative, LEAST_SPREAD)

    def network_ms(self, layers: Sequence[Layer]) -> tuple[float, float]:
        """Sum over a network's layers, in ms, and its relative standard deviation."""
        fused, spread = self.fused_ms(layers)
        return float(fused.sum()) + self.overhead_ms, spread

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

    def predict(self, archs: Archs, coverage: float, num_classes: int | None = None) -> LatencyPrediction:
        """Latencies of architectures. Raises BadInput for a coverage the calibration cannot give."""
        listed = [self.space.decode(genome) for genome in archs] if isinstance(archs, np.ndarray) else archs
        found = [self.sums.network_ms(self.space.layers(arch, num_classes)) for arch in listed]
        return self.of_sums(np.array(found, np.float64).reshape(-1, 2), coverage)

    def of_sums(self, found: np.ndarray, coverage: float) -> LatencyPrediction:
        """Latencies from sums of kernels and their spread, as :meth:`KernelSums.network_ms` gives; ``[n, 2]``."""
        return self._prediction(found[:, 0], found[:, 1], coverage)

    def of_layers(self, layers: Sequence[Layer], coverage: float) -> tuple[np.ndarray, LatencyPrediction]:
        """Milliseconds of each layer, float64 ``[n]``, and the latency of all together."""
        fused, spread = self.sums.fused_ms(layers)
        total = np.array([fused.sum() + self.sums.overhead_ms])
        return fused * self.whole.scale, self._prediction(total, np.array([spread]), coverage)

    def _prediction(self, sums_ms: np.ndarray, spread: np.ndarray, coverage: float) -> LatencyPrediction:
        mean_ms = np.maximum(self.whole(sums_ms), 1e-6)
        factor = np.exp(float(self.scores[calibration_rank(len(self.scores), coverage) - 1]) * spread)
        return LatencyPrediction(mean_ms, mean_ms / factor, mean_ms * factor, np.zeros(len(mean_ms), bool))

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
