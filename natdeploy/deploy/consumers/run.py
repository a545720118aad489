#!/usr/bin/env python3
"""Classify pictures with the model of this folder. Needs Python 3.9, onnxruntime, numpy and Pillow; nothing else.

    python run.py photo.jpg [more.png ...] [--top 5] [--json]
    python run.py --check        # the checksums, and whether this machine computes what was recorded

In a program, from a copy of this file (Python writes beside what it imports, and a bundle with another file in it does
not verify): ``from run import Classifier``; ``Classifier("path/to/bundle").classify("photo.jpg", top=5)``.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
MAX_PIXELS = 89_478_485  # larger pictures are refused before they are decoded
SHORT_SIDE = 320  # photographs are reduced to this when they are read, as they were for training


class Classifier:
    """The model with its labels and its preprocessing."""

    def __init__(self, folder=HERE, threads=1):
        import onnxruntime

        self.folder = Path(folder)
        self.labels = self._read("labels.json")
        self.preprocess = self._read("preprocess.json")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        model = (self.folder / "model.onnx").read_bytes()  # ONNX Runtime takes no path that is not UTF-8
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def classify(self, picture, top=5):
        """``[(label, probability)]`` of a picture file or a Pillow image, the most probable first."""
        logits = self.logits(self.input_of(read_rgb(picture)))[0].astype(np.float64)
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        return [(self.labels[i], float(shares[i])) for i in np.argsort(-shares, kind="stable")[:top]]

    def logits(self, inputs):
        """float32 ``[1, 3, r, r]`` to float32 ``[1, classes]``."""
        return self.session.run(None, {self.session.get_inputs()[0].name: inputs})[0]

    def input_of(self, pixels):
        """uint8 ``[height, width, 3]`` to float32 ``[1, 3, r, r]``: centre square, resized, normalised."""
        side, height, width = self.preprocess["resolution"], *pixels.shape[:2]
        if not height == width == side:
            short = min(height, width)
            top, left = (height - short) // 2, (width - short) // 2
            square = Image.fromarray(np.ascontiguousarray(pixels[top : top + short, left : left + short]))
            pixels = np.asarray(square.resize((side, side), Image.BILINEAR))
        mean, std = (np.asarray(self.preprocess[name], np.float32)[:, None, None] for name in ("mean", "std"))
        return (pixels.transpose(2, 0, 1).astype(np.float32) * (1 / (255 * std)) - mean / std)[None]

    def check(self):
        """Largest difference of a logit from the recorded ones, and what is allowed. ValueError for a damaged file."""
        for line in (self.folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
            digest, name = line.split("  ", 1)
            if hashlib.sha256((self.folder / name).read_bytes()).hexdigest() != digest:
                raise ValueError(f"{self.folder / name}: its content is not what SHA256SUMS says")
        recorded = read_tensors(self.folder / "reference.safetensors")
        found = np.concatenate([self.logits(self.input_of(image)) for image in recorded["images"]])
        return float(np.abs(found - recorded["outputs"]).max()), 1e-4 * max(
            1.0, float(np.abs(recorded["outputs"]).max())
        )

    def _read(self, name):
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


def read_rgb(picture):
    """A picture file or Pillow image as uint8 ``[height, width, 3]``, upright. ValueError for one that is too large."""
    image = picture if isinstance(picture, Image.Image) else Image.open(picture)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{picture}: {image.width} x {image.height} pixels are too many; reduce it first")
    image.draft(None, (2 * SHORT_SIDE, 2 * SHORT_SIDE))  # JPEG: decode at a fraction of the size
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit grey
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) // 257).astype(np.uint8))
    image = image.convert("RGB")
    if min(image.size) > SHORT_SIDE:
        scale = SHORT_SIDE / min(image.size)
        image = image.resize([max(1, round(side * scale)) for side in image.size], Image.BILINEAR)
    return np.asarray(image)


def read_tensors(path):
    """A safetensors file: a length, a JSON header, the numbers."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    kinds = {"U8": np.uint8, "F32": np.float32}
    return {
        name: np.frombuffer(
            data[start + one["data_offsets"][0] : start + one["data_offsets"][1]], kinds[one["dtype"]]
        ).reshape(one["shape"])
        for name, one in json.loads(data[8:start]).items()
        if name != "__metadata__"
    }


def main():
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Classify pictures with the model of this folder.")
    parser.add_argument("pictures", nargs="*", help="picture files")
    parser.add_argument("--top", type=int, default=5, help="how many classes to name")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--check", action="store_true", help="check the files and the recorded outputs")
    asked = parser.parse_args()
    if not asked.pictures and not asked.check:
        parser.error("no picture given")
    if asked.top < 1:
        parser.error("--top: expected at least 1")
    try:
        model = Classifier()
        if asked.check:
            error, allowed = model.check()
            print(f"outputs differ from the recorded ones by at most {error:.3g} (allowed {allowed:.3g})")
            if not error <= allowed:
                return 5
        found = {str(path): model.classify(path, asked.top) for path in asked.pictures}
    except (OSError, ValueError, KeyError) as error:  # a missing, damaged or unreadable file
        print(f"run.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except ImportError as error:
        print(f"run.py: {error}; run: pip install onnxruntime numpy pillow", file=sys.stderr)
        return 2
    if asked.json:
        print(json.dumps({path: [{"label": name, "probability": p} for name, p in top] for path, top in found.items()}))
    else:
        for path, top in found.items():
            print(path + "".join(f"\n  {share:7.2%}  {name}" for name, share in top))
    return 0


if __name__ == "__main__":
    sys.exit(main())
