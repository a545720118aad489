"""What another number of classes makes of a latency that is known for the space's own number."""

from __future__ import annotations

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.latency.inputs.features import feature_names
from natdeploy.latency.inputs.gene_sums import Archs, feature_sums
from natdeploy.spaces import OperatorSpace, Space

#: What a multiply-add with a weight of its own takes, beside one whose weight is used again.
WEIGHT = 6.0


def class_factor(space: Space, archs: Archs, num_classes: int | None) -> np.ndarray:
    """Latency of networks with so many classes as a share of that with the space's own, float64 ``[n]``.

    In proportion to multiply-adds, of which those of a matrix times a vector count more, since each needs a weight of
    its own: a rough figure, but classes change the last layer alone, which is a small part of a network.

    Raises BadInput for a space whose networks have no list of layers to count in.
    """
    if num_classes in (None, space.num_classes):
        return np.ones(len(archs))
    if isinstance(space, OperatorSpace):
        raise BadInput(f"latency model of {space.name}: it cannot tell what {num_classes} classes take")
    price = np.zeros(len(feature_names()))
    price[[feature_names().index(name) for name in ("macs", "vector_macs")]] = 1, WEIGHT - 1
    asked, own = (feature_sums(space, classes)(archs) @ price for classes in (num_classes, space.num_classes))
    return np.asarray(asked / own)
