"""How good one subnet is with the supernet's present weights: extract, calibrate, run on held-out images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from natdeploy.data import Dataset, normalise
from natdeploy.ground.errors import BadInput
from natdeploy.runs.settings import AdaptSettings
from natdeploy.spaces.arch import Arch
from natdeploy.supernets import MobileNetV3Supernet, Subnet, calibrate, extract
from natdeploy.transfer.calibration import Calibration
from natdeploy.transfer.compute import placed
from natdeploy.transfer.memory import Say, nobody, within_memory

#: Images that go through a network at once, where memory suffices for so many.
AT_ONCE = 256


@dataclass(frozen=True)
class Accuracy:
    """Result on one split.

    Attributes:
        top1: share of images classified right, 0..1; with mirror images the mean of both shares.
        loss: mean cross entropy, of mirror images as well where these were asked for.
        images: how many images it was measured on, not counting their mirror images.
    """

    top1: float
    loss: float
    images: int


def calibrated_subnet(
    supernet: MobileNetV3Supernet,
    arch: Arch,
    dataset: Dataset,
    calibration: Calibration,
    *,
    say: Say = nobody,
) -> Subnet:
    """The stand-alone subnet with batch-norm statistics of training images at its resolution.

    Where memory is short, images go through in smaller batches, and ``say`` is told; the statistics are those of these
    batches then. Raises OutOfMemory where not even two images fit.
    """
    subnet = extract(supernet, arch)
    placed(subnet, _device(subnet))
    recalibrate(subnet, arch, dataset, calibration, varied_at=supernet.space.resolutions[-1], say=say)
    return subnet


def recalibrate(
    subnet: Subnet, arch: Arch, dataset: Dataset, calibration: Calibration, *, varied_at: int, say: Say = nobody
) -> None:
    """Give a subnet the batch-norm statistics of training images; it is in evaluation mode then.

    ``varied_at`` are the pixels at which its weights' training varied images. Short memory is dealt with as in
    :func:`calibrated_subnet`.
    """
    device = _device(subnet)
    within_memory(
        min(AT_ONCE, calibration.drawn(dataset)),
        lambda size: calibrate(subnet, calibration.batches(dataset, arch.r, size, device, varied_at=varied_at)),
        say,
        f"calibrating {arch.id}",
    )


def evaluate(
    network: nn.Module,
    arch: Arch,
    dataset: Dataset,
    *,
    split: str = "val",
    images: int | None = None,
    mirrored: bool = False,
    say: Say = nobody,
) -> Accuracy:
    """Accuracy on ``"train"``, ``"val"`` or ``"test"``, or on the split's first ``images``.

    With ``mirrored`` every image is shown twice, as it is and as its mirror image, and the mean of both is taken. The
    network may be any that takes images of ``arch``'s resolution; it is run as it is, in the mode that it is in.
    Short memory is dealt with as in :func:`calibrated_subnet`.
    """
    if split not in ("train", "val", "test"):
        raise BadInput(f"split must be train, val or test, not {split!r}")
    part = getattr(dataset, split)
    pixels, labels = part.at(arch.r)[:images], torch.from_numpy(part.labels[:images])
    device = _device(network)

    @torch.inference_mode()
    def run(size: int) -> Tensor:
        found = []
        for batch in _batches(pixels, dataset, device, size):
            views = (batch, batch.flip(3)) if mirrored else (batch,)
            found.append(torch.stack([network(view).float().cpu() for view in views]))
        return torch.cat(found, dim=1)  # [views, images, classes]

    logits, _ = within_memory(min(AT_ONCE, len(labels)), run, say, f"evaluating {arch.id}")
    return Accuracy(
        top1=(logits.argmax(2) == labels).double().mean().item(),
        loss=F.cross_entropy(logits.double().flatten(0, 1), labels.repeat(len(logits))).item(),
        images=len(labels),
    )


def evaluate_arch(
    supernet: MobileNetV3Supernet,
    arch: Arch,
    dataset: Dataset,
    calibration: Calibration,
    *,
    split: str = "val",
    images: int | None = None,
    mirrored: bool = False,
    say: Say = nobody,
) -> Accuracy:
    """Accuracy of one subnet with the supernet's present weights, as of :func:`evaluate`; the supernet is not changed.

    Short memory is dealt with as in :func:`calibrated_subnet`.
    """
    subnet = calibrated_subnet(supernet, arch, dataset, calibration, say=say)
    return evaluate(subnet, arch, dataset, split=split, images=images, mirrored=mirrored, say=say)


def shows_mirrored(adapt: AdaptSettings, dataset: Dataset) -> bool:
    """Whether a run's validation images are shown ``mirrored`` as well.

    Raises BadInput where training does not mirror images: a mirrored digit, say, may be of another class, or of none.
    """
    if adapt.validate_on == "plain":
        return False
    augmentation = dataset.augmentation if adapt.augmentation == "auto" else adapt.augmentation
    if not augmentation.endswith("-flip"):
        raise BadInput(
            f"adapt.validate_on is 'mirrored', but training does not mirror its images (augmentation {augmentation}), "
            "whose mirror images may be of another class; choose validate_on: plain, or another augmentation"
        )
    return True


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def _batches(images: np.ndarray, dataset: Dataset, device: torch.device, size: int) -> Iterator[Tensor]:
    for start in range(0, len(images), size):
        batch = torch.from_numpy(normalise(images[start : start + size], dataset.mean, dataset.std))
        yield batch.to(device, memory_format=torch.channels_last)
