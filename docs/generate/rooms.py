"""Pages of the Python reference: one for each room, its public names in the order of its own list."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

#: Those that programs call first, then the rooms from the top down.
ROOMS = (
    "verbs",
    "verbs.ci",
    "report",
    "search",
    "deploy",
    "transfer",
    "latency",
    "measure",
    "compiler",
    "supernets",
    "data",
    "devices",
    "runs",
    "spaces",
    "ground.errors",
)


def room_path(room: str) -> str:
    """The page of a room."""
    return f"reference/python/{room}.md"


def room_pages() -> Iterator[tuple[str, str]]:
    """Path and text of each page; the handler of mkdocstrings reads signatures and docstrings without importing."""
    for room in ROOMS:
        module = importlib.import_module(f"natdeploy.{room}")
        own = [name for name, item in vars(module).items() if getattr(item, "__module__", "") == module.__name__]
        lines = [f"# natdeploy.{room}", "", module.__doc__ or "", ""]
        lines += [f"::: natdeploy.{room}.{name}\n" for name in getattr(module, "__all__", own)]
        yield room_path(room), "\n".join(lines)
