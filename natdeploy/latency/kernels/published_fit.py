"""From published operators and whole networks of a device to a model of its kernels, and to the model's quality.

Where whole networks were published of the same setting, each family of them is left out in turn, its kernels too, and
the interval comes from the errors. Where there are too few, what a whole takes beside its kernels and how far that may
be off are those of other devices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.intervals.conformal import Conformal, calibration_rank, fit_conformal
from natdeploy.latency.intervals.evaluation import Outcome, quality_of
from natdeploy.latency.intervals.prediction import LatencyPrediction
from natdeploy.latency.intervals.quality import Quality
from natdeploy.latency.kernels.fit import rising_whole
from natdeploy.latency.kernels.model import KernelModel
from natdeploy.latency.kernels.published import STATED_WHOLE, PublishedKernels
from natdeploy.latency.kernels.tflite import COPY, KernelRules, copy
from natdeploy.latency.published.networks import family
from natdeploy.measure.published import PublishedTiming

#: Parts of the whole networks that are left out together; none has members of a family that another one has.
FOLDS = 5
What = Mapping[str, Any]


def fit_published_kernels(
    timings: Sequence[PublishedTiming], *, coverage: float = 0.9, seed: int = 0
) -> tuple[PublishedKernels, Quality | None]:
    """Learn from operators and, where there are any, whole networks of one device, runtime and setting.

    Args:
        timings: of operators, and of models; of these the ones are used whose operators are there.
        coverage: of the intervals in the quality.
        seed: of training and of what is left out together.

    Returns the model and its quality on networks that were left out; None where whole networks are too few for the
    coverage, or of too few families. Raises BadInput for timings that must not be mixed, and too few of operators.
    """
    settings = sorted({(timing.device, timing.runtime, timing.setting) for timing in timings})
    if len(settings) > 1:
        raise BadInput(f"published kernels: {len(settings)} settings cannot be mixed: {settings[:2]}")
    found = {
        (str(timing.what["model"]), int(timing.what["op_index"])): timing
        for timing in timings
        if timing.kind == "operator"
    }
    operators = [found[key] for key in sorted(found)]
    kernels, winograd = KernelModel.fit(operators, seed=seed), least_winograd(operators)
    whole_ms = {str(timing.what["model"]): timing.latency_ms for timing in timings if timing.kind == "model"}
    copied = COPY in kernels.operations
    judged = left_out(operators, whole_ms, coverage, copies=copied, seed=seed)
    if judged is None:
        return PublishedKernels(kernels, STATED_WHOLE, KernelRules(winograd, copied)), None
    conformal = fit_conformal(judged.measured_ms, judged.left_out_ms)
    whole = rising_whole(judged.sums_ms, judged.measured_ms, judged.kernels)
    range_ms = (float(judged.measured_ms.min()), float(judged.measured_ms.max()))
    model = PublishedKernels(kernels, whole, KernelRules(winograd, judged.copies), conformal, range_ms)
    return model, _quality(judged, conformal, coverage)


def least_winograd(operators: Sequence[PublishedTiming]) -> tuple[int, int, int] | None:
    """From which input channels, output channels and size on convolutions are Winograd's, as their names tell."""
    sizes = [
        [int(timing.what["feature"][name]) for name in ("input_channel", "filter", "output_shape")]
        for timing in operators
        if "winograd" in str(timing.what.get("kernel") or "")
    ]
    if not sizes:
        return None
    in_c, out_c, size = np.array(sizes).min(0).tolist()
    return in_c, out_c, size


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Whole networks, each predicted without its family.

    Attributes:
        measured_ms, left_out_ms: of the networks, float64 ``[n]``.
        sums_ms: of their kernels, predicted without the family, too.
        kernels: how many they have, float64 ``[n]``; None where sums alone foretell the networks better.
        mobile: which of them have depthwise convolutions.
        copies: whether multiplications by gates count as copies; what is nearer to the networks.
    """

    measured_ms: np.ndarray
    left_out_ms: np.ndarray
    sums_ms: np.ndarray
    kernels: np.ndarray | None
    mobile: np.ndarray
    copies: bool


def left_out(
    operators: Sequence[PublishedTiming], whole_ms: Mapping[str, float], coverage: float, *, copies: bool, seed: int = 0
) -> LeftOut | None:
    """Predict each network without its family.

    Args:
        operators: of the networks, and of others.
        whole_ms: milliseconds of networks by name.
        coverage: for which they have to suffice.
        copies: whether copies are among the kernels.
        seed: of training and of what is left out together.

    Returns None where they do not suffice. A network with an operator that no other family has is not judged: asked
    for one, the model refuses it.
    """
    lists: dict[str, list[What]] = defaultdict(list)
    for timing in operators:
        if str(timing.what["model"]) in whole_ms:
            lists[str(timing.what["model"])].append(timing.what)
    families = sorted({family(name) for name in lists})
    if len(families) < FOLDS:
        return None
    fold = dict(zip(families, np.random.default_rng([seed, 71]).permutation(len(families)) % FOLDS))
    known: dict[str, tuple[float, float, int, int]] = {}
    for part in range(FOLDS):
        rest = [timing for timing in operators if fold.get(family(str(timing.what["model"]))) != part]
        kernels = KernelModel.fit(rest, seed=seed)
        for name in (name for name in lists if fold[family(name)] == part):
            gates = gate_copies(lists[name]) if copies else []
            if all(what["operation"] in kernels.operations for what in (*lists[name], *gates)):
                listed_ms, gates_ms = (float(kernels.predict_ms(some).sum()) for some in (lists[name], gates))
                known[name] = (listed_ms, gates_ms, len(lists[name]), len(gates))
    try:
        calibration_rank(len(known), coverage)
    except BadInput:
        return None
    parts = np.array([fold[family(name)] for name in known])
    measured_ms = np.array([whole_ms[name] for name in known])
    mobile = [any(what["operation"] == "DEPTHWISE_CONV_2D" for what in lists[name]) for name in known]
    listed_ms, gates_ms, listed, gated = np.array(list(known.values())).T
    tried = []
    for way in (True, False) if copies else (False,):
        sums_ms, counts = listed_ms + way * gates_ms, listed + way * gated
        tried += [
            LeftOut(measured_ms, _wholes(sums_ms, measured_ms, parts, kernels), sums_ms, kernels, np.array(mobile), way)
            for kernels in (counts, None)
        ]
    return min(tried, key=lambda one: float(np.abs(np.log(one.measured_ms / one.left_out_ms)).mean()))


def gate_copies(operators: Sequence[What]) -> list[What]:
    """A copy for each multiplication of a map by its gate, which the lists leave out.

    A gate is what a mean and two products of vectors give: as many channels as the mean was of.
    """
    found: list[What] = []
    ordered = sorted(operators, key=lambda what: int(what["op_index"]))
    for mean, _, last in zip(ordered, ordered[1:], ordered[2:]):
        shape, gate = mean["feature"], last["feature"]
        if mean["operation"] == "MEAN" and gate.get("output_shape") == 1 and gate["filter"] == shape["input_channel"]:
            found.append(copy("gate", int(shape["input_channel"]), float(shape["input_shape"])).what)
    return found


def _wholes(sums_ms: np.ndarray, measured_ms: np.ndarray, parts: np.ndarray, kernels: np.ndarray | None) -> np.ndarray:
    """Networks from sums, each part's by the others."""
    found = np.zeros(len(sums_ms))
    for part in np.unique(parts):
        out = parts == part
        known, new = (None, None) if kernels is None else (kernels[~out], kernels[out])
        found[out] = rising_whole(sums_ms[~out], measured_ms[~out], known)(sums_ms[out], new)
    return np.maximum(found, 1e-6)


def _quality(judged: LeftOut, conformal: Conformal, coverage: float) -> Quality:
    """On networks with depthwise convolutions, as those that are searched have them, where there are some."""
    some = judged.mobile.sum() >= 2
    like = judged.mobile if some else np.ones(len(judged.mobile), bool)
    left_out_ms = judged.left_out_ms[like]
    prediction = LatencyPrediction.around(left_out_ms, conformal.half_width(left_out_ms, coverage))
    told = f"published networks{' with depthwise convolutions' if some else ''}, families left out"
    return quality_of(Outcome(told, judged.measured_ms[like], prediction), coverage, len(like))
