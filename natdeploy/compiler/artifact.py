"""A file that a runner can run, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Artifact:
    """One built model.

    Attributes:
        kind: ``"onnx"`` (an ONNX file), ``"native"`` (a library with the C interface of ``natdeploy.h``),
            ``"archive"`` (the same as a static library) or ``"executable"`` (``model_run``).
        path: the file.
        digest: SHA-256 of the file.
        input_shape: ``(1, channels, height, width)`` of the float32 image, or the shape of the first input.
        output_shape: ``(1, classes)`` of the float32 logits, or the shape of the first output.
        toolchain: versions of what built it.
    """

    kind: str
    path: Path
    digest: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    toolchain: Mapping[str, str] = field(default_factory=dict)
