"""Milliseconds of single kernels of a runtime, and of the networks that run them, learned from published timings.

A runtime fuses operators into kernels; what a kernel computes besides its first operator is told by its name. Gradient
boosting (Chen and Guestrin 2016) on the kernel's shapes and work predicts the logarithm of its time, and a network
takes the sum of its kernels, scaled, and a constant: what a whole costs beside its parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.measure.published import PublishedTiming

if TYPE_CHECKING:
    from xgboost import Booster

#: Words in a kernel's name that tell what is fused into it, or how it is computed.
FUSED = ("relu", "add", "mul", "hard_swish", "sigmoid", "minimum", "winograd")
#: Channels that a phone's GPU computes together.
LANES = 4
ROUNDS = 300
_PARAMETERS = {
    "objective": "reg:squarederror",
    "max_depth": 6,
    "learning_rate": 0.06,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "min_child_weight": 2,
    "reg_lambda": 1.0,
    "tree_method": "hist",
    "nthread": 1,
}


@dataclass(frozen=True, eq=False)
class KernelModel:
    """Predicts kernels of one device and runtime.

    Attributes:
        operations: operators that were measured.
        booster: of log milliseconds from :func:`kernel_features`.
    """

    operations: tuple[str, ...]
    booster: Booster

    @staticmethod
    def fit(timings: Sequence[PublishedTiming], *, seed: int = 0) -> KernelModel:
        """Learn from timings of operators. Raises BadInput for none that took any time."""
        import xgboost

        timed = [timing for timing in timings if timing.kind == "operator" and timing.latency_ms > 0]
        if not timed:
            raise BadInput("kernels: no timing of an operator to learn from")
        operations = tuple(sorted({str(timing.what["operation"]) for timing in timed}))
        table = np.stack([kernel_features(timing.what, operations) for timing in timed])
        data = xgboost.DMatrix(table, label=np.log([timing.latency_ms for timing in timed]), nthread=1)
        return KernelModel(operations, xgboost.train({**_PARAMETERS, "seed": seed}, data, num_boost_round=ROUNDS))

    def predict_ms(self, kernels: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Milliseconds of kernels as published timings describe them, float64 ``[n]``.

        Raises BadInput naming an operator that was never measured: it is not 0 ms.
        """
        for what in kernels:
            if what["operation"] not in self.operations:
                raise BadInput(
                    f"kernels: operator {what['operation']!r} of {what.get('model', 'the network')} was never "
                    f"measured; known: {', '.join(self.operations)}"
                )
        if not kernels:
            return np.zeros(0)
        table = np.stack([kernel_features(what, self.operations) for what in kernels])
        return np.exp(self.booster.inplace_predict(table).astype(np.float64))


@dataclass(frozen=True)
class WholeOfParts:
    """A network's milliseconds from the sum of its kernels'."""

    scale: float
    constant_ms: float

    @staticmethod
    def fit(sums_ms: np.ndarray, whole_ms: np.ndarray) -> WholeOfParts:
        """Least squares of relative errors, from sums and whole networks float64 ``[n]``, n at least 2."""
        columns = np.stack([sums_ms, np.ones(len(sums_ms))], axis=1) / whole_ms[:, None]
        scale, constant_ms = np.linalg.lstsq(columns, np.ones(len(sums_ms)), rcond=None)[0]
        return WholeOfParts(float(scale), float(constant_ms))

    def __call__(self, sums_ms: np.ndarray) -> np.ndarray:
        """Milliseconds of networks, float64 ``[n]``."""
        return np.asarray(self.scale * sums_ms + self.constant_ms)


def kernel_features(what: Mapping[str, Any], operations: Sequence[str]) -> np.ndarray:
    """What a kernel's time may depend on, float32; operators are told apart by a column each."""
    feature = {name: _number(value) for name, value in what["feature"].items()}
    depthwise = what["operation"] == "DEPTHWISE_CONV_2D"
    in_c, kernel = feature["input_channel"], max(feature["kernel"], 1)
    out_c = in_c if depthwise or not feature["filter"] else feature["filter"]
    groups = in_c if depthwise else max(feature["group"], 1)
    size, reads = max(feature["output_shape"], 1) ** 2, max(feature["input_shape"], 1) ** 2 * in_c
    weights = in_c * out_c / groups * kernel**2
    written, macs = size * out_c, size * weights
    rounded = [-(-channels // LANES) * LANES for channels in (in_c, out_c)]
    padded = size * rounded[0] * rounded[1] / groups * kernel**2
    moved = reads + written + weights
    sizes = (in_c, out_c, feature["input_shape"], feature["output_shape"], macs, reads, written, weights, padded)
    name = re.sub(r"_\d+", "", str(what.get("kernel") or ""))
    return np.array(
        [
            *np.log1p([*sizes, macs / (moved + 1)]),
            *(kernel, feature["stride"], groups > 1, name.count("_linked_:")),
            *(operation == what["operation"] for operation in operations),
            *(word in name for word in FUSED),
        ],
        np.float32,
    )


def _number(value: Any) -> float:
    """Publications write a dash for what an operator does not have."""
    return float(value) if isinstance(value, (int, float)) else 0.0
