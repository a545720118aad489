from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.measure.phones import own_home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of its own for all tests of a file."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        own_home(path, patch)
        yield path
