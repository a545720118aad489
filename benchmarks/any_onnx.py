"""Networks that natdeploy did not make, from ONNX to a compiled library: right answers, and the same as ONNX Runtime's.

    python benchmarks/any_onnx.py [--json] [--seed S] [--quick] [--data FOLDER]

MobileNetV3-Large minimalistic with Google's ImageNet weights classifies the ImageNet sample (``weights`` and
``imagenet_sample`` in ``../shared/data`` beside the checkout, or in FOLDER): ``top1``, and ``argmax_agreement``, the
share of images on which the compiled library and torch name the same class, images apart where torch itself hardly
prefers one. ResNet-18, EfficientNet-B0 and a ViT-Tiny with random weights: the largest difference from ONNX Runtime on
three random images, relative to the largest output. ``--quick`` takes 40 of the images and leaves the last two out.
"""

from __future__ import annotations

import io
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
DATA = CHECKOUT.parent / "shared" / "data"
RESOLUTION, SHORT_SIDE, QUICK_IMAGES = 224, 256, 40
#: Two classes whose logits torch computes closer together than this may change places.
TIE = 1e-4


def measure(data: Path, *, seed: int, quick: bool) -> dict[str, Any]:
    """Export, compile, compare. Raises BadInput where the data is not there."""
    import torch

    from benchmarks import onnx_networks
    from benchmarks.environment import environment

    torch.set_num_threads(1)
    random = {"resnet18": onnx_networks.resnet18}
    if not quick:
        random |= {"efficientnet_b0": onnx_networks.efficientnet_b0, "vit_tiny": onnx_networks.VitTiny}
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="any_onnx.") as temporary:
        folder = Path(temporary)
        figures |= pretrained(data, folder, quick=quick)
        for name, make in random.items():
            torch.manual_seed(seed)
            exported = export(onnx_networks.randomise(make(), seed), folder / f"{name}.onnx")
            figures[f"{name}_rel_error"] = compiled(exported).verified.max_rel_error
    about = {"data": "ImageNet sample, one training image per class; random images for random weights"}
    return {
        "benchmark": "any_onnx",
        "figures": figures,
        "environment": {**environment(seed=seed, quick=quick), **about},
    }


def pretrained(data: Path, folder: Path, *, quick: bool) -> dict[str, float]:
    """Accuracy of the compiled MobileNetV3, and how often it agrees with torch."""
    import torch

    from benchmarks.onnx_networks import MobileNetV3Minimalistic
    from natdeploy.devices.native_model import NativeModel

    images, labels = sample(data / "imagenet_sample" / "images.npz", QUICK_IMAGES if quick else None)
    network = MobileNetV3Minimalistic(data / "weights").eval()
    result = compiled(export(network, folder / "mobilenet.onnx"))
    right = agreed = ties = 0
    with NativeModel(result.out / result.artifacts["native"]) as model, torch.no_grad():
        for image, label in zip(images, labels):
            x = image[None]
            expected = network(torch.from_numpy(x)).numpy()[0, 1:]  # without the background
            found = model.run([x])[0][0, 1:]
            first, second = np.sort(expected)[[-1, -2]]
            tie = first - second < TIE and found.argmax() != expected.argmax()
            ties += tie
            agreed += found.argmax() == expected.argmax() or tie
            right += found.argmax() == label
    return {
        "top1": float(right / len(labels)),
        "argmax_agreement": float(agreed / len(labels)),
        "ties": int(ties),
        "images": len(labels),
        "mobilenet_rel_error": result.verified.max_rel_error,
    }


def sample(path: Path, count: int | None) -> tuple[Any, np.ndarray]:
    """Images float32 ``[3, 224, 224]`` one after another (centre crops, Google's normalisation), and their classes."""
    from PIL import Image

    from natdeploy.ground.errors import BadInput

    try:
        stored = np.load(path)
        blob, offsets, labels = stored["blob"], stored["off"], stored["label"].astype(np.int64)
    except (OSError, KeyError, ValueError) as error:
        raise BadInput(f"{path}: no readable ImageNet sample: {error}") from None
    chosen = np.arange(len(labels)) if count is None else np.linspace(0, len(labels) - 1, count).astype(int)

    def image(index: int) -> np.ndarray:
        picture = Image.open(io.BytesIO(blob[offsets[index] : offsets[index + 1]].tobytes())).convert("RGB")
        scale = SHORT_SIDE / min(picture.size)
        if scale != 1:
            picture = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.BICUBIC)
        left, top = ((side - RESOLUTION) // 2 for side in picture.size)
        pixels = np.asarray(picture.crop((left, top, left + RESOLUTION, top + RESOLUTION)), np.float32)
        return np.ascontiguousarray(((pixels - 128) * np.float32(0.007874015718698502)).transpose(2, 0, 1))

    return map(image, chosen), labels[chosen]


def export(network: Any, path: Path) -> Path:
    """A torch module for one image as ONNX."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own future
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, RESOLUTION, RESOLUTION),),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["logits"],
        )
    print(f"{path.stem}: exported", file=sys.stderr, flush=True)
    return path


def compiled(path: Path) -> Any:
    """The model compiled for this machine beside its file."""
    from natdeploy import verbs

    result = verbs.compile(path, out=path.parent / path.stem)
    if result.verified is None:
        raise SystemExit(f"any_onnx: {path.stem} was not verified: {result.not_verified}")
    print(f"{path.stem}: differs from ONNX Runtime by {result.verified.max_rel_error:.2g}", file=sys.stderr, flush=True)
    return result


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import answer, parser_of

    parser = parser_of(__doc__, quick="few images and two networks", seed="of random weights")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with weights/ and imagenet_sample/")
    options = parser.parse_args()
    answer(parser, lambda: measure(options.data, seed=options.seed, quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    main()
