"""How benchmarks print what they found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def print_found(found: Mapping[str, Any], *, as_json: bool) -> None:
    """One JSON object on stdout, or its ``figures`` line by line."""
    if as_json:
        print(json.dumps(found, indent=1, allow_nan=False))
        return
    for name, value in found["figures"].items():
        print(f"{name:32} {value:.4g}")
