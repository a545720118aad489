"""What natdeploy predicts with published measurements, told when they are imported."""

from __future__ import annotations

from collections.abc import Sequence

from natdeploy.devices import HardwareProfile
from natdeploy.latency.imported.kernels import RUNTIME, has_rules
from natdeploy.latency.transferred.sources import MIN_MEASURED
from natdeploy.measure.published import PublishedTiming


def imported_uses(profile: HardwareProfile, timings: Sequence[PublishedTiming]) -> tuple[str, ...]:
    """A sentence for each kind of measurements among those that were imported for a device."""
    kinds = {timing.kind for timing in timings}
    found = []
    if "block" in kinds:
        found.append(f"blocks: networks of Once-for-All's spaces on {profile.name} are predicted from them")
    if "network" in kinds:
        found.append(
            f"networks: where a space has {MIN_MEASURED} of them or more, timed one image at a time, they are the "
            f"predictor of {profile.name}; in any batch, other devices' predictors learn from them"
        )
    if "operator" in kinds:
        found.append(f"operators: {_operators(profile, timings)}")
    if "model" in kinds:
        found.append(
            "models: known by name alone; with the operators of the same networks, imported as well, they tell rates "
            "of a processor (one large core), or what a network takes beside the kernels of a graphics processor"
        )
    return tuple(found)


def _operators(profile: HardwareProfile, timings: Sequence[PublishedTiming]) -> str:
    if not any(timing.kind == "operator" and has_rules(timing) for timing in timings):
        return f"kept only; how another runtime than {RUNTIME} on a graphics processor joins layers is not known here"
    if profile.compute != "gpu":
        return (
            f"they say what networks are made of; as kernels of a graphics processor they do not serve {profile.name}, "
            "which computes on its processor: import them for a profile with compute: gpu"
        )
    return f"natdeploy estimate and search predict networks on {profile.name} from these kernels"
