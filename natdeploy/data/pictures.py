"""Images that are read when they are asked for: a task may be larger than memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.data.images import read_image
from natdeploy.data.preprocess import resize_image
from natdeploy.ground.processes import allowed_processors


class Pictures:
    """Images uint8 ``[H,W,3]`` behind keys, such as files.

    Args:
        keys: one for each image.
        read: gives the image of a key.
        digest: of a key's image, without decoding it.
    """

    def __init__(self, keys: Sequence[Any], read: Callable[[Any], np.ndarray], digest: Callable[[Any], bytes]) -> None:
        self._keys, self._read, self._digest = list(keys), read, digest

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._read(self._keys[index])

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._read(key) for key in self._keys)

    def take(self, indices: np.ndarray) -> Pictures:
        """The images of these indices, in their order."""
        return Pictures([self._keys[index] for index in indices], self._read, self._digest)

    def digests(self) -> Iterator[bytes]:
        """Digest of each image, in order."""
        return (self._digest(key) for key in self._keys)


def picture_files(root: Path, files: Sequence[Path]) -> Pictures:
    """Image files below a folder. Their names there and their sizes in bytes stand for their content."""

    def digest(file: Path) -> bytes:
        name = os.fsencode(file.relative_to(root).as_posix())  # any bytes, not only UTF-8
        return hashlib.sha256(b"%s %d" % (name, file.stat().st_size)).digest()

    return Pictures(files, read_image, digest)


class ResizedPictures:
    """Pictures at one resolution: what an array uint8 ``[N,r,r,3]`` would be, read as far as it is needed.

    A slice is read when it is made an array; an array of indices gives one at once.
    """

    def __init__(self, pictures: Pictures, resolution: int) -> None:
        self._pictures, self._resolution = pictures, resolution

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """``(N, r, r, 3)``."""
        return len(self), self._resolution, self._resolution, 3

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            chosen = self._pictures.take(np.arange(len(self))[index])
            return ResizedPictures(chosen, self._resolution)
        if np.ndim(index) == 0:
            return resize_image(self._pictures[int(index)], self._resolution)
        return np.asarray(ResizedPictures(self._pictures.take(np.asarray(index)), self._resolution))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = np.empty(self.shape, dtype=np.uint8)

        def fill(index: int) -> None:
            found[index] = resize_image(self._pictures[index], self._resolution)

        with ThreadPoolExecutor(len(allowed_processors())) as pool:  # decoders let other threads run
            for _ in pool.map(fill, range(len(self))):
                pass
        return found if dtype is None else found.astype(dtype)
