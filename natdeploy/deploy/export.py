"""A subnet's way out without a run: an architecture, a checkpoint's weights and images make a checked ONNX file.

The folder holds:

    model.onnx        float32, static shapes, one image at a time
    preprocess.json   what to do with a picture
    labels.json       class names, index by index
    subnet.json       the architecture, in the field's own form
    net.config        the same layer by layer, as Once-for-All and NAT publish networks; where their files can say it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from natdeploy.data import Dataset
from natdeploy.deploy.accuracy import accuracy_of
from natdeploy.deploy.artifacts import allowed_error, compare, run_in_child
from natdeploy.deploy.known_images import known_images
from natdeploy.deploy.verify import LABELS, PREPROCESS, SUBNET
from natdeploy.ground.files import write_json
from natdeploy.spaces import Arch, costs
from natdeploy.spaces.mobilenetv3 import MobileNetV3Space
from natdeploy.spaces.published import PublishedNet, write_config

ONNX, CONFIG = "model.onnx", "net.config"
#: All that an export may consist of.
FILES = (ONNX, PREPROCESS, LABELS, SUBNET, CONFIG)


@dataclass(frozen=True)
class Exported:
    """An exported subnet.

    Attributes:
        files: names in the folder.
        num_classes: outputs.
        macs, params: of one image's inference.
        max_abs_error, allowed: largest difference of a logit from the torch module's on real images, and what passes.
        images: how many images that was on.
        normalised_as: whose mean and standard deviation images are normalised with.
        same_division: whether the weights were trained on this very division of the images, whose test part is then new
            to them; None where the checkpoint does not tell.
        test_top1: of the ONNX file on the images' test part, a share; None where their classes are not the weights'.
        test_standard_error, test_images: of that; None and 0 where there is none.
    """

    files: tuple[str, ...]
    num_classes: int
    macs: int
    params: int
    max_abs_error: float
    allowed: float
    images: int
    normalised_as: str
    same_division: bool | None
    test_top1: float | None
    test_standard_error: float | None
    test_images: int


def export_subnet(
    arch: Arch,
    supernet: str,
    dataset: Dataset,
    folder: Path,
    *,
    calibration_images: int = 1000,
    seed: int = 0,
    progress: Callable[[str, float], None] = lambda what, fraction: None,
) -> Exported:
    """Take a subnet out of a checkpoint, calibrate its batch norm, write it, hold the file against the torch module.

    Args:
        arch: the architecture, of the checkpoint's space.
        supernet: a checkpoint: natdeploy's or Once-for-All's, a path or an address; ``"box"`` for the shipped one.
        dataset: training images calibrate, validation images check; test images judge where classes are the weights'.
        folder: exists, and is written into.
        calibration_images, seed: see :class:`natdeploy.transfer.Calibration`; images are varied as in the weights'
            training, where the checkpoint tells, else as suits the data set.
        progress: told what goes on, and the fraction done, 0 to 1.

    Raises:
        BadInput: an unreadable checkpoint.
        VerificationFailed: the file computes something else than the torch module.
    """
    from natdeploy.compiler import build_onnx
    from natdeploy.deploy.candidate import reference_of, runnable_of
    from natdeploy.supernets import load_supernet, read_supernet_header, to_network
    from natdeploy.transfer import Calibration, calibrated_subnet

    weights = load_supernet(supernet)
    known = known_images(dataset, read_supernet_header(supernet), supernet)
    dataset = known.dataset
    progress(f"calibrating {arch.id}", 0.1)
    calibration = Calibration(calibration_images, dataset.augmentation, seed)
    subnet = calibrated_subnet(weights, arch, dataset, calibration, say=lambda what: progress(what, 0.1))
    progress("writing the ONNX file", 0.3)
    artifact = build_onnx(to_network(subnet), folder)
    progress("checking the ONNX file", 0.5)
    reference = reference_of(subnet, dataset, arch.r)
    outputs = run_in_child("onnxruntime", runnable_of(artifact), reference.inputs)
    error = compare(outputs, reference.outputs, name=artifact.path.name)
    write_json(folder / PREPROCESS, dataset.preprocessing(arch.r).to_json())
    write_json(folder / LABELS, list(dataset.classes))
    write_json(folder / SUBNET, arch.to_json())
    if isinstance(weights.space, MobileNetV3Space):
        write_config(folder / CONFIG, PublishedNet(arch, weights.num_classes))
    accuracy = None
    if known.judged:
        progress("measuring on test images", 0.7)
        runnable, whose = runnable_of(artifact), "the checkpoint's weights"
        accuracy = accuracy_of("onnxruntime", runnable, dataset, "test", arch.r, whose)
    about = costs(weights.space.layers(arch, weights.num_classes))
    return Exported(
        files=tuple(sorted(path.name for path in folder.iterdir())),
        num_classes=weights.num_classes,
        macs=about.macs,
        params=about.params,
        max_abs_error=error,
        allowed=allowed_error(reference.outputs),
        images=len(outputs),
        normalised_as="these images'" if known.own_statistics else "the checkpoint's",
        same_division=known.same_division,
        test_top1=accuracy.top1 if accuracy else None,
        test_standard_error=accuracy.standard_error if accuracy else None,
        test_images=accuracy.images if accuracy else 0,
    )
