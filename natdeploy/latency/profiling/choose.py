"""Which networks to time: spread over the range of MACs as well as drawn from the space, the same for the same seed."""

from __future__ import annotations

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.inputs.features import feature_names
from natdeploy.latency.inputs.gene_sums import GeneSums, feature_sums
from natdeploy.spaces import Arch, Space

#: Random architectures from which networks are chosen, at least.
POOL = 1024


def choose_networks(space: Space, networks: int, holdout: int, *, seed: int = 0) -> tuple[list[Arch], list[Arch]]:
    """Distinct networks to train on and, drawn in the same way, others to judge by.

    The smallest and the largest network are trained on. Of the rest every other one is a random network, and the
    others are those nearest to positions spread evenly (van der Corput) between the least and the greatest MACs, where
    random networks are rare. The order of each list is such that a longer list of the same seed begins with the
    shorter one, so that more networks can be asked for later without timing any again.

    Raises BadInput for counts that are negative or more than the space holds.
    """
    if networks < 2 or holdout < 0:
        raise BadInput(f"profiling needs at least 2 networks and no negative holdout, not {networks} and {holdout}")
    sums = feature_sums(space)
    taken = dict.fromkeys((space.smallest(), space.largest()))
    # A holdout network must stay one when more training networks are asked for: they come from pools of their own.
    held = {arch for arch in _pool(space, POOL, [seed, 1]) if arch not in taken}
    training = [*taken, *_spread(space, sums, networks - 2, [seed, 0], {*taken, *held})]
    return training, _spread(space, sums, holdout, [seed, 1], set(taken))


def random_networks(space: Space, *, seed: int = 0) -> list[Arch]:
    """Distinct random networks, half uniform over genes and half over phenotypes: what will be asked for."""
    return _pool(space, POOL, [seed, 0])


def _pool(space: Space, size: int, seed: list[int]) -> list[Arch]:
    """Random architectures, half uniform over genes and half over phenotypes, without repetition."""
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(space.sample(rng, uniform=("gene", "phenotype")[i % 2]) for i in range(size)))


def _spread(space: Space, sums: GeneSums, count: int, seed: list[int], excluded: set[Arch]) -> list[Arch]:
    pool = [arch for arch in _pool(space, POOL, seed) if arch not in excluded]
    if count > len(pool):
        raise BadInput(f"at most {len(pool)} networks of {space.name} can be chosen at once, not {count}")
    macs = np.log(sums(pool)[:, feature_names().index("macs")])
    free = np.ones(len(pool), bool)
    chosen: list[Arch] = []
    for index in range(count):
        if index % 2:
            position = macs.min() + _van_der_corput(index // 2 + 1) * np.ptp(macs)
            pick = int(np.argmin(np.where(free, np.abs(macs - position), np.inf)))
        else:
            pick = int(np.argmax(free))
        free[pick] = False
        chosen.append(pool[pick])
    return chosen


def _van_der_corput(index: int) -> float:
    """The index-th number of the base-2 low-discrepancy sequence in (0, 1)."""
    value, unit = 0.0, 0.5
    while index:
        value += unit * (index & 1)
        index >>= 1
        unit /= 2
    return value
