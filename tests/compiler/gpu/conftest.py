import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def opencl_is_here() -> bool:
    """Whether OpenCL's loader finds a platform on this machine."""
    try:
        library = ctypes.CDLL("libOpenCL.so.1")
    except OSError:
        return False
    count = ctypes.c_uint32()
    return library.clGetPlatformIDs(0, None, ctypes.byref(count)) == 0 and count.value > 0


needs_opencl = pytest.mark.skipif(
    not opencl_is_here(), reason="needs an OpenCL platform: apt-get install pocl-opencl-icd ocl-icd-libopencl1"
)


@pytest.fixture(scope="session", autouse=True)
def pocl_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """PoCL's compiled kernels: kept within the session, so that two instances of one model compile them once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = Path(os.environ.get("POCL_CACHE_DIR") or tmp_path_factory.mktemp("pocl"))
        patch.setenv("POCL_CACHE_DIR", str(folder))
        yield folder
