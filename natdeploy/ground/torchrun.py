"""Which of several processes this one is, where ``torchrun`` started it."""

from __future__ import annotations

import os
from dataclasses import dataclass

_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """One of ``size`` processes; ``rank`` 0 leads; ``local_rank`` counts on its machine."""

    rank: int = 0
    local_rank: int = 0
    size: int = 1


def place() -> Place:
    """This process's place; the only one where torchrun did not start it."""
    if not all(name in os.environ for name in _VARIABLES):
        return Place()
    return Place(*(int(os.environ[name]) for name in _VARIABLES[:3]))
