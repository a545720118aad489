"""natdeploy's own compiled library in this process: ctypes over ``compiler/runtime/natdeploy.h``, no TVM."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

import numpy as np

from natdeploy.devices.description import DeviceDescription
from natdeploy.devices.meter import Meter, meter_here
from natdeploy.devices.runner import Runnable, Session, check_artifact, checked_input
from natdeploy.devices.this_machine import describe_this_machine
from natdeploy.ground.errors import BadInput
from natdeploy.ground.system import need_linux

#: NATDEPLOY_INTERFACE_VERSION and NATDEPLOY_FLOAT32 of the header this file is written against.
_INTERFACE_VERSION = 2
_FLOAT32 = 0


class NativeTensor(ctypes.Structure):
    """``natdeploy_tensor`` of the header."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("dtype", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("bytes", ctypes.c_uint64),
    )


_VERSION = "natdeploy_interface_version"
#: Function -> (result, arguments); the version comes first, since libraries of another have other functions.
_FUNCTIONS = {
    _VERSION: (ctypes.c_int, ()),
    "natdeploy_default_model": (ctypes.c_void_p, ()),
    "natdeploy_input_count": (ctypes.c_int, (ctypes.c_void_p,)),
    "natdeploy_output_count": (ctypes.c_int, (ctypes.c_void_p,)),
    "natdeploy_input": (ctypes.POINTER(NativeTensor), (ctypes.c_void_p, ctypes.c_int)),
    "natdeploy_output": (ctypes.POINTER(NativeTensor), (ctypes.c_void_p, ctypes.c_int)),
    "natdeploy_create": (ctypes.c_int, (ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p))),
    "natdeploy_run": (
        ctypes.c_int,
        (ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_void_p)),
    ),
    "natdeploy_time": (
        ctypes.c_int,
        (
            ctypes.c_void_p,
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.c_int,
            ctypes.POINTER(ctypes.c_double),
        ),
    ),
    "natdeploy_call_count": (ctypes.c_int, (ctypes.c_void_p,)),
    "natdeploy_call_name": (ctypes.c_char_p, (ctypes.c_void_p, ctypes.c_int)),
    "natdeploy_time_calls": (
        ctypes.c_int,
        (
            ctypes.c_void_p,
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.POINTER(ctypes.c_double),
        ),
    ),
    "natdeploy_destroy": (None, (ctypes.c_void_p,)),
    "natdeploy_status_text": (ctypes.c_char_p, (ctypes.c_int,)),
    "natdeploy_last_error": (ctypes.c_char_p, (ctypes.c_void_p,)),
}


class NativeLocal:
    """Runs ``native`` artifacts: shared libraries built by natdeploy's compiler for this machine."""

    name = "tvm"
    kind = "native"

    def toolchain(self) -> dict[str, str]:
        """Version of the C interface; the compiler's versions travel with the artifact."""
        return {"natdeploy_interface": str(_INTERFACE_VERSION)}

    def describe(self) -> DeviceDescription:
        """This machine."""
        return describe_this_machine()

    def meter(self) -> Meter:
        """This machine's."""
        return meter_here()

    def close(self) -> None:
        """Nothing is held."""

    def open(self, runnable: Runnable, *, threads: int = 1) -> Session:
        """Load a library and make an instance. Raises BadInput for one that is missing, damaged or for other shapes."""
        check_artifact(self, runnable)
        return _NativeSession(runnable, threads)


class _NativeSession:
    def __init__(self, runnable: Runnable, threads: int) -> None:
        self._path = Path(runnable.path)
        self._instance = ctypes.c_void_p()
        self._library = load_library(self._path)
        self._in_shape, self._out_shape = tuple(runnable.input_shape), tuple(runnable.output_shape)
        model = self._library.natdeploy_default_model()
        self._check_tensor(model, "input", self._in_shape)
        self._check_tensor(model, "output", self._out_shape)
        status = self._library.natdeploy_create(model, threads, ctypes.byref(self._instance))
        if status:
            text = self._library.natdeploy_status_text(status).decode(errors="replace")
            raise BadInput(f"{self._path}: cannot make an instance on {threads} threads: {text}")

    def run(self, x: np.ndarray) -> np.ndarray:
        """Outputs of one image."""
        x = checked_input(x, self._in_shape, self._path)
        y = np.empty(self._out_shape, np.float32)
        self._checked(self._library.natdeploy_run(self._handle(), _pointers(x), _pointers(y)))
        return y

    def time_ms(self, repeats: int, x: np.ndarray) -> list[float]:
        """Milliseconds of each run, by the library's own clock; copies of input and output are included."""
        x = checked_input(x, self._in_shape, self._path)
        y = np.empty(self._out_shape, np.float32)
        times = (ctypes.c_double * repeats)()
        self._checked(self._library.natdeploy_time(self._handle(), _pointers(x), _pointers(y), repeats, times))
        return list(times)

    def close(self) -> None:
        """Free the instance and unload the library."""
        if self._instance:
            self._library.natdeploy_destroy(self._instance)
            self._instance = ctypes.c_void_p()
            with contextlib.suppress(ImportError, AttributeError, OSError):  # unloading is a courtesy
                import _ctypes

                _ctypes.dlclose(self._library._handle)

    def _handle(self) -> ctypes.c_void_p:
        if not self._instance:
            raise BadInput(f"{self._path}: the session is closed")
        return self._instance

    def _checked(self, status: int) -> None:
        if status:
            text = self._library.natdeploy_last_error(self._instance) or self._library.natdeploy_status_text(status)
            raise BadInput(f"{self._path}: running failed: {text.decode(errors='replace')}; build it again")

    def _check_tensor(self, model: int, which: str, expected: tuple[int, ...]) -> None:
        count = getattr(self._library, f"natdeploy_{which}_count")(model)
        if count != 1:
            raise BadInput(f"{self._path}: has {count} {which}s, expected one")
        tensor = getattr(self._library, f"natdeploy_{which}")(model, 0).contents
        shape = tuple(tensor.shape[: tensor.ndim])
        if tensor.dtype != _FLOAT32 or shape != expected:
            raise BadInput(
                f"{self._path}: {which} is type {tensor.dtype} of shape {list(shape)}, expected float32{list(expected)}"
            )


def load_library(path: Path) -> ctypes.CDLL:
    """Open a library and declare its functions.

    Raises BadInput for anything that is not one of natdeploy's, DeviceNotReachable where this is no Linux.
    """
    need_linux(f"{path}: loading a compiled library")
    try:
        library = ctypes.CDLL(str(path.resolve()), mode=getattr(ctypes, "RTLD_LOCAL", 0))
    except OSError as error:
        raise BadInput(f"{path}: not a loadable library: {' '.join(str(error).split())[:200]}") from None
    except UnicodeDecodeError:  # ctypes reads the reason, which holds the path, as UTF-8
        raise BadInput(f"{path}: not a loadable library") from None
    for name, (result, arguments) in _FUNCTIONS.items():
        try:
            function = getattr(library, name)
        except (AttributeError, UnicodeDecodeError):
            raise BadInput(f"{path}: not a natdeploy library, {name} is missing") from None
        function.restype, function.argtypes = result, arguments
        if name == _VERSION and (version := function()) != _INTERFACE_VERSION:
            raise BadInput(
                f"{path}: has version {version} of natdeploy's C interface, this natdeploy takes version "
                f"{_INTERFACE_VERSION}; build it again"
            )
    return library


def _pointers(array: np.ndarray) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * 1)(array.ctypes.data)
