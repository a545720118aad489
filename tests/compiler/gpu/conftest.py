import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from natdeploy.devices.opencl import need_opencl
from natdeploy.ground.errors import DeviceNotReachable


def reason_against_opencl() -> str | None:
    """Why OpenCL does not run on this machine, if it does not."""
    try:
        need_opencl()
    except DeviceNotReachable as error:
        return str(error)
    return None


needs_opencl = pytest.mark.skipif(
    reason_against_opencl() is not None, reason="needs OpenCL: apt install pocl-opencl-icd"
)


@pytest.fixture(scope="session", autouse=True)
def pocl_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """PoCL's compiled kernels: kept within the session, so that two instances of one model compile them once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = Path(os.environ.get("POCL_CACHE_DIR") or tmp_path_factory.mktemp("pocl"))
        patch.setenv("POCL_CACHE_DIR", str(folder))
        yield folder
