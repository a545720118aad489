"""When a profile that begins small stops, and how it goes on until then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from natdeploy.ground.errors import BadInput
from natdeploy.latency.measured.fit import MIN_NETWORKS
from natdeploy.spaces import Arch

Progress = Callable[[str, float], None]
#: Training networks with which an adaptive profile begins, with and without knowledge of other devices.
FIRST_TRANSFERRED, FIRST = 8, MIN_NETWORKS
#: Networks between two looks at the clock; those added before the next look at the quality: a share of those that were
#: trained on, and at least so many.
CHUNK, STEP, LEAST_STEP = 24, 0.5, 6


@dataclass(frozen=True)
class Goal:
    """When an adaptive profile stops, before its ``networks`` are used up.

    Attributes:
        within10: share of holdout networks predicted within +-10 %.
        minutes: for each runtime; what is running then is finished and stored.
    """

    within10: float | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.within10 is not None and not 0 < self.within10 <= 1:
            raise BadInput(f"profiling: target_within10 is {self.within10:g}, expected a share above 0, at most 1")
        if self.minutes is not None and not self.minutes > 0:
            raise BadInput(f"profiling: minutes is {self.minutes:g}, expected more than 0")

    @property
    def adaptive(self) -> bool:
        """Whether there is anything to stop at."""
        return self.within10 is not None or self.minutes is not None


def next_step(timed: int) -> int:
    """How many networks an adaptive profile adds to so many before it looks at the quality again."""
    return max(LEAST_STEP, round(STEP * timed))


def dealt(training: Sequence[Arch], judged: Sequence[Arch]) -> list[Arch]:
    """Both mixed evenly: what is trained on and what is judged by share the machine's moods."""
    placed = [((place + 0.5) / len(part), arch) for part in (training, judged) for place, arch in enumerate(part)]
    return [arch for _, arch in sorted(placed, key=lambda pair: pair[0])]


@dataclass(frozen=True)
class Share:
    """Progress of one part of the work, seen as progress of the whole."""

    whole: Progress
    start: float
    share: float

    def __call__(self, stage: str, fraction: float) -> None:
        """Tell the whole's progress."""
        self.whole(stage, self.start + self.share * fraction)
