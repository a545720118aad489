from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import calibration
from natdeploy.ground.errors import BadInput

needs_images = pytest.mark.skipif(not calibration.IMAGES.is_dir(), reason="CIFAR-10 is not beside the checkout")


@needs_images
def test_varied_images_calibrate_better() -> None:
    found = calibration.measure(calibration.IMAGES, seed=0, quick=True)
    figures = found["figures"]
    assert found["environment"]["test_images"] == 500 and figures["subnets"] == 4
    assert figures["same_division"] == 1  # these are the images that the weights were trained on
    assert figures["random_points"] > 0
    assert figures["least_points"] < figures["most_points"] and figures["random"] == 2
    assert 0.7 < figures["smallest_top1"] < figures["largest_top1"] < 0.95


def test_images_of_other_classes_are_refused(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels, label=np.arange(60) % 3)
    with pytest.raises(BadInput, match="its classes are not the supernet's: airplane"):
        calibration.measure(tmp_path, seed=0, quick=True)
