"""Models from imported measurements: trained once and kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from natdeploy.ground.files import cache_root
from natdeploy.latency.model import LatencyModel
from natdeploy.spaces import Space

Found = TypeVar("Found", LatencyModel, "LatencyModel | None")


def kept_model(device: str, space: Space, name: str, learn: Callable[[], Found]) -> LatencyModel | Found:
    """A device's model of a space.

    Args:
        device: name of the hardware profile.
        space: of the networks.
        name: stands for what is learned from.
        learn: makes the model, or finds that there is none.

    Raises BadInput for a kept file that is damaged.
    """
    path = cache_root() / "published_models" / device / space.name / f"{name}.json"
    if path.is_file():
        return LatencyModel.load(path, space)
    model = learn()
    if model is not None:
        model.save(path)
    return model
