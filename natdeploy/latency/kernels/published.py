"""Networks from the published kernels of a device's runtime: their sum, what wholes take beside it, and an interval.

Made by :func:`natdeploy.latency.kernels.published_fit.fit_published_kernels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.inputs.gene_sums import Archs, GeneSums
from natdeploy.latency.intervals.conformal import Conformal, check_coverage
from natdeploy.latency.intervals.prediction import LatencyPrediction
from natdeploy.latency.kernels.model import KernelModel, WholeOfParts
from natdeploy.latency.kernels.tflite import KernelRules, RuntimeKernel, kernels_of_layers, refuse
from natdeploy.spaces import Layer, Space

#: What a whole takes beside its kernels where none was timed: a geometric mean over five phones' graphics processors
#: under TFLite (Li et al., EdgeSys 2024).
STATED_WHOLE = WholeOfParts(1.08, 2.1)
#: Half-widths in log space of intervals around it, by coverage: of the phone that the other four foretell worst.
STATED_HALF = {0.5: 0.37, 0.8: 0.44, 0.9: 0.66, 0.95: 0.73, 0.99: 0.77}
_NS_PER_MS = 1e6


@dataclass(frozen=True, eq=False)
class PublishedKernels:
    """Predicts networks of one device, runtime and setting from kernels.

    Attributes:
        kernels: milliseconds of single kernels.
        whole: of networks from the sum.
        rules: by which the runtime makes kernels of layers.
        conformal: widths of the intervals; None where no whole networks gave them.
        range_ms: least and greatest of these networks.
    """

    kernels: KernelModel
    whole: WholeOfParts
    rules: KernelRules
    conformal: Conformal | None = None
    range_ms: tuple[float, float] | None = None

    def kernels_ms(self, kernels: Sequence[RuntimeKernel]) -> np.ndarray:
        """Milliseconds of each kernel by itself, float64 ``[n]``.

        Raises BadInput naming every layer whose kernel was never measured: it is not 0 ms.
        """
        known = self.kernels.operations
        refuse({one.layers[0]: f"kernel {one.operation}" for one in kernels if one.operation not in known}, known)
        return self.kernels.predict_ms([one.what for one in kernels])

    def of_sums(self, sums_ms: np.ndarray, kernels: np.ndarray, coverage: float) -> LatencyPrediction:
        """Latencies of networks from sums of their kernels and how many these are, float64 ``[n]``.

        Raises BadInput for a coverage that cannot be given.
        """
        mean_ms = np.maximum(self.whole(sums_ms, kernels), 1e-6)
        beyond = np.zeros(len(mean_ms))
        if self.range_ms is not None:
            low, high = np.log(self.range_ms)
            beyond = np.maximum(np.maximum(np.log(mean_ms) - high, low - np.log(mean_ms)), 0)
        return LatencyPrediction.around(mean_ms, self.half_width(mean_ms, coverage) + beyond, beyond > 0)

    def half_width(self, mean_ms: np.ndarray, coverage: float) -> np.ndarray:
        """Of intervals in log space, float64 ``[n]``. Raises BadInput for a coverage that cannot be given."""
        check_coverage(coverage)
        if self.conformal is not None:
            return self.conformal.half_width(mean_ms, coverage)
        if coverage > max(STATED_HALF):
            raise BadInput(
                f"published kernels without whole networks have intervals of coverage up to {max(STATED_HALF)}, not "
                f"{coverage:g}; import whole networks of the device as well"
            )
        return np.full(len(mean_ms), np.interp(coverage, list(STATED_HALF), list(STATED_HALF.values())))

    @property
    def interval_from(self) -> str:
        """What the interval was learned from."""
        if self.conformal is None:
            return "interval: that of phones elsewhere, since too few whole networks of this device were imported"
        return f"interval: learned from {len(self.conformal.scores)} whole networks, each family of them left out"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kernels": self.kernels.to_json(),
            "whole": asdict(self.whole),
            "rules": asdict(self.rules),
            "conformal": None if self.conformal is None else self.conformal.to_json(),
            "range_ms": self.range_ms,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> PublishedKernels:
        """Inverse of :meth:`to_json`. Raises ValueError, KeyError or BadInput for what is not of its form."""
        conformal, range_ms, rules = value["conformal"], value["range_ms"], value["rules"]
        return PublishedKernels(
            KernelModel.from_json(value["kernels"]),
            WholeOfParts(**{name: float(number) for name, number in value["whole"].items()}),
            KernelRules(None if rules["winograd"] is None else _three(rules["winograd"]), bool(rules["copies"])),
            None if conformal is None else Conformal.from_json(conformal),
            None if range_ms is None else (float(range_ms[0]), float(range_ms[1])),
        )


@dataclass(frozen=True, eq=False)
class PublishedKernelsPredictor:
    """Mean and interval of a space's networks from published kernels."""

    known: PublishedKernels
    space: Space
    _ns: dict[tuple[Any, ...], float] = field(default_factory=dict, repr=False)
    _sums: dict[int, GeneSums] = field(default_factory=dict, repr=False)

    def predict(self, archs: Archs, coverage: float, num_classes: int | None = None) -> LatencyPrediction:
        """Latencies of architectures.

        Raises BadInput for a coverage that cannot be given, and naming every layer of which there is no kernel.
        """
        classes = self.space.num_classes if num_classes is None else num_classes
        if classes not in self._sums:
            self._sums[classes] = GeneSums(self.space, self.network_ns, classes)
        ns, kernels = self._sums[classes](archs).T
        return self.known.of_sums(ns / _NS_PER_MS, kernels, coverage)

    def network_ns(self, layers: Sequence[Layer]) -> np.ndarray:
        """Nanoseconds of a network's kernels, whole ones so that sums have no order, and how many; float64 ``[2]``."""
        kernels = kernels_of_layers(layers, self.known.rules)
        keys = [(one.operation, one.what["kernel"], *one.what["feature"].items()) for one in kernels]
        new = {key: one for key, one in zip(keys, kernels) if key not in self._ns}
        self._ns.update(zip(new, np.rint(_NS_PER_MS * self.known.kernels_ms(list(new.values()))).tolist()))
        return np.array([sum(self._ns[key] for key in keys), float(len(keys))])

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; the space is not part of it."""
        return {"published_kernels": self.known.to_json()}

    @staticmethod
    def from_json(value: Mapping[str, Any], space: Space) -> PublishedKernelsPredictor:
        """Inverse of :meth:`to_json`."""
        return PublishedKernelsPredictor(PublishedKernels.from_json(value["published_kernels"]), space)


def _three(sizes: Sequence[Any]) -> tuple[int, int, int]:
    one, two, three = map(int, sizes)
    return one, two, three
