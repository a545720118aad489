"""natdeploy: from images, a device and a latency budget to compiled, verified models.

Every verb of the command line is a function of :mod:`natdeploy.verbs`::

    import natdeploy

    result = natdeploy.verbs.search(latency_ms=2)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from natdeploy import verbs

__version__ = "0.1.0"

__all__ = ["__version__", "verbs"]


def __getattr__(name: str) -> Any:
    """Import the verbs when they are first asked for. Raises BadInput on a system that they do not run on."""
    if name == "verbs":
        from natdeploy.ground.system import refuse_unknown_system

        refuse_unknown_system()
        return importlib.import_module("natdeploy.verbs")
    raise AttributeError(f"module 'natdeploy' has no attribute {name!r}")
