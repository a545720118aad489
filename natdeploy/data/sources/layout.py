"""Finding the files of an official layout, also where a copy's names differ in upper and lower case."""

from __future__ import annotations

from pathlib import Path

#: Endings of what official sets are published as.
_PACKED = (".tar", ".tar.gz", ".tgz", ".zip")

#: Folder to its files' names without regard to case; kept by who looks for many files.
Listed = dict[Path, dict[str, Path]]


def existing(path: Path, listed: Listed | None = None) -> Path | None:
    """The path as it is on disk, letters in upper or lower case; None where there is nothing.

    Args:
        path: whose own case is preferred.
        listed: folders that were looked through before; added to.
    """
    if path.exists():
        return path
    folder = None if path.parent == path else existing(path.parent, listed)
    if folder is None or not folder.is_dir():
        return None
    listed = {} if listed is None else listed
    if folder not in listed:
        listed[folder] = {child.name.casefold(): child for child in sorted(folder.iterdir(), reverse=True)}
    return listed[folder].get(path.name.casefold())


def archives(path: Path) -> list[str]:
    """Names of archives that still have to be unpacked: the path itself, or those in the folder that it is."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file.name for file in files if file.name.lower().endswith(_PACKED) and file.is_file()]
