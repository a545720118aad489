"""``constraints.txt`` pins all that the package and its development tools need, as ``setup.py`` allows."""

from __future__ import annotations

import runpy
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[1]
#: What PyTorch's wheels with CUDA bring; theirs to pin.
OF_CUDA = ("nvidia-", "cuda-", "triton")

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the versions are those of Python 3.11")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Requirement]:
    """What setup.py asks for, all extras included."""
    given: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", lambda **fields: given.update(fields))
    runpy.run_path(str(CHECKOUT / "setup.py"))
    texts = [*given["install_requires"], *(text for extra in given["extras_require"].values() for text in extra)]
    return [Requirement(text) for text in texts]


@pytest.fixture
def pinned() -> dict[str, str]:
    lines = [line.split("#")[0].strip() for line in (CHECKOUT / "constraints.txt").read_text().splitlines()]
    pairs = (line.split("==") for line in lines if line)
    return {str(canonicalize_name(name)): version for name, version in pairs}


def test_everything_needed_is_pinned(asked: list[Requirement], pinned: dict[str, str]) -> None:
    waiting, seen = [one for one in asked if needed(one)], set()
    while waiting:
        one = waiting.pop()
        name = str(canonicalize_name(one.name))
        if (name, *one.extras) in seen or name.startswith(OF_CUDA):
            continue
        seen.add((name, *one.extras))
        assert name in pinned, f"{one} is not pinned"
        try:
            further = [Requirement(text) for text in metadata.requires(name) or []]
        except metadata.PackageNotFoundError:
            continue
        waiting += [each for each in further if any(needed(each, extra) for extra in ("", *one.extras))]


def needed(one: Requirement, extra: str = "") -> bool:
    return one.marker is None or one.marker.evaluate({"extra": extra})


def test_what_is_pinned_is_allowed(asked: list[Requirement], pinned: dict[str, str]) -> None:
    wrong = [str(one) for one in asked if needed(one) and pinned[canonicalize_name(one.name)] not in one.specifier]
    assert wrong == []
