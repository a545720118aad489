"""A search of a real supernet on a few images of three shades, as small as they come."""

from pathlib import Path

import numpy as np
import torch

from natdeploy.runs import RunConfig
from natdeploy.spaces import get_space
from natdeploy.supernets import build_supernet, save_supernet


def small_run(folder: Path, *, images: int, classes: int, **search: object) -> RunConfig:
    """Writes images and a supernet of random weights; ``search`` replaces settings of the search."""
    rng = np.random.default_rng(0)
    labels = np.arange(images) % 3
    pixels = rng.integers(0, 120, (images, 12, 12, 3), dtype=np.uint8)
    pixels += (labels * 60).astype(np.uint8)[:, None, None, None]
    np.savez(folder / "shades.npz", images=pixels, labels=labels)
    torch.manual_seed(0)
    save_supernet(folder / "supernet.safetensors", build_supernet(get_space("mbv3-micro"), classes), {})
    sizes = {"iterations": 1, "population": 8, "surrogate_evaluations": 16}
    return RunConfig(
        data=str(folder / "shades.npz"),
        supernet=str(folder / "supernet.safetensors"),
        latency_ms=5.0,
        threads=1,
        search={**sizes, "surrogate": "ridge", **search},
        adapt={"warm_up_epochs": 1, "epochs_per_iteration": 1, "calibration_images": 20},
    )
