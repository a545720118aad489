"""Where randomness comes from: a key of the run's seed, the iteration and the purpose, never a running generator.

A search continued from its last step draws what an undisturbed one would have drawn.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What the numbers are for; values are part of the run's reproducibility and never change."""

    INITIAL = 1
    SURROGATE = 2
    EVOLUTION = 3
    SURVIVAL = 4
    RANDOM = 5


def key(seed: int, iteration: int, purpose: Purpose) -> tuple[int, int, int]:
    """Key for ``np.random.default_rng``."""
    return (seed, iteration, int(purpose))


def whole(key: tuple[int, int, int]) -> int:
    """One number below 2^31 from a key, for libraries that take nothing else."""
    return int(np.random.SeedSequence(key).generate_state(1)[0] >> 1)
