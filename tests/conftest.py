"""Settings of all tests."""

import os

import pytest
from hypothesis import settings

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root

# Absolute times say nothing on a busy machine: an example may take as long as it takes.
settings.register_profile("natdeploy", deadline=None)
settings.load_profile("natdeploy")

# There are as many workers as cores. Were each to compute on all cores, threads would spin while they wait for others
# that are not running; so each has one, in what it starts as well. Before any test imports torch or NumPy.
if "PYTEST_XDIST_WORKER" in os.environ:
    for _library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

# zig builds parts of a C library for each kind of processor, which takes up to a minute: once for all tests, whatever
# cache folder they have.
os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", str(cache_root() / "zig"))


@pytest.fixture
def without_llvm_mca(monkeypatch: pytest.MonkeyPatch) -> None:
    """Priors are rooflines, as where llvm-mca is not installed: no kernel is compiled for them."""

    def missing(_: object) -> None:
        raise BadInput("no llvm-mca in this test")

    monkeypatch.setattr("natdeploy.latency.library.Machine.of", missing)
