"""Which of several processes this one is, where ``torchrun`` started it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from natdeploy.ground.errors import BadInput

_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_MOST = 999_999_999


@dataclass(frozen=True)
class Place:
    """One of ``size`` processes; ``rank`` 0 leads; ``local_rank`` counts on its machine."""

    rank: int = 0
    local_rank: int = 0
    size: int = 1


def place() -> Place:
    """This process's place; the only one where torchrun did not start it.

    Raises BadInput for a variable of torchrun's that is no such number.
    """
    if not all(name in os.environ for name in _VARIABLES):
        return Place()
    _number("MASTER_PORT", 0, 65_535)  # torch reads it itself
    size = _number("WORLD_SIZE", 1)
    return Place(_number("RANK", 0, size - 1), _number("LOCAL_RANK", 0), size)


def _number(name: str, least: int, most: int = _MOST) -> int:
    text = os.environ[name]
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        expected = f"a whole number from {least}" + (f" to {most}" if most < _MOST else "")
        raise BadInput(
            f"environment variable {name}: is {text!r:.60}, expected {expected}, as torchrun sets it; "
            f"start with torchrun, or unset {name}"
        )
    return int(text)
