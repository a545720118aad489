"""Kernels compiled side by side: what one child raises ends the others, as Ctrl-C does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from natdeploy.compiler import kernel_objects
from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import object_code
from natdeploy.ground.errors import BadInput

JOBS = {f"kernel{number:02d}": number for number in range(48)}


def compile_doubled(jobs: list[int], target: Mapping[str, Any]) -> list[bytes]:
    return [bytes(2 * [job]) for job in jobs]


def refuse_the_first_while_others_take_long(jobs: list[int], target: Mapping[str, Any]) -> list[bytes]:
    """Runs in a child; every batch but the first leaves a file as it begins."""
    folder = Path(target["folder"])
    if 0 in jobs:
        while not any(folder.iterdir()):
            time.sleep(0.01)
        raise BadInput("no such kernel")
    (folder / str(jobs[0])).touch()
    time.sleep(4)
    return compile_doubled(jobs, target)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KernelCache:
    """Of one's own, and two processors."""
    monkeypatch.setattr(kernel_objects, "allowed_processors", lambda: [0, 1])
    return KernelCache(tmp_path / "cache")


def test_two_children_compile_everything_and_the_cache_has_it(cache: KernelCache) -> None:
    keys = {name: name + "f" * 56 for name in JOBS}
    fractions: list[float] = []
    found = object_code(JOBS, keys, compile_doubled, {}, cache, lambda stage, done: fractions.append(done))
    assert found == {name: bytes([number, number]) for name, number in JOBS.items()} and fractions[-1] == 1
    assert object_code(JOBS, keys, refuse_the_first_while_others_take_long, {}, cache) == found  # asked nobody


def test_what_one_child_raises_ends_the_other(cache: KernelCache, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    target = {"folder": str(begun)}
    with pytest.raises(BadInput, match="no such kernel"):
        object_code(JOBS, {name: name for name in JOBS}, refuse_the_first_while_others_take_long, target, cache)
    assert [path.name for path in begun.iterdir()] == ["8"]
