"""Outcomes of a long benchmark's parts, kept in a folder: a run that was cut off takes what is there and goes on."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: A part's name, and which one of its kind: a fold, a draw, a seed.
Place = tuple[str, int]


@contextmanager
def kept_folder(keep: Path | None) -> Iterator[Path]:
    """Where outcomes are kept: a folder that stays, or one for the time being."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="benchmark.") as folder:
            yield Path(folder)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep


def kept_or_done(
    places: Sequence[Place],
    folder: Path,
    *,
    kind: str,
    of: Mapping[str, Any],
    do: Callable[[list[Place]], Iterable[tuple[Place, Mapping[str, Any]]]],
    say: Callable[[Mapping[str, Any]], str],
) -> dict[Place, Mapping[str, Any]]:
    """The outcome of each place: what is kept of it, or what ``do`` gives of those left, kept and said when it comes.

    ``kind`` is what a place's number counts, in a word. Raises BadInput for a kept outcome of other settings.
    """
    files = {(name, number): folder / f"{name}-{number}.json" for name, number in places}
    found: dict[Place, Mapping[str, Any]] = {}
    for place, file in files.items():
        if (kept := read_kept(file, of=of)) is not None:
            found[place] = kept
    if left := [place for place in places if place not in found]:
        for place, outcome in do(left):
            write_kept(files[place], outcome, of=of)
            found[place] = outcome
            print(f"{place[0]}, {kind} {place[1]}: {say(outcome)}", file=sys.stderr, flush=True)
    return {place: found[place] for place in places}


def line(figures: Mapping[str, float]) -> str:
    """Figures by name in one line."""
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


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
