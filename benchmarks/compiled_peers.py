"""The runtimes that :mod:`benchmarks.compiled` compares with: what each needs, and how it gets a network.

Versions are the newest that work together; each runtime has an environment of its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import peer_folder, peer_python

if TYPE_CHECKING:
    from benchmarks.subnets import RandomSubnet

CHECKOUT = Path(__file__).resolve().parents[1]
NUMPY = "numpy==2.4.6"
#: What makes ``.tflite`` files of ONNX files; some 2 GB, used for that only.
LITERT_CONVERTER = (
    NUMPY,
    "tensorflow-cpu==2.21.0",
    "tf-keras==2.21.0",
    "onnx2tf==1.28.8",
    "onnx==1.19.1",
    "onnxruntime==1.32.0",
    "onnx-graphsurgeon==0.6.1",
    "sng4onnx==2.0.1",
    "psutil==7.2.2",
    "ai-edge-litert==2.3.0",
)
_CONVERT_LIMIT_S = 900.0


def same_file(subnet: RandomSubnet, onnx: Path, python: Path) -> Path:
    """For a runtime that reads ONNX."""
    return onnx


def with_pnnx(subnet: RandomSubnet, onnx: Path, python: Path) -> Path:
    """For ncnn: ``pnnx`` writes ``.param`` and ``.bin`` beside the ONNX file. Weights stay float32."""
    program = next((python.parents[1] / "lib").glob("python*/site-packages/pnnx/pnnx"))
    shape = ",".join(map(str, subnet.image.shape))
    _convert("ncnn", [str(program), onnx.name, f"inputshape=[{shape}]", "fp16=0"], onnx.parent)
    return onnx.with_suffix(".ncnn.param")


def with_onnx2tf(subnet: RandomSubnet, onnx: Path, python: Path) -> Path:
    """For LiteRT: see :mod:`benchmarks.litert_convert`.

    Subnets with many 7 x 7 depthwise layers are slow there, with the padding in the operator or apart; it seems that
    XNNPACK computes them without a kernel of that size (inferred from their times, not read in its source). LiteRT's
    own kernels take less time for these layers, and more for whole subnets, so XNNPACK stays the better setting.
    """
    converter = peer_python("litert-converter", LITERT_CONVERTER)
    folder = onnx.parent / "litert"
    script = CHECKOUT / "benchmarks" / "litert_convert.py"
    _convert("litert", [str(converter), str(script), str(onnx), str(folder)], onnx.parent)
    return folder / "model_float32.tflite"


def with_torch_export(subnet: RandomSubnet, onnx: Path, python: Path) -> Path:
    """For torch: the module itself, batch norms and all, as an exported program; freezing folds them."""
    import torch

    path = onnx.with_suffix(".pt2")
    torch.export.save(torch.export.export(subnet.module, (torch.from_numpy(subnet.image),)), str(path))
    return path


@dataclass(frozen=True)
class Peer:
    """A runtime.

    Attributes:
        requirements: what pip installs, and ``without_dependencies`` what it installs without its dependencies.
        convert: the file the runtime loads, from the subnet, its ONNX file and the environment's interpreter.
        slow: takes minutes to prepare a network.
    """

    requirements: tuple[str, ...]
    convert: Callable[[RandomSubnet, Path, Path], Path]
    without_dependencies: tuple[str, ...] = ()
    slow: bool = False

    def python(self, name: str) -> Path:
        """Its interpreter, installed if need be. Raises BadInput naming the peer."""
        from natdeploy.ground.errors import BadInput

        try:
            if self.convert is with_onnx2tf:
                peer_python("litert-converter", LITERT_CONVERTER)
            return peer_python(name, self.requirements, without_dependencies=self.without_dependencies)
        except BadInput as error:
            raise BadInput(f"peer {name}: {error}; leave it out with --without {name}") from None

    def installed(self, name: str) -> bool:
        """Whether nothing would have to be installed."""
        folders = [peer_folder(name, self.requirements, self.without_dependencies)]
        if self.convert is with_onnx2tf:
            folders.append(peer_folder("litert-converter", LITERT_CONVERTER))
        return all((folder / "complete").exists() for folder in folders)


PEERS = {
    "onnxruntime": Peer((NUMPY, "onnxruntime==1.32.0"), same_file),
    "openvino": Peer((NUMPY, "openvino==2026.4.1"), same_file),
    "litert": Peer((NUMPY, "ai-edge-litert==2.3.0"), with_onnx2tf),
    "ncnn": Peer((NUMPY, "ncnn==1.0.20261020"), with_pnnx, without_dependencies=("pnnx==20261020",)),
    "torch": Peer((NUMPY, "torch==2.13.0"), with_torch_export, slow=True),
}


def _convert(peer: str, command: list[str], folder: Path) -> None:
    """Run a converter. Raises BadInput naming the peer and saying what the converter said last."""
    from natdeploy.ground.errors import BadInput

    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_CONVERT_LIMIT_S)
    except subprocess.TimeoutExpired:
        raise BadInput(f"peer {peer}: its converter was not done after {_CONVERT_LIMIT_S:g} s") from None
    if done.returncode:
        print(done.stderr[-4000:], file=sys.stderr)
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BadInput(f"peer {peer}: its converter failed: {last[:200]}; leave it out with --without {peer}")
