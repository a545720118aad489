"""What profiling a device takes: which networks, in which order, in which role. Nothing is timed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from natdeploy.devices import HardwareProfile
from natdeploy.ground.errors import BadInput
from natdeploy.latency.choose import choose_networks
from natdeploy.latency.conformal import calibration_rank
from natdeploy.latency.fit import MIN_NETWORKS
from natdeploy.latency.library import latency_model_path
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
) -> ProfilePlan:
    """Plan profiling; the arguments are those of :func:`natdeploy.latency.profile.profile_device`.

    Raises BadInput for a runtime the device lacks or too few networks.
    """
    paths = {runtime: latency_model_path(profile, space, runtime) for runtime in runtimes or profile.runtimes}
    if networks < MIN_NETWORKS:
        raise BadInput(
            f"profiling: networks is {networks}, at least {MIN_NETWORKS} are needed to train a latency model"
        )
    calibration_rank(networks, coverage)
    training, judged = choose_networks(space, networks, holdout, seed=seed)
    roles = dict.fromkeys(training, "train") | dict.fromkeys(judged, "holdout")
    mixed = tuple(list(roles)[place] for place in np.random.default_rng(seed).permutation(len(roles)))
    again = tuple(judged[:REPEATS])
    # Trained on and judged by what was timed in the same batches; timed again later, to see how far timings repeat.
    return ProfilePlan(paths, (Part(mixed, roles), Part(again, dict.fromkeys(again, "repeat"))))
