"""One image file or blob to pixels, safely: truncated files and decompression bombs are refused by name."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from natdeploy.ground.errors import BadInput

#: Larger pictures are refused before a pixel is decoded (Pillow's own threshold for a warning).
MAX_PIXELS = 89_478_485
#: Short side above which a picture is reduced when it is read, so that photographs fit in memory. A quarter above the
#: largest resolution of any shipped space; ``predict`` reads images through the same function as training.
MAX_SHORT_SIDE = 320
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, zlib.error)


def read_image(file: Path | bytes, name: str | None = None) -> np.ndarray:
    """Decode an image to uint8 ``[H,W,3]`` RGB, turned upright, its short side at most :data:`MAX_SHORT_SIDE`.

    Args:
        file: a path, or the encoded bytes.
        name: what errors call the image; the path where there is one.

    Raises BadInput naming the image when it is missing, truncated, not an image or larger than :data:`MAX_PIXELS`.
    """
    name = name or (str(file) if isinstance(file, Path) else "image")
    try:
        # The limit is ours to state, so Pillow's warning about it would only repeat what the error below says.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise _too_large(name, image.width, image.height)
                image.draft(None, (2 * MAX_SHORT_SIDE, 2 * MAX_SHORT_SIDE))  # JPEG: decode at a fraction of the size
                return np.asarray(_reduced(_rgb(ImageOps.exif_transpose(image))))
    except FileNotFoundError:
        raise BadInput(f"{name}: no such image file") from None
    except (IsADirectoryError, PermissionError) as error:
        raise BadInput(f"{name}: not a readable image file: {error.strerror}") from None
    except Image.DecompressionBombError:
        raise BadInput(f"{name}: the image has over {MAX_PIXELS // 10**6} megapixels; reduce it first") from None
    except Image.UnidentifiedImageError:
        raise BadInput(f"{name}: not an image that Pillow can read; remove the file or convert it to JPEG") from None
    except _DECODER_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"{name}: the image is damaged ({reason}); replace or remove it") from None


def _too_large(name: str, width: int, height: int) -> BadInput:
    limit = f"{MAX_PIXELS // 10**6} megapixels"
    return BadInput(f"{name}: the image has {width} x {height} pixels, over the limit of {limit}; reduce it first")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey: Pillow's own conversion would clip instead of scaling
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray((values.clip(0, 65535) // 257).astype(np.uint8))
    return image if image.mode == "RGB" else image.convert("RGB")


def _reduced(image: Image.Image) -> Image.Image:
    short = min(image.size)
    if short <= MAX_SHORT_SIDE:
        return image
    width, height = (max(1, round(side * MAX_SHORT_SIDE / short)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)
