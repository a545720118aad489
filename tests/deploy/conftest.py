from collections.abc import Iterator
from pathlib import Path

import pytest

from natdeploy.ground.files import cache_root


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of its own; compiled kernels and what is known of the processor are shared, being kept by content."""
    kept = cache_root()
    path = tmp_path_factory.mktemp("home")
    for name in ("kernels", "host", "zig"):
        (kept / name).mkdir(parents=True, exist_ok=True)
        (path / name).symlink_to(kept / name, target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NATDEPLOY_HOME", str(path))
        yield path
