"""Milliseconds of single kernels of a runtime, and of the networks that run them, learned from published timings.

A runtime fuses operators into kernels; what a kernel computes besides its first operator is told by its name. A
kernel's time is nearly a sum of what it computes and moves, at rates of its kind, so that sizes beyond those measured
are priced as well; gradient boosting (Chen and Guestrin 2016) on its shapes predicts the logarithm of the ratio to that
sum. A network takes the sum of its kernels, scaled, a constant, and as much again for each kernel: what a whole costs
beside its parts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.kernels.work import WORK, KernelShapes, kernel_features, kernel_work
from natdeploy.latency.measured.xgboost_model import fit_rates
from natdeploy.measure.published import PublishedTiming

if TYPE_CHECKING:
    from xgboost import Booster

#: Fewest kernels of a kind that have rates of their own; fewer have those of their operator, or of all kernels.
LEAST = 8
#: No kernel is below this share of the fastest one measured.
FLOOR = 0.1
ROUNDS = 200
_AGAIN = "remove the file, or search again where it is a run's"
_PARAMETERS = {
    "objective": "reg:squarederror",
    "base_score": 0.0,
    "max_depth": 6,
    "learning_rate": 0.09,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "min_child_weight": 2,
    "reg_lambda": 1.0,
    "tree_method": "hist",
    "max_bin": 128,
    "nthread": 1,
}


@dataclass(frozen=True, eq=False)
class KernelModel:
    """Predicts kernels of one device and runtime.

    Attributes:
        operations: operators that were measured.
        rates_ms: milliseconds per unit of :data:`natdeploy.latency.kernels.work.WORK`, by kind or operator; ``""`` is
            that of all kernels.
        floor_ms: least sum of work that is believed.
        booster: of the log ratio to that sum.
    """

    operations: tuple[str, ...]
    rates_ms: Mapping[str, np.ndarray]
    floor_ms: float
    booster: Booster

    @staticmethod
    def fit(timings: Sequence[PublishedTiming], *, seed: int = 0) -> KernelModel:
        """Learn from timings of operators. Raises BadInput for fewer than two that took any time."""
        import xgboost

        timed = [timing for timing in timings if timing.kind == "operator" and timing.latency_ms > 0]
        if len(timed) < 2:
            raise BadInput("kernels: no timing of an operator to learn from; at least 2 are needed")
        shapes = KernelShapes([timing.what for timing in timed])
        latency_ms = np.array([timing.latency_ms for timing in timed])
        operations = tuple(sorted(set(shapes.operation)))
        work, rates_ms = kernel_work(shapes), {}
        for name in ("", *operations, *sorted(set(shapes.kind) - set(operations))):
            rows = np.array([name in ("", operation, kind) for operation, kind in zip(shapes.operation, shapes.kind)])
            if name in operations and (direct := np.array([kind == name for kind in shapes.kind])).sum() >= LEAST:
                rows = direct
            if name == "" or rows.sum() >= LEAST:
                rates_ms[name] = fit_rates(work[rows], latency_ms[rows], np.ones(rows.sum()), seed=seed)
        floor_ms = FLOOR * float(latency_ms.min())
        log_ratio = np.log(latency_ms / _sums_ms(shapes, rates_ms, floor_ms))
        weight = latency_ms / latency_ms.mean()  # long kernels decide about networks
        data = xgboost.DMatrix(kernel_features(shapes, operations), label=log_ratio, weight=weight, nthread=1)
        booster = xgboost.train({**_PARAMETERS, "seed": seed}, data, num_boost_round=ROUNDS)
        return KernelModel(operations, rates_ms, floor_ms, booster)

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
        shapes = KernelShapes(kernels)
        log_ratio = self.booster.inplace_predict(kernel_features(shapes, self.operations)).astype(np.float64)
        return _sums_ms(shapes, self.rates_ms, self.floor_ms) * np.exp(log_ratio)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; rates by kind or operator, then by work."""
        return {
            "operations": list(self.operations),
            "rates_ms": {name: dict(zip(WORK, rates.tolist())) for name, rates in self.rates_ms.items()},
            "floor_ms": self.floor_ms,
            "booster": json.loads(self.booster.save_raw("json")),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> KernelModel:
        """Inverse of :meth:`to_json`.

        Raises BadInput where its form is not this version's, or its XGBoost part cannot be read or has other features.
        """
        operations = tuple(map(str, value["operations"]))
        try:
            rates_ms = {
                name: np.array([rates[work] for work in WORK], np.float64) for name, rates in value["rates_ms"].items()
            }
        except KeyError as error:
            raise BadInput(f"kernels: rates_ms have no {error}, so another version made them; {_AGAIN}") from None
        booster = _read_booster(value["booster"])
        wanted = kernel_features(KernelShapes([]), operations).shape[1]
        if booster.num_features() != wanted:
            found = booster.num_features()
            raise BadInput(f"kernels: booster of {found} features, expected {wanted}; {_AGAIN}")
        return KernelModel(operations, rates_ms, float(value["floor_ms"]), booster)


@dataclass(frozen=True)
class WholeOfParts:
    """A network's milliseconds from the sum of its kernels', and from how many they are.

    Attributes:
        scale: of the sum.
        constant_ms: of every network.
        kernel_ms: of every kernel, beside its own time; below zero where each alone was timed with more than it costs
            among others.
    """

    scale: float
    constant_ms: float
    kernel_ms: float = 0.0

    @staticmethod
    def fit(sums_ms: np.ndarray, whole_ms: np.ndarray, kernels: np.ndarray | None = None) -> WholeOfParts:
        """Least squares of relative errors.

        Args:
            sums_ms, whole_ms: of networks, float64 ``[n]``, n at least 2 (3 with the next).
            kernels: how many each network has, ``[n]``; without, kernels have no time beside their own.
        """
        ones = np.ones(len(sums_ms))
        columns = np.stack([sums_ms, ones] if kernels is None else [sums_ms, ones, kernels], axis=1)
        found = np.linalg.lstsq(columns / whole_ms[:, None], ones, rcond=None)[0]
        return WholeOfParts(*map(float, found))

    def __call__(self, sums_ms: np.ndarray, kernels: np.ndarray | None = None) -> np.ndarray:
        """Milliseconds of networks, float64 ``[n]``. Raises ValueError where it needs to know how many kernels."""
        line = self.scale * sums_ms + self.constant_ms
        if kernels is None:
            if self.kernel_ms:
                raise ValueError("a network's milliseconds depend on how many kernels it has")
            return np.asarray(line)
        return np.asarray(line + self.kernel_ms * kernels)


def _read_booster(value: Any) -> Booster:
    from xgboost import Booster
    from xgboost.core import XGBoostError

    booster = Booster({"nthread": 1})
    try:
        booster.load_model(bytearray(json.dumps(value).encode()))
    except XGBoostError:
        raise BadInput(f"kernels: booster cannot be read by XGBoost; {_AGAIN}") from None
    return booster


def _sums_ms(shapes: KernelShapes, rates_ms: Mapping[str, np.ndarray], floor_ms: float) -> np.ndarray:
    """Work at the rates of its kind, its operator, or all kernels, whichever is known first; float64 ``[n]``."""
    chosen = [
        next(name for name in (kind, operation, "") if name in rates_ms)
        for kind, operation in zip(shapes.kind, shapes.operation)
    ]
    rates = np.stack([rates_ms[name] for name in chosen])
    return np.maximum((kernel_work(shapes) * rates).sum(1), floor_ms)
