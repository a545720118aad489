"""A latency model from published latencies of whole networks whose operators were published, too.

Real networks come in families, and members of one are alike: errors are those of families that were left out. The
model is judged on networks with depthwise convolutions, as those that are searched have them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.intervals.conformal import calibration_rank, fit_conformal
from natdeploy.latency.intervals.evaluation import Outcome, quality_of
from natdeploy.latency.intervals.prediction import LatencyPrediction
from natdeploy.latency.model import LatencyModel, published_model
from natdeploy.latency.published.operator_rates import RatesPredictor, amounts, fit_rates_ms, rated_ms
from natdeploy.measure.published import Publication, PublishedTiming
from natdeploy.spaces import Layer, Space, get_space

#: Fewest networks to learn from.
MIN_NETWORKS = 30


def operator_lists(operators: Sequence[PublishedTiming]) -> dict[str, tuple[Layer, ...]]:
    """Layers of each model, from TFLite's operators as mobile-ml-benchmark describes them.

    What several devices list of one model counts once. Raises BadInput for an operator that is not known.
    """
    found: dict[str, dict[int, Layer]] = defaultdict(dict)
    for timing in operators:
        if timing.kind == "operator":
            what = timing.what
            found[what["model"]][what["op_index"]] = _layer(what["operation"], what["feature"], what["op_index"])
    return {model: tuple(layers[index] for index in sorted(layers)) for model, layers in found.items()}


def fit_published_networks(
    timings: Sequence[PublishedTiming],
    layers: Mapping[str, tuple[Layer, ...]],
    space: Space | str,
    *,
    device: str,
    publication: Publication,
    coverage: float = 0.9,
) -> LatencyModel:
    """Rates of operators from whole networks; intervals and quality from families of networks left out.

    Args:
        timings: of models, of one device, runtime and setting.
        layers: operators of models, see :func:`operator_lists`; models without are not used.
        space: whose networks shall be predicted.
        device: name of the hardware profile.
        publication: where the latencies come from; its runtime is the model's.
        coverage: share of intervals that shall hold.

    Raises BadInput for timings that must not be mixed, and for fewer than 30 networks.
    """
    space = get_space(space) if isinstance(space, str) else space
    usable = [timing for timing in timings if timing.kind == "model" and timing.what["model"] in layers]
    settings = {(timing.device, timing.runtime, timing.setting) for timing in usable}
    if len(settings) > 1:
        raise BadInput(f"published networks: {len(settings)} settings cannot be mixed: {sorted(settings)[:2]}")
    if len(usable) < MIN_NETWORKS:
        raise BadInput(f"published networks: {len(usable)} with known operators, at least {MIN_NETWORKS} are needed")
    names = [timing.what["model"] for timing in usable]
    table = np.stack([amounts(layers[name]) for name in names])
    latency_ms = np.array([timing.latency_ms for timing in usable])
    macs = np.array([[1.0, sum(layer.macs for layer in layers[name])] for name in names])
    families = np.array([family(name) for name in names])
    left_out_ms, by_macs = (_left_out(columns, latency_ms, families) for columns in (table, macs))
    calibration_rank(len(names), coverage)
    conformal = fit_conformal(latency_ms, left_out_ms)
    like = np.array([any(layer.is_depthwise for layer in layers[name]) for name in names])
    if like.sum() < 2:
        raise BadInput("published networks: fewer than two have depthwise convolutions; nothing to judge the model by")
    outcome = Outcome(
        "published networks with depthwise convolutions, families left out",
        latency_ms[like],
        LatencyPrediction.around(left_out_ms[like], conformal.half_width(left_out_ms[like], coverage)),
        {"macs": by_macs[like]},
    )
    quality = quality_of(outcome, coverage, len(names))
    predictor = RatesPredictor(fit_rates_ms(table, latency_ms), conformal, space)
    return published_model(predictor, space, device=device, publication=publication, quality=quality)


def family(model: str) -> str:
    """What a model's name says of its kin: ``mobilenetv2b_wd4`` is of ``mobilenetv2``."""
    found = re.match(r"[a-z]+(v\d)?", model)
    return found[0].replace("mobilenetb", "mobilenet") if found else model


def _left_out(table: np.ndarray, latency_ms: np.ndarray, families: np.ndarray) -> np.ndarray:
    """Predictions for each network by rates that are fitted without its family."""
    predicted = np.zeros(len(latency_ms))
    for name in np.unique(families):
        out = families == name
        predicted[out] = rated_ms(table[out], fit_rates_ms(table[~out], latency_ms[~out]))
    return predicted


def _layer(operation: str, feature: Mapping[str, Any], index: int) -> Layer:
    make = _OPERATIONS.get(operation)
    if make is None:
        raise BadInput(f"published networks: unknown operator {operation!r}; known: {', '.join(_OPERATIONS)}")
    try:
        return make(f"{operation}.{index}", feature)
    except (KeyError, TypeError) as error:
        raise BadInput(f"published networks: operator {operation!r} without a usable field {error}") from None


def _convolution(name: str, feature: Mapping[str, Any]) -> Layer:
    in_c, in_h, out_h = (int(feature[field]) for field in ("input_channel", "input_shape", "output_shape"))
    shape = (in_c, in_h, in_h, int(feature["filter"]), out_h, out_h, int(feature["kernel"]), int(feature["stride"]))
    return Layer(name, "conv", ("input",), *shape, groups=int(feature["group"]))


def _depthwise(name: str, feature: Mapping[str, Any]) -> Layer:
    return _convolution(name, {**feature, "filter": feature["input_channel"], "group": feature["input_channel"]})


def _linear(name: str, feature: Mapping[str, Any]) -> Layer:
    return Layer(name, "linear", ("input",), int(feature["input_channel"]), 1, 1, int(feature["filter"]), 1, 1)


def _pool(name: str, feature: Mapping[str, Any]) -> Layer:
    in_c, in_h = int(feature["input_channel"]), int(feature["input_shape"])
    return Layer(name, "pool", ("input",), in_c, in_h, in_h, in_c, 1, 1)


#: TFLite's operators; a concatenation copies what a pool would read.
_OPERATIONS: dict[str, Callable[[str, Mapping[str, Any]], Layer]] = {
    "CONV_2D": _convolution,
    "CONV_2D_GROUP": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _linear,
    "MEAN": _pool,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "CONCATENATION": _pool,
}
