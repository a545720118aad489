"""Pickles of plain values and NumPy arrays, read without running what they say."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput


def read_arrays_pickle(path: Path) -> dict[str, Any]:
    """A pickled dictionary of texts, lists and arrays, as CIFAR's authors wrote it with Python 2.

    A pickle names the functions that rebuild its objects; only those of arrays are known here.
    Raises BadInput for any other one, and for a damaged file.
    """
    try:
        with path.open("rb") as file:
            found = _ArraysOnly(file, encoding="latin1").load()
    except _Refused as refused:
        raise BadInput(f"{path}: asks for {refused}, which no table of images needs; it was not loaded") from None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise BadInput(f"{path}: a damaged pickle ({type(error).__name__}); unpack the archive again") from None
    if not isinstance(found, dict):
        raise BadInput(f"{path}: expected a pickled dictionary, found {type(found).__name__}")
    return {str(name): value for name, value in found.items()}


class _Refused(Exception):
    """A name that is not an array's."""


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Only what arrays are made of."""
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _empty_array
        if module == "numpy" and name in ("ndarray", "dtype"):
            return {"ndarray": np.ndarray, "dtype": np.dtype}[name]
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise _Refused(f"{module}.{name}")


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes) -> np.ndarray:
    if kind is not np.ndarray:
        raise _Refused(repr(kind))
    return np.empty((0,), dtype=np.uint8)


def _latin1(text: str, encoding: str) -> bytes:
    """Bytes that Python 3 wrote in the form of Python 2."""
    return text.encode("latin1")
