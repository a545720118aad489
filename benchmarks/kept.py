"""Outcomes of a long benchmark's parts, kept in a folder: a run that was cut off takes what is there and goes on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def kept_folder(keep: Path | None) -> Iterator[Path]:
    """Where outcomes are kept: a folder that stays, or one for the time being."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="benchmark.") as folder:
            yield Path(folder)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep


def write_kept(path: Path, outcome: Mapping[str, Any], *, of: Mapping[str, Any]) -> None:
    """Keep an outcome, and the settings ``of`` which it is; both JSON-ready."""
    from natdeploy.ground.files import write_json

    write_json(path, {**outcome, "of": of})


def read_kept(path: Path, *, of: Mapping[str, Any]) -> dict[str, Any] | None:
    """An outcome if it was kept. Raises BadInput for one of other settings."""
    from natdeploy.ground.errors import BadInput
    from natdeploy.ground.files import read_json

    if not path.exists():
        return None
    kept = read_json(path, "kept outcome")
    if not isinstance(kept, dict) or kept.pop("of", None) != of:
        raise BadInput(f"{path}: made by other settings, or another version; give another folder")
    return kept
