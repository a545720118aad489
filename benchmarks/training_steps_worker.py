"""One side of :mod:`benchmarks.training_steps`: takes steps as it is told, a line of JSON each.

    python benchmarks/training_steps_worker.py ofa|natdeploy FOLDER SEED THREADS

``ofa`` writes its random weights to ``FOLDER/state.pt``, and knows nothing of natdeploy; ``natdeploy`` reads them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CLASSES = 1000
LARGEST = 224
LR = 1e-3
CLIP = 5.0
Step = Callable[[Tensor, Tensor, list[Any]], float]


def ofa_step(folder: Path, seed: int) -> Step:
    """Once-for-All's network, trained as its progressive shrinking trains: subnets one by one, gradients added up."""
    from ofa_peer import _StandIn, shake

    sys.meta_path.insert(0, _StandIn())
    from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3

    torch.manual_seed(seed)
    space = {"width_mult": 1.0, "ks_list": [3, 5, 7], "expand_ratio_list": [3, 4, 6], "depth_list": [2, 3, 4]}
    supernet = OFAMobileNetV3(**space, dropout_rate=0)
    shake(supernet)
    torch.save({"state_dict": supernet.state_dict()}, folder / "state.pt")
    optimizer = torch.optim.SGD(supernet.parameters(), lr=LR, momentum=0.9, nesterov=True)

    def step(images: Tensor, labels: Tensor, students: list[Any]) -> float:
        supernet.train()
        optimizer.zero_grad()
        supernet.set_active_subnet(ks=7, e=6, d=4)
        logits = supernet(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        taught = logits.detach().softmax(1)
        for student in students:
            supernet.set_active_subnet(ks=student["ks"], e=student["e"], d=student["d"])
            F.cross_entropy(supernet(_resized(images, student["r"])), taught).backward()
        torch.nn.utils.clip_grad_norm_(supernet.parameters(), CLIP)
        optimizer.step()
        return loss.item()

    return step


def natdeploy_step(folder: Path) -> Step:
    """natdeploy's own step, the batch in one part."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from dataclasses import replace

    from natdeploy.spaces.arch import Arch
    from natdeploy.supernets import load_supernet
    from natdeploy.transfer.optimizer import set_learning_rate, sgd
    from natdeploy.transfer.replicas import Replicas
    from natdeploy.transfer.step import elastic_step

    supernet = load_supernet(folder / "state.pt").to(memory_format=torch.channels_last)
    space = supernet.space
    # the checkpoint's own training goes below the resolutions that are searched here
    space = supernet.space = replace(space, resolutions=tuple(range(128, LARGEST + 1, 4)))
    optimizer = sgd(supernet, weight_decay=0)
    set_learning_rate(optimizer, LR)
    side_by_side = Replicas(supernet, 1).__enter__()

    def step(images: Tensor, labels: Tensor, students: list[Any]) -> float:
        images = images.contiguous(memory_format=torch.channels_last)
        archs = []
        for student in students:
            active = [4 * stage + place for stage, depth in enumerate(student["d"]) for place in range(depth)]
            ks, e = (tuple(student[name][place] for place in active) for name in ("ks", "e"))
            archs.append(Arch(space.name, ks, e, tuple(student["d"]), student["r"], 1.0))
        settings = {"distillation": 1.0, "label_smoothing": 0.0, "clip": CLIP}
        return elastic_step(side_by_side, optimizer, images, labels, archs, **settings)

    return step


def _resized(images: Tensor, resolution: int) -> Tensor:
    if resolution == images.shape[-1]:
        return images
    return F.interpolate(images, size=(resolution, resolution), mode="bilinear", antialias=True, align_corners=False)


def main(who: str, folder: Path, seed: int, threads: int) -> None:
    """Answer until stdin ends."""
    torch.set_num_threads(threads)
    step = ofa_step(folder, seed) if who == "ofa" else natdeploy_step(folder)
    for line in sys.stdin:
        asked = json.loads(line)
        rng = np.random.default_rng([seed, asked["seed"]])
        images = torch.from_numpy(rng.standard_normal((asked["images"], 3, LARGEST, LARGEST), dtype=np.float32))
        labels = torch.from_numpy(rng.integers(CLASSES, size=asked["images"]))
        started, spent = time.perf_counter(), time.process_time()
        loss = step(images, labels, asked["students"])
        taken = {"seconds": time.perf_counter() - started, "processor_seconds": time.process_time() - spent}
        print(json.dumps({**taken, "loss": loss}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
