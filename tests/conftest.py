"""Settings of all tests."""

import pytest
from hypothesis import settings

from natdeploy.ground.errors import BadInput

# Absolute times say nothing on a busy machine: an example may take as long as it takes.
settings.register_profile("natdeploy", deadline=None)
settings.load_profile("natdeploy")


@pytest.fixture
def without_llvm_mca(monkeypatch: pytest.MonkeyPatch) -> None:
    """Priors are rooflines, as where llvm-mca is not installed: no kernel is compiled for them."""

    def missing(_: object) -> None:
        raise BadInput("no llvm-mca in this test")

    monkeypatch.setattr("natdeploy.latency.library.Machine.of", missing)
