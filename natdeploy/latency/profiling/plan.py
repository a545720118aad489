"""What profiling a device takes: which networks, in which order, in which role. Nothing is timed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from natdeploy.devices import HardwareProfile
from natdeploy.ground.errors import BadInput
from natdeploy.latency.intervals.conformal import calibration_rank
from natdeploy.latency.library import latency_model_path
from natdeploy.latency.measured.fit import MIN_NETWORKS
from natdeploy.latency.profiling.adaptive import next_networks
from natdeploy.latency.profiling.choose import choose_networks, random_networks
from natdeploy.latency.transferred.predictor import MIN_MEASURED, SourceKnowledge
from natdeploy.spaces import Arch, Space

#: How many of the holdout networks are timed a second time, at most.
REPEATS = 20


@dataclass(frozen=True)
class Part:
    """Networks that are timed together, in this order, and the role of each."""

    archs: tuple[Arch, ...]
    roles: Mapping[Arch, str]


@dataclass(frozen=True)
class ProfilePlan:
    """What profiling a device takes.

    Attributes:
        paths: where the model of each runtime will lie.
        parts: what is timed with each runtime, one part after the other.
    """

    paths: Mapping[str, Path]
    parts: tuple[Part, ...]

    @property
    def timings(self) -> int:
        """How many timings that is, over all runtimes."""
        return len(self.paths) * sum(len(part.archs) for part in self.parts)


def plan_profile(
    profile: HardwareProfile,
    space: Space,
    *,
    runtimes: Sequence[str] = (),
    networks: int,
    holdout: int,
    coverage: float = 0.9,
    seed: int = 0,
    others: SourceKnowledge | None = None,
    transferable: bool = False,
) -> ProfilePlan:
    """Plan profiling; the arguments are those of :func:`natdeploy.latency.profiling.profile.profile_device`.

    Fewer networks than a model of the device alone takes are chosen to tell most, beside what other devices tell.

    Args:
        others: knowledge of other devices by which few networks are chosen; without it they are spread over the space.
        transferable: whether few networks suffice: other devices are known, or other runtimes of this one.

    Raises BadInput for a runtime the device lacks or too few networks.
    """
    paths = {runtime: latency_model_path(profile, space, runtime) for runtime in runtimes or profile.runtimes}
    least = MIN_MEASURED if transferable else MIN_NETWORKS
    if networks < least:
        raise BadInput(
            f"profiling: networks is {networks}, at least {least} are needed to train a latency model"
            + ("" if transferable else f"; {MIN_MEASURED} where at least 2 other devices are known, see README")
        )
    training, judged = choose_networks(space, max(networks, 2), holdout, seed=seed)
    if networks < MIN_NETWORKS and others is not None:
        pool = [arch for arch in random_networks(space, seed=seed) if arch not in judged]
        training = next_networks(space, pool, {}, networks, knowledge=others, seed=seed)
    elif networks >= MIN_NETWORKS:
        calibration_rank(networks, coverage)
    roles = dict.fromkeys(training, "train") | dict.fromkeys(judged, "holdout")
    mixed = tuple(list(roles)[place] for place in np.random.default_rng(seed).permutation(len(roles)))
    again = tuple(judged[:REPEATS])
    # Trained on and judged by what was timed in the same batches; timed again later, to see how far timings repeat.
    return ProfilePlan(paths, (Part(mixed, roles), Part(again, dict.fromkeys(again, "repeat"))))
