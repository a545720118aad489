"""An ONNX file as LiteRT's own format, in an environment that has TensorFlow.

    python benchmarks/litert_convert.py MODEL.onnx FOLDER

Writes ``FOLDER/model_float32.tflite`` with onnx2tf. Hard sigmoids become ``relu6(x + 3) / 6`` before, as in
TensorFlow's own MobileNetV3: LiteRT has no operator for them, and what onnx2tf writes instead XNNPACK cannot run, so
that the network would fall into a dozen pieces.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper


def spell_out_hard_sigmoids(model: onnx.ModelProto) -> None:
    """In place. Nodes with any other slope and offset than MobileNetV3's are refused."""
    numbers = {"natdeploy_three": 3.0, "natdeploy_zero": 0.0, "natdeploy_six": 6.0, "natdeploy_sixth": 1 / 6}
    graph, nodes = model.graph, []
    for node in graph.node:
        if node.op_type != "HardSigmoid":
            nodes.append(node)
            continue
        slope, offset = ({a.name: a.f for a in node.attribute}.get(name) for name in ("alpha", "beta"))
        if slope is None or abs(slope - 1 / 6) > 1e-6 or (offset is not None and offset != 0.5):
            raise SystemExit(f"node {node.name!r}: a hard sigmoid of slope {slope} and offset {offset}")
        three, zero, six, sixth = numbers
        (x,), (y,) = node.input, node.output
        nodes += [
            helper.make_node("Add", [x, three], [f"{y}.shifted"]),
            helper.make_node("Clip", [f"{y}.shifted", zero, six], [f"{y}.clipped"]),
            helper.make_node("Mul", [f"{y}.clipped", sixth], [y]),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(np.float32(value), name) for name, value in numbers.items())


def main(source: Path, folder: Path) -> None:
    """Convert."""
    folder.mkdir(parents=True, exist_ok=True)
    model = onnx.load(source)
    spell_out_hard_sigmoids(model)
    onnx.save(model, folder / "model.onnx")
    os.chdir(folder)
    # onnx2tf compares layouts on sample pictures, which it would fetch from the network.
    pictures = np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
    np.save("calibration_image_sample_data_20x128x128x3_float32.npy", pictures)
    # Called from Python it takes three times as long.
    command = [str(Path(sys.executable).with_name("onnx2tf")), "-i", "model.onnx", "-o", ".", "-n", "-nuo"]
    sys.exit(subprocess.run(command, stdout=sys.stderr).returncode)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
