"""Where latency models are kept, and how they are found again: a device's own, or one from published measurements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from natdeploy.devices import HardwareProfile, device_fingerprint
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import cache_root
from natdeploy.latency.model import LatencyModel
from natdeploy.spaces import Space, get_space


def latency_model_path(profile: HardwareProfile, space: Space | str, runtime: str) -> Path:
    """File of the model for a device, a space and a runtime, whether or not it exists.

    Raises BadInput for a runtime that the device does not have.
    """
    if runtime not in profile.runtimes:
        known = ", ".join(profile.runtimes)
        raise BadInput(f"hardware profile {profile.name!r}: no runtime {runtime!r}; its runtimes are {known}")
    name = space if isinstance(space, str) else space.name
    return cache_root() / "latency_models" / device_fingerprint(profile) / name / f"{runtime}.json"


def find_latency_model(profile: HardwareProfile, space: Space | str, runtime: str) -> LatencyModel | None:
    """The stored model, or None where the device was not profiled for this space and runtime.

    Raises BadInput for an unknown runtime or space, and for a stored file that is damaged or belongs elsewhere.
    """
    path = latency_model_path(profile, space, runtime)
    if isinstance(space, str):
        space = get_space(space)
    if not path.exists():
        return None
    model = LatencyModel.load(path, space)
    if (model.runtime, model.device_fingerprint) != (runtime, device_fingerprint(profile)):
        raise BadInput(
            f"{path}: latency model of device {model.device!r} and runtime {model.runtime!r}, expected "
            f"{profile.name!r} and {runtime!r}; profile again"
        )
    return model


def shipped_latency_model(profile: HardwareProfile, space: Space | str) -> LatencyModel | None:
    """The model that natdeploy ships for a device, made from published measurements of devices of that name.

    None where there is none. Its runtime is the publication's, which need not be one that natdeploy can run.
    """
    name = space if isinstance(space, str) else space.name
    path = Path(__file__).parent / "shipped" / profile.name / f"{name}.json"
    if not path.is_file():
        return None
    return replace(LatencyModel.load(path, space), device_fingerprint=device_fingerprint(profile))
