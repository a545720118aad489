"""From times of a workload's tiles to the one to take: the rule's, unless another clearly beats it. Pure functions.

A candidate's ratio is to the mean of the rule's two calls in the same round, so what slows the machine as a whole is
divided out; a session's ratio is the median of its rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from natdeploy.compiler.kernels.kind import Kernel
from natdeploy.compiler.tuning import Trial, Tuned
from natdeploy.ground.errors import BadInput


@dataclass(frozen=True)
class TileProtocol:
    """How candidates are measured.

    Attributes:
        sessions: how often a workload's library is loaded anew; memory lies elsewhere then.
        visit_ms: timed rounds of a session take about this long.
        least_rounds, most_rounds: rounds of a session.
        warmup_ms: unrecorded rounds at its start, two at least.
        kept_share: share of a session's rounds that count, those in which the rule's calls were fastest.
        margin: least relative gain for which the rule's tile is given up.
    """

    sessions: int = 3
    visit_ms: float = 60.0
    least_rounds: int = 12
    most_rounds: int = 400
    warmup_ms: float = 5.0
    kept_share: float = 0.5
    margin: float = 0.03

    def __post_init__(self) -> None:
        if min(self.sessions, self.least_rounds) < 1 or self.most_rounds < self.least_rounds:
            raise BadInput("tile protocol: fields 'sessions', 'least_rounds' and 'most_rounds' must be 1 or more")
        if not (0 < self.kept_share <= 1 and self.margin >= 0 and self.visit_ms > 0 and self.warmup_ms >= 0):
            raise BadInput("tile protocol: a share must lie in (0, 1], a time and the margin must not be negative")


def judge(
    kernels: Sequence[Kernel],
    order: Sequence[int],
    sessions: Sequence[np.ndarray],
    protocol: TileProtocol,
    *,
    threads: int = 1,
) -> Tuned:
    """Which tile to take.

    Args:
        kernels: the candidates, the rule's first.
        order: which of them each call of a round computed; the first one twice. Negative ones do not count.
        sessions: milliseconds ``[rounds, calls]`` of each.
        protocol: what it takes to beat the rule.
        threads: that computed, for the record.
    """
    places = np.asarray(order)
    ratios, apart = [], []
    for rounds_ms in sessions:
        rules = rounds_ms[:, places == 0]
        kept = np.argsort(rules.sum(axis=1), kind="stable")[: max(1, round(protocol.kept_share * len(rules)))]
        ratio = np.median(rounds_ms[kept] / rules[kept].mean(axis=1, keepdims=True), axis=0)
        ratios.append([float(ratio[places == place].mean()) for place in range(len(kernels))])
        first, second = np.median(rules[kept], axis=0)
        apart.append(abs(float(second - first)) / float(first + second) * 2)
    middle, worst, noise = np.median(ratios, axis=0), np.max(ratios, axis=0), max(apart)
    fastest = int(np.argmin(middle))
    beats = worst[fastest] < 1 - max(protocol.margin, 2 * noise)
    together = np.concatenate(sessions)
    trials = tuple(
        Trial(
            dict(kernel.schedule),
            float(np.median(together[:, places == place])),
            float(middle[place]),
            float(worst[place]),
        )
        for place, kernel in enumerate(kernels)
    )
    chosen = trials[fastest if beats else 0].schedule
    return Tuned(dict(kernels[0].workload), kernels[0].isa, chosen, noise, threads, trials)
