"""libmodel.so through ctypes, as any caller of natdeploy.h sees it."""

import ctypes
from pathlib import Path

import numpy as np

_POINTERS = ctypes.POINTER(ctypes.c_void_p)


class Library:
    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        for name in ("natdeploy_default_model", "natdeploy_input", "natdeploy_output"):
            getattr(self.c, name).restype = ctypes.c_void_p
        for name in ("natdeploy_last_error", "natdeploy_status_text", "natdeploy_call_name"):
            getattr(self.c, name).restype = ctypes.c_char_p
        for name in ("natdeploy_arena_bytes", "natdeploy_constant_bytes"):
            getattr(self.c, name).restype = ctypes.c_uint64
        self.c.natdeploy_destroy.restype = None
        self.model = ctypes.c_void_p(self.c.natdeploy_default_model())

    def create(self, threads: int = 1) -> ctypes.c_void_p:
        instance = ctypes.c_void_p()
        status = self.c.natdeploy_create(self.model, threads, ctypes.byref(instance))
        assert (status == 0) == bool(instance), status
        return instance

    def run(self, instance: ctypes.c_void_p, image: np.ndarray, classes: int) -> np.ndarray:
        out = np.full((1, classes), np.nan, np.float32)
        status = self.c.natdeploy_run(instance, pointers(image), pointers(out))
        assert status == 0, self.error(instance)
        return out

    def error(self, instance: ctypes.c_void_p) -> str:
        return self.c.natdeploy_last_error(instance).decode()


def pointers(*arrays: np.ndarray) -> ctypes.Array:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))


def run_library(path: Path, image: np.ndarray, classes: int) -> np.ndarray:
    library = Library(path)
    instance = library.create()
    try:
        return library.run(instance, image, classes)
    finally:
        library.c.natdeploy_destroy(instance)
