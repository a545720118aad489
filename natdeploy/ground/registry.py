"""The one way to choose an implementation by name.

A registry maps names to ``module:attribute`` strings and imports what is asked for, when it is asked for; other
packages add names through an entry-point group. Nothing happens at import time.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from natdeploy.ground.errors import BadInput


class Registry:
    """Named implementations of one kind of thing.

    Args:
        kind: what is chosen, in the singular; the entry-point group is ``natdeploy.<kind>``.
        entries: name to ``"module:attribute"``.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._entries = dict(entries)

    def names(self) -> tuple[str, ...]:
        """All names, the package's own first."""
        added = sorted(point.name for point in self._points() if point.name not in self._entries)
        return (*self._entries, *added)

    def get(self, name: str) -> Any:
        """The object behind a name. Raises BadInput that lists the known names."""
        if target := self._entries.get(name):
            module, attribute = target.split(":")
            return getattr(importlib.import_module(module), attribute)
        for point in self._points():
            if point.name == name:
                return point.load()
        raise BadInput(f"unknown {self.kind} {name!r}; known: {', '.join(self.names())}")

    def _points(self) -> list[Any]:
        return list(entry_points(group=f"natdeploy.{self.kind.replace(' ', '_')}"))
