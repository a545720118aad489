"""Pickles of plain values and NumPy arrays, read without running what they say."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput


def read_arrays_pickle(path: Path) -> dict[str, Any]:
    """A pickled dictionary of texts, lists and arrays, as CIFAR's authors wrote it with Python 2, or others since.

    A pickle names the functions that rebuild its objects; only those of arrays are known here. Names that are bytes,
    as Python 3 reads Python 2's texts, become texts.
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
    return {text_of(name): value for name, value in found.items()}


def text_of(name: Any) -> str:
    """A name in a pickle, be it text or bytes."""
    return name.decode("latin1") if isinstance(name, bytes) else str(name)


class _Refused(Exception):
    """A name that is not an array's."""


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Only what arrays are made of."""
        known = _KNOWN.get((module.replace("numpy._core.", "numpy.core."), name))
        if known is None:
            raise _Refused(f"{module}.{name}")
        return known


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes) -> np.ndarray:
    if kind is not np.ndarray:
        raise _Refused(repr(kind))
    return np.empty((0,), dtype=np.uint8)


def _array_of_bytes(buffer: bytes, kind: np.dtype, shape: tuple[int, ...], order: str, *_: Any) -> np.ndarray:
    """As protocol 5 keeps arrays."""
    return np.frombuffer(buffer, dtype=kind).reshape(shape, order="F" if order == "F" else "C")


def _number(kind: np.dtype, raw: bytes) -> Any:
    """One number of NumPy's."""
    return np.frombuffer(raw, dtype=kind)[0]


def _latin1(text: str, encoding: str) -> bytes:
    """Bytes that Python 3 wrote in the form of Python 2."""
    return text.encode("latin1")


#: What arrays are made by, and what is called in its place.
_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy.core.numeric", "_frombuffer"): _array_of_bytes,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}
