"""A wide, dense network whose predictions guide a supernet's training.

Dense convolutions train fast for their size on CPU and GPU alike, so a few epochs of one cost little beside those of a
supernet and its predictions say more than labels do (Hinton et al. 2015). The network and its recipe follow airbench94
(Jordan 2024, arXiv 2404.00498): frozen whitening filters, identity initialisation, few and large steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from natdeploy.data import Dataset, normalise
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key, write_bytes
from natdeploy.transfer.batches import TrainingBatches
from natdeploy.transfer.compute import autocast, compute_device, keep_freed_memory, placed
from natdeploy.transfer.memory import train_within_memory
from natdeploy.transfer.optimizer import set_learning_rate
from natdeploy.transfer.step import TrainingDiverged

BATCH_SIZE = 512
#: Of the loss summed over a batch; biases of batch norm take 64 times it.
PEAK_LR = 1.5e-3
WEIGHT_DECAY = 1e-3
_WIDTHS = (64, 256, 256)
_WHITENING_IMAGES, _WHITENED_AT_ONCE = 5000, 250


class TeacherNetwork(nn.Module):
    """Input ``[N, 3, r, r]`` with ``r`` of 16 or more, output ``[N, classes]`` logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad = False
        stages, in_c = [], 24
        for out_c in _WIDTHS:
            stages.append(_stage(in_c, out_c))
            in_c = out_c
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(in_c, classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits in float32."""
        with autocast(images.device):
            features = self.stages(F.gelu(self.whiten(images)))
            logits: Tensor = self.head(features.amax((2, 3))) / 9
        return logits.float()

    @torch.no_grad()
    def whiten_patches(self, images: Tensor) -> None:
        """Set the first layer to the principal components of 2x2 patches, and their negatives."""
        products, count = torch.zeros(12, 12, dtype=torch.float64, device=images.device), 0
        for some in images.split(_WHITENED_AT_ONCE):  # in float64 the patches take eight times the images' memory
            patches = F.unfold(some, 2).transpose(1, 2).reshape(-1, 12).double()
            products += patches.T @ patches
            count += len(patches)
        values, vectors = torch.linalg.eigh(products / count)
        filters = (vectors / (values + 5e-4).sqrt()).T.reshape(12, 3, 2, 2).float()
        self.whiten.weight.copy_(torch.cat([filters, -filters]))
        nn.init.zeros_(self.whiten.bias)  # type: ignore[arg-type]


def _stage(in_c: int, out_c: int) -> nn.Sequential:
    first, second = (nn.Conv2d(c, out_c, 3, padding=1, bias=False) for c in (in_c, out_c))
    for conv in (first, second):
        nn.init.dirac_(conv.weight[: conv.in_channels])
    return nn.Sequential(first, nn.MaxPool2d(2), _BiasNorm(out_c), nn.GELU(), second, _BiasNorm(out_c), nn.GELU())


class _BiasNorm(nn.BatchNorm2d):
    """Batch norm that learns a bias only."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, momentum=0.4, eps=1e-6)
        self.weight.requires_grad = False


def trained_teacher(
    dataset: Dataset,
    resolution: int,
    epochs: int,
    path: Path,
    *,
    augmentation: str,
    seed: int,
    progress: Callable[[str, float], None] | None = None,
) -> TeacherNetwork:
    """The teacher in ``path``, trained there first if need be; frozen, in evaluation mode.

    Raises:
        BadInput: the file is damaged, or a teacher of other images or settings.
        TrainingDiverged: the loss is not a number.
    """
    device = compute_device()
    asked = {"data": dataset.fingerprint, "resolution": resolution, "epochs": epochs}
    key = content_key({**asked, "augmentation": augmentation, "seed": seed})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = placed(TeacherNetwork(len(dataset.classes)), device)
    if path.exists():
        network.load_state_dict(_read(path, key))
    else:
        _train(network, dataset, resolution, epochs, augmentation, seed, device, progress)
        state = {name: value.contiguous() for name, value in network.state_dict().items()}
        write_bytes(path, save(state, {"key": key}))
    return network.eval().requires_grad_(False)


def _read(path: Path, key: str) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("key") != key:
                raise BadInput(f"{path}: not a teacher of these images and settings; choose another folder")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: not a readable teacher ({error}); remove it to train another") from None


def _train(
    network: TeacherNetwork,
    dataset: Dataset,
    resolution: int,
    epochs: int,
    augmentation: str,
    seed: int,
    device: torch.device,
    progress: Callable[[str, float], None] | None,
) -> None:
    keep_freed_memory()
    some = normalise(dataset.train.at(resolution)[:_WHITENING_IMAGES], dataset.mean, dataset.std)
    network.whiten_patches(torch.as_tensor(some).to(device))
    batches = TrainingBatches.of(dataset, resolution, BATCH_SIZE, augmentation)
    biases = [module.bias for module in network.modules() if isinstance(module, _BiasNorm)]
    others = [p for p in network.parameters() if p.requires_grad and all(p is not bias for bias in biases)]
    optimizer = torch.optim.SGD(others, lr=PEAK_LR, momentum=0.85, nesterov=True, weight_decay=WEIGHT_DECAY / PEAK_LR)
    for_biases = torch.optim.SGD(biases, lr=PEAK_LR, momentum=0.85, nesterov=True)
    network.train()
    for epoch in range(epochs):

        def train(batches: TrainingBatches, epoch: int = epoch) -> None:
            rng = np.random.default_rng([seed, epoch])
            for step, (images, labels) in enumerate(batches.epoch(rng, device)):
                done = (epoch + step / len(batches)) / epochs
                rate = PEAK_LR * triangle(done)
                set_learning_rate(optimizer, rate)
                set_learning_rate(for_biases, 64 * rate)
                loss = F.cross_entropy(network(images), labels, reduction="sum")
                if not math.isfinite(loss.item()):
                    raise TrainingDiverged("training the teacher diverged")
                optimizer.zero_grad()
                for_biases.zero_grad()
                loss.backward()
                optimizer.step()
                for_biases.step()
                if progress and step % 10 == 0:
                    progress(f"teacher: epoch {epoch + 1}/{epochs}, loss {loss.item() / len(labels):.3f}", done)

        def say(what: str, epoch: int = epoch) -> None:
            if progress:
                progress(f"teacher: {what}", epoch / epochs)

        _, batches = train_within_memory(batches, train, say, "training")


def triangle(done: float) -> float:
    """Share of the peak learning rate after ``done`` (0..1) of the steps: from .2 up to 1 at .23, down to .07."""
    return 0.2 + 0.8 * done / 0.23 if done < 0.23 else 1 - 0.93 * (done - 0.23) / 0.77
