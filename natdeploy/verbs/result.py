"""What a verb returns: frozen data that is one step from JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

#: Called with what is being done and how much of it is done, 0 to 1.
Progress = Callable[[str, float], None]


class Result:
    """Base of the verbs' results, all of them frozen dataclasses."""

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON; a number that is not finite becomes null."""
        value = plain(self)
        assert isinstance(value, dict)
        return value


def plain(value: Any) -> Any:
    """Dataclasses, paths, tuples and numpy scalars as what JSON knows."""
    if is_dataclass(value) and not isinstance(value, type):
        if not isinstance(value, Result) and hasattr(value, "to_json"):
            return plain(value.to_json())
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
