import numpy as np
import pytest

from natdeploy.data import Dataset, Split


@pytest.fixture(scope="session")
def stripes() -> Dataset:
    """A task that small networks learn in seconds: horizontal against vertical stripes, with noise."""
    rng = np.random.default_rng(0)

    def split(count: int) -> Split:
        labels = np.arange(count) % 2
        phase = rng.integers(4, size=count)
        wave = ((np.arange(32)[None] + phase[:, None]) // 2 % 2 * 160).astype(np.float64)
        images = np.where(labels[:, None, None] == 0, wave[:, None, :], wave[:, :, None])
        images = images[..., None] + rng.integers(0, 90, size=(count, 32, 32, 3))
        return Split(images.astype(np.uint8), labels.astype(np.int64))

    half = (0.5, 0.5, 0.5)
    return Dataset("stripes", ("across", "down"), split(160), split(40), split(40), half, half, "stripes")
