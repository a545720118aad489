"""A compiled library with any number of inputs and outputs, in this process (ctypes over ``natdeploy.h``)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.devices.native_local import load_library
from natdeploy.ground.errors import BadInput

#: By NATDEPLOY_FLOAT32 ...
_DTYPES = ("float32", "int64", "int32", "uint8", "bool")


@dataclass(frozen=True)
class TensorInfo:
    """What a model takes or gives: its name, numpy's name of its element type, its shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class NativeModel:
    """One instance of the model in a library.

    Args:
        path: ``libmodel.so``.
        threads: how many compute a run, the caller's included.

    Attributes:
        inputs, outputs: what it takes and gives, in order.
        layers: name of the layer that each call computes.
        device: what a library for OpenCL runs on, ``gpu: NAME (PLATFORM)`` or ``other: ...``; None for processors' own.

    Raises BadInput, in one line, for what is no library of natdeploy's, and for more threads than it has work for.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self._path, self._library = Path(path), load_library(Path(path))
        self._instance = ctypes.c_void_p()
        model = self._library.natdeploy_default_model()
        status = self._library.natdeploy_create(model, threads, ctypes.byref(self._instance))
        if status:
            text = self._library.natdeploy_status_text(status).decode(errors="replace")
            raise BadInput(f"{path}: cannot make an instance on {threads} threads: {text}")
        self.inputs, self.outputs = self._tensors(model, "input"), self._tensors(model, "output")
        self.layers = tuple(
            self._library.natdeploy_call_name(model, index).decode(errors="replace")
            for index in range(self._library.natdeploy_call_count(model))
        )

        self.device = self._opencl_device()

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """All outputs from all inputs. Raises BadInput for inputs of other types or shapes."""
        given, outputs = self._checked_inputs(arrays), self._empty_outputs()
        self._check(self._library.natdeploy_run(self._instance, _pointers(given), _pointers(outputs)))
        return outputs

    def time_calls_ms(self, arrays: Sequence[np.ndarray]) -> list[float]:
        """Milliseconds of each call of one run, in the order of :attr:`layers`."""
        given, outputs = self._checked_inputs(arrays), self._empty_outputs()
        times = (ctypes.c_double * len(self.layers))()
        self._check(self._library.natdeploy_time_calls(self._instance, _pointers(given), _pointers(outputs), times))
        return list(times)

    def close(self) -> None:
        """Free the instance."""
        self._library.natdeploy_destroy(self._instance)
        self._instance = ctypes.c_void_p()

    def __enter__(self) -> NativeModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opencl_device(self) -> str | None:
        try:
            function = self._library.natdeploy_opencl_device
        except (AttributeError, UnicodeDecodeError):  # ctypes reads the reason, which holds the path, as UTF-8
            return None
        function.restype, function.argtypes = ctypes.c_char_p, (ctypes.c_void_p,)
        return str(function(self._instance).decode(errors="replace"))

    def _tensors(self, model: Any, which: str) -> tuple[TensorInfo, ...]:
        found = []
        for index in range(getattr(self._library, f"natdeploy_{which}_count")(model)):
            tensor = getattr(self._library, f"natdeploy_{which}")(model, index).contents
            shape = tuple(tensor.shape[: tensor.ndim])
            found.append(TensorInfo(tensor.name.decode(errors="replace"), _DTYPES[tensor.dtype], shape))
        return tuple(found)

    def _checked_inputs(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        if len(arrays) != len(self.inputs):
            raise BadInput(f"{self._path}: {len(arrays)} inputs given, expected {len(self.inputs)}")
        for info, array in zip(self.inputs, arrays):
            if array.dtype.name != info.dtype or array.shape != info.shape:
                raise BadInput(
                    f"{self._path}: input {info.name!r} is {array.dtype}{list(array.shape)}, "
                    f"expected {info.dtype}{list(info.shape)}"
                )
        return [np.ascontiguousarray(array) for array in arrays]

    def _empty_outputs(self) -> list[np.ndarray]:
        return [np.empty(info.shape, info.dtype) for info in self.outputs]

    def _check(self, status: int) -> None:
        if status:
            text = self._library.natdeploy_last_error(self._instance).decode(errors="replace")
            raise BadInput(f"{self._path}: running failed: {text}; build it again")


def _pointers(arrays: Sequence[np.ndarray]) -> Any:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
