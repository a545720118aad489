"""A graphics processor through TVM's runtime. Imported in child processes only (needs TVM)."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import tvm
import tvm_ffi

from natdeploy.devices.gpu_device import Place
from natdeploy.ground.errors import DeviceNotReachable

Result = TypeVar("Result")
#: What :meth:`TvmDevice.load` is given, as TVM calls it.
_FORMAT = "cubin"
#: In this order a function of a module of TVM's takes sizes, behind its pointers.
_SIZES = tuple(f"{part}.{axis}" for part in ("blockIdx", "threadIdx") for axis in "xyz")


class TvmDevice:
    """:class:`natdeploy.devices.gpu_device.GpuDevice` over one of TVM's devices.

    Args:
        device: ``tvm.cuda(0)``; on others memory and copies work, and nothing can be loaded.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self._module: Any = None
        self._kernels: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """What the vendor calls it."""
        return str(self._device.device_name)

    @property
    def max_threads(self) -> int:
        """Most threads of a group."""
        return int(self._device.max_threads_per_block)

    def allocate(self, size: int) -> Any:
        """Memory of so many bytes."""
        return _told(lambda: tvm.runtime.empty((size,), "uint8", self._device), f"{size} bytes cannot be allocated")

    def write(self, place: Place, array: np.ndarray) -> None:
        """Copy an array to the device."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        _told(lambda: _part(place, data.nbytes).copyfrom(data), "copying to it failed")

    def read(self, place: Place, array: np.ndarray) -> None:
        """Fill a contiguous array from the device."""
        found = _told(lambda: _part(place, array.nbytes).numpy(), "copying from it failed")
        array.reshape(-1).view(np.uint8)[:] = found

    def load(self, code: bytes, arguments: Mapping[str, int]) -> None:
        """Load compiled code."""
        about = {
            name: {"name": name, "arg_types": ["handle"] * count, "launch_param_tags": list(_SIZES)}
            for name, count in arguments.items()
        }
        table = tvm_ffi.get_global_func("runtime.LoadMetaDataFromJSON")(
            json.dumps({"tvm_version": tvm.__version__, "func_info": about})
        )
        create = tvm_ffi.get_global_func("ffi.Module.create.cuda")
        self._module = _told(lambda: create(code, _FORMAT, table, {}), "the compiled kernels are refused")
        self._kernels = {
            name: _told(partial(self._module.__getitem__, name), f"no kernel {name}") for name in arguments
        }

    def launcher(
        self, kernel: str, places: Sequence[Place], groups: tuple[int, int, int], threads: tuple[int, int, int]
    ) -> Callable[[], None]:
        """What starts a kernel whenever it is called; all that can be done before is done now."""
        pointers = [ctypes.c_void_p(place.memory.data_ptr() + place.offset) for place in places]
        call = partial(self._kernels[kernel], *pointers, *groups, *threads)
        return partial(_told, call, f"kernel {kernel} cannot be started")

    def wait(self) -> None:
        """Until all that was asked for is done."""
        _told(self._device.sync, "a kernel failed")


def _part(place: Place, size: int) -> Any:
    return place.memory._create_view((size,), "uint8", place.offset)


def _told(call: Callable[[], Result], what: str) -> Result:
    """The call's result; TVM's complaints, which are of many kinds, as one line."""
    try:
        return call()
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise DeviceNotReachable(
            f"the graphics processor does not do what it should: {what}: {lines[-1][:160]}"
        ) from None
