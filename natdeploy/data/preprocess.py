"""From pixels to a network's input. Training, evaluation, verification and ``predict`` all use these functions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from natdeploy.ground.errors import BadInput


def resize_image(image: np.ndarray | Image.Image, resolution: int) -> np.ndarray:
    """Short side to ``resolution`` and centre crop: uint8 ``[resolution, resolution, 3]``.

    The centre square is cut out first and then resampled (Pillow's bilinear filter, which averages over all source
    pixels when it reduces), so that no pixel outside the crop plays a part. An image of that size stays as it is.
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise BadInput(f"image: expected uint8 [height, width, 3], found {pixels.dtype}{list(pixels.shape)}")
    height, width = pixels.shape[:2]
    if height == width == resolution:
        return pixels
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(np.ascontiguousarray(pixels[top : top + side, left : left + side]))
    return np.asarray(square.resize((resolution, resolution), Image.Resampling.BILINEAR))


def normalise(batch: np.ndarray, mean: Iterable[float], std: Iterable[float]) -> np.ndarray:
    """Pixels uint8 ``[N,r,r,3]`` to ``(pixel / 255 - mean) / std``, float32 ``[N,3,r,r]`` contiguous."""
    mean32, std32 = (np.asarray(tuple(values), dtype=np.float32) for values in (mean, std))
    planes = np.ascontiguousarray(np.asarray(batch).transpose(0, 3, 1, 2)).astype(np.float32)
    planes *= (1 / (255 * std32))[:, None, None]
    planes -= (mean32 / std32)[:, None, None]
    return planes


@dataclass(frozen=True)
class Preprocessing:
    """What a network expects of its input, as it stands in a bundle's ``preprocess.json``.

    Attributes:
        resolution: side of the square input in pixels.
        mean, std: of each RGB channel, on the scale 0 to 1.
        resize, crop: how a picture becomes a square; see :func:`resize_image`.
    """

    resolution: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: str = "short-side"
    crop: str = "center"

    def __post_init__(self) -> None:
        if not isinstance(self.resolution, int) or isinstance(self.resolution, bool) or self.resolution < 1:
            raise BadInput(
                f"preprocessing: field 'resolution' must be a positive number of pixels: {self.resolution!r}"
            )
        for field in ("mean", "std"):
            values = getattr(self, field)
            good = isinstance(values, tuple) and len(values) == 3 and all(_is_number(value) for value in values)
            if not good or (field == "std" and min(values) <= 0):
                kind = "three positive numbers" if field == "std" else "three numbers"
                raise BadInput(f"preprocessing: field {field!r} must be {kind}, not {values!r}")
        if (self.resize, self.crop) != ("short-side", "center"):
            raise BadInput(f"preprocessing: unknown resize {self.resize!r} or crop {self.crop!r}")

    def __call__(self, images: Iterable[np.ndarray | Image.Image]) -> np.ndarray:
        """Images of any size to float32 ``[N,3,r,r]``."""
        return normalise(np.stack([resize_image(image, self.resolution) for image in images]), self.mean, self.std)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @staticmethod
    def from_json(value: Any) -> Preprocessing:
        """Read :meth:`to_json`'s form. Raises BadInput naming the field at fault."""
        fields = ("resolution", "mean", "std", "resize", "crop")
        if not isinstance(value, dict) or set(value) != set(fields):
            raise BadInput(f"preprocessing: expected an object with exactly the fields {', '.join(fields)}")
        mean, std = (tuple(value[field]) if isinstance(value[field], list) else value[field] for field in fields[1:3])
        return Preprocessing(value["resolution"], mean, std, value["resize"], value["crop"])


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
