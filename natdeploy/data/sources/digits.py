"""1,797 real handwritten digits that come with scikit-learn (UCI ML repository, test set of 43 writers)."""

from __future__ import annotations

import numpy as np

from natdeploy.data.labelled import Labelled, SourceData
from natdeploy.ground.errors import BadInput


def read_digits(text: str = "") -> SourceData:
    """Grey 8 x 8 images of values 0 to 16, as uint8 RGB."""
    if text:
        raise BadInput(f"data 'digits:{text}': digits takes no argument; write digits")
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    images = np.repeat(grey[..., None], 3, axis=3)
    classes = tuple(str(name) for name in digits.target_names)
    return SourceData("digits", "digits", classes, {"train": Labelled(images, digits.target.astype(np.int64))})
