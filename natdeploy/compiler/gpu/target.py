"""Targets that are graphics processors: TVM's name of the language, and the machine that the host program runs on."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from natdeploy.ground.errors import BadInput

#: TVM's kind -> suffix of its source files.
LANGUAGES = {"opencl": "cl", "cuda": "cu", "metal": "metal"}
_FIELDS = ("kind", "arch", "mtriple")


def is_gpu(target: Mapping[str, Any]) -> bool:
    """Whether a target is a graphics processor."""
    return isinstance(target, Mapping) and target.get("kind") in LANGUAGES


def check_gpu_target(target: Mapping[str, Any]) -> dict[str, Any]:
    """A complete copy: ``kind``, ``mtriple`` of the host (this machine's without one), ``arch`` where there is one.

    Raises BadInput naming the field at fault.
    """
    if not is_gpu(target):
        raise BadInput(f"target: field 'kind' must be one of {', '.join(LANGUAGES)}, not {target.get('kind')!r}")
    for field, value in target.items():
        if field not in _FIELDS:
            raise BadInput(f"target: unknown field {field!r}; known: {', '.join(_FIELDS)}")
        if not isinstance(value, str) or not value:
            raise BadInput(f"target: field {field!r} has the wrong type: {value!r}")
    return {"mtriple": f"{platform.machine()}-linux-gnu", **target}
