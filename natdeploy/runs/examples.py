"""The job files that come with natdeploy, found by name wherever it is installed."""

from __future__ import annotations

from pathlib import Path

import natdeploy
from natdeploy.ground.errors import BadInput

#: Stands before the name of a shipped job file: ``example:digits``.
PREFIX = "example:"


def example_folder() -> Path:
    """Package data when installed, ``examples/`` beside the package in a checkout. Raises BadInput where both lack."""
    package = Path(natdeploy.__file__).parent
    for folder in (package / "examples", package.parent / "examples"):
        if (folder / "digits.yaml").is_file():
            return folder
    raise BadInput(f"{package / 'examples'}: the shipped job files are missing; install natdeploy again")


def job_path(path: Path) -> Path:
    """The file that ``example:NAME`` stands for; any other path as it is. Raises BadInput naming the known ones."""
    if not str(path).startswith(PREFIX):
        return path
    folder, name = example_folder(), str(path).removeprefix(PREFIX)
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    if name not in known:
        raise BadInput(f"{path}: no such example; known: {', '.join(PREFIX + one for one in known)}")
    return folder / f"{name}.yaml"
