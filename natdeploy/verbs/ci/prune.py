"""Searches that nobody has come back to: each has weights of its own, and an entry would keep them for ever."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from natdeploy.verbs.ci.record import SHORT, run_folder

_NAME = re.compile(rf"[0-9a-f]{{{SHORT}}}")


def prune_searches(folder: Path, current: str, keep: int) -> tuple[Path, ...]:
    """Remove an entry's searches but the ``keep`` used last; the current one counts as used now and always stays.

    Args:
        folder: the entry's, held by this process.
        current: key of the search that its bundles come from.
        keep: how many searches stay, at least 1.

    Returns what was removed. Folders of other names, and links, are left alone.
    """
    mine = run_folder(folder, current)
    os.utime(mine)
    others = [path for path in mine.parent.iterdir() if path != mine and _is_search(path)]
    others.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in others[keep - 1 :]:
        shutil.rmtree(path)
    return tuple(others[keep - 1 :])


def _is_search(path: Path) -> bool:
    return bool(_NAME.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()
