"""Decoding single images."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from natdeploy.data import images
from natdeploy.data.images import MAX_SHORT_SIDE, read_image
from natdeploy.ground.errors import BadInput


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1", "LA"])
def test_every_mode_becomes_rgb(mode):
    image = Image.new("RGB", (7, 5), (255, 255, 255)).convert(mode)
    pixels = read_image(encoded(image, "PNG"))
    assert pixels.shape == (5, 7, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == 255).all()


def test_sixteen_bit_grey_is_scaled_not_clipped():
    grey = np.array([[0, 32768, 65535]], dtype=np.uint16)
    pixels = read_image(encoded(Image.fromarray(grey), "PNG"))
    assert pixels[0, :, 0].tolist() == [0, 127, 255]


def test_a_turned_photograph_is_turned_back():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    assert read_image(encoded(Image.new("RGB", (20, 10)), exif=exif)).shape == (20, 10, 3)


def test_large_photographs_are_reduced_and_keep_their_shape():
    pixels = read_image(encoded(Image.new("RGB", (2000, 1000), (10, 200, 30))))
    assert min(pixels.shape[:2]) == MAX_SHORT_SIDE
    assert pixels.shape[1] == 2 * pixels.shape[0]


def test_a_truncated_file_is_named(tmp_path):
    data = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    path = tmp_path / "cut.jpg"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(BadInput, match=r"cut\.jpg.*damaged.*truncated"):
        read_image(path)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_image_is_named(tmp_path, data):
    path = tmp_path / "odd.png"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"odd\.png") as error:
        read_image(path)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"gone\.png: no such image"):
        read_image(tmp_path / "gone.png")


def test_decompression_bombs_are_refused_before_decoding(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = encoded(Image.new("RGB", (4, 4)), "PNG")
    path.write_bytes(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])
    with pytest.raises(BadInput, match=r"bomb\.png.*megapixels"):
        read_image(path)
    path.write_bytes(encoded(Image.new("1", (100, 100)), "PNG"))
    monkeypatch.setattr(images, "MAX_PIXELS", 9_999)
    with pytest.raises(BadInput, match=r"bomb\.png.*100 x 100"):
        read_image(path)


def test_a_folder_is_not_called_a_damaged_image(tmp_path):
    with pytest.raises(BadInput, match="not a readable image file: Is a directory"):
        read_image(tmp_path)
