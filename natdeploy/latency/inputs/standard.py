"""Columns brought to a common centre and scale, which are kept with the model that was trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Standard:
    """What is subtracted from each column, and what it is multiplied by then; float64 ``[columns]`` each."""

    centre: np.ndarray
    scale: np.ndarray

    def __call__(self, table: np.ndarray) -> np.ndarray:
        """Standardise a table ``[n, columns]``."""
        return (table - self.centre) * self.scale

    def __len__(self) -> int:
        return len(self.centre)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"centre": self.centre.tolist(), "scale": self.scale.tolist()}

    @staticmethod
    def from_json(value: Mapping[str, Any], columns: int) -> Standard:
        """Inverse of :meth:`to_json`. Raises ValueError where there are not so many columns."""
        centre, scale = (np.array(value[name], np.float64) for name in ("centre", "scale"))
        if not centre.shape == scale.shape == (columns,):
            raise ValueError(
                f"centre and scale of {columns} columns are expected, not of {centre.shape}, {scale.shape}"
            )
        return Standard(centre, scale)
