"""A prior refined by what little was published of a device: a few networks, or ones for far smaller images.

Costs start from those of the other devices, take the scale that the published networks tell, and bend as far as these
ask for. How far such a predictor is off is seen where more was published: on other devices, each known by as little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.hardware.prior import MIN_DEVICES, DeviceTimes, PriorPredictor, fit_costs, judged_prior
from natdeploy.latency.intervals.quality import PointQuality, Quality
from natdeploy.latency.model import LatencyModel, published_model
from natdeploy.measure.published import Publication
from natdeploy.spaces import Space, get_space

#: How far costs may be from those of other devices (relative standard deviation), and what each set of networks weighs.
TRUST, WEIGHT = 1.0, 300.0
#: Standard deviations, in log space: of devices' scales about the one that their profiles give, and of the scale at
#: full size about the one that small images tell.
SCALE_SPREAD, SCALE_ERROR = 0.3, 0.15
#: Fewest networks of full size: each is left out once, and the others tell its scale.
MIN_NETWORKS = 3


@dataclass(frozen=True, eq=False)
class Little:
    """What little is known of a device.

    Attributes:
        sets: published networks. The first set tells the scale; further ones, which may have been timed otherwise, tell
            only what costs more than what.
        full_size: whether the first set's networks are of the size of those that shall be predicted. Else the scale is
            drawn to the one that the hardware profile gives.
    """

    sets: tuple[DeviceTimes, ...]
    full_size: bool

    def costs(self, expected: np.ndarray) -> np.ndarray:
        """Costs by :data:`natdeploy.latency.hardware.roofline.WORK`, from those that other devices make expect."""
        first = self.sets[0]
        told = float(np.median(np.log(first.latency_ms / first.predicted_ms(expected))))
        share = 1.0 if self.full_size else SCALE_SPREAD**2 / (SCALE_SPREAD**2 + SCALE_ERROR**2)
        anchor = replace(first, latency_ms=first.latency_ms * np.exp((share - 1) * told))
        start = expected * np.exp(share * told)
        return fit_costs([anchor, *self.sets[1:]], expected=start, trust=TRUST, weight=WEIGHT, anchored=True)

    def left_out(self, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Measured milliseconds of the first set, and each network predicted by what is known without it."""
        first = self.sets[0]
        predicted = np.zeros(len(first.latency_ms))
        for row in range(len(predicted)):
            kept = np.arange(len(predicted)) != row
            without = replace(first, work=first.work[kept], latency_ms=first.latency_ms[kept], judged=())
            cost = replace(self, sets=(without, *self.sets[1:])).costs(expected)
            predicted[row] = first.predicted_ms(cost)[row]
        return first.latency_ms, predicted


@dataclass(frozen=True, eq=False)
class Judge:
    """A device by which the method is judged: what is known of it at first, and networks to be predicted by that."""

    known: Little
    judged: DeviceTimes

    def pair(self, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Milliseconds as measured, and as predicted by costs."""
        measured, predicted = self.judged.latency_ms, self.judged.predicted_ms(cost)
        return self.judged.judged_ms(measured), self.judged.judged_ms(predicted)


def fit_refined_prior(
    little: Little,
    others: Mapping[str, DeviceTimes],
    judges: Mapping[str, Judge],
    space: Space | str,
    *,
    device: str,
    publication: Publication,
    how_known: str,
    training_networks: int,
    coverage: float = 0.9,
) -> LatencyModel:
    """A device's costs from little; intervals and quality from judges and, at full size, its own networks left out.

    Beside the quality stands that of the prior alone on the same networks.

    Args:
        little: what is known of the device.
        others: devices from which costs are expected; a judge is left out of them where it is judged.
        judges: other devices, known by as little, with more to judge by.
        space: whose networks shall be predicted.
        device: name of the hardware profile.
        publication: where the little comes from; its runtime is the model's.
        how_known: by what the judges are known, in words.
        training_networks: how many networks of the device were published.
        coverage: share of intervals that shall hold.

    Raises BadInput for fewer than four judges, fewer than three networks of full size, and for judging a device by
    itself.
    """
    space = get_space(space) if isinstance(space, str) else space
    if len(judges) < MIN_DEVICES:
        raise BadInput(f"refined prior: {len(judges)} devices to judge by, at least {MIN_DEVICES} are needed")
    if device in judges or device in others:
        raise BadInput(f"refined prior: {device!r} is known by little; it cannot be one of the devices beside it")
    pairs, unrefined = {}, {}
    for name, judge in judges.items():
        without = fit_costs([found for other, found in others.items() if other != name])
        pairs[name], unrefined[name] = judge.pair(judge.known.costs(without)), judge.pair(without)
    expected = fit_costs(list(others.values()))
    of_itself = ""
    if little.full_size:
        if len(little.sets[0].latency_ms) < MIN_NETWORKS:
            raise BadInput(f"refined prior: at least {MIN_NETWORKS} networks of full size are needed")
        pairs[device] = little.left_out(expected)
        unrefined[device] = (little.sets[0].latency_ms, little.sets[0].predicted_ms(expected))
        of_itself = f", and {len(pairs[device][0])} of its own, each left out"
    prior = judged_prior(little.costs(expected), pairs, coverage)
    figures, plain = prior.figures, judged_prior(expected, unrefined, coverage).figures
    names = ("spearman", "kendall", "mape", "within5", "within10")
    quality = Quality(
        **{name: figures[name] for name in (*names, "coverage")},
        nominal_coverage=coverage,
        interval_width=figures["width"],
        networks=int(figures["networks"]),
        training_networks=training_networks,
        evaluated_on=f"networks of {', '.join(judges)}, each known by {how_known} alone{of_itself}",
        repeatability_within5=None,
        repeatability_within10=None,
        repeats=0,
        baselines={"prior": PointQuality(**{name: plain[name] for name in names})},
    )
    predictor = PriorPredictor(prior, little.sets[0].processor, space)
    return published_model(predictor, space, device=device, publication=publication, quality=quality)
