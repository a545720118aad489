import pytest

from natdeploy.compiler import Artifact
from tests.devices.boards import AARCH64, ARM, HERE, executable


@pytest.fixture(scope="session")
def aarch64(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return executable(AARCH64, tmp_path_factory.mktemp("aarch64"))


@pytest.fixture(scope="session")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return executable(ARM, tmp_path_factory.mktemp("arm"))


@pytest.fixture(scope="session")
def here(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return executable(HERE, tmp_path_factory.mktemp("here"))
