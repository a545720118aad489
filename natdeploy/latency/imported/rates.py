"""A device's processor from published whole networks of which only names are known, and from lists of their operators.

mobile-ml-benchmark times whole networks on a phone's cores, and lists the operators of the same networks where its
graphics processor ran them: together they give the processor's rates, as those of the predictors that natdeploy ships.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from natdeploy.devices import HardwareProfile
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key
from natdeploy.latency.imported.kept_models import kept_model
from natdeploy.latency.imported.kernels import FORMAT, RUNTIME
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.published.networks import MIN_NETWORKS, fit_published_networks, operator_lists
from natdeploy.measure.published import PublishedTiming, published_folder, published_tables
from natdeploy.spaces import Layer, Space

#: What is like natdeploy's own timings of a phone: one large core, float32.
SETTING = "1large float"
#: Published networks are for images of 224 pixels; what is far smaller is not like them.
LEAST_PX = 96


def imported_rates_model(profile: HardwareProfile, space: Space) -> LatencyModel | None:
    """Trained once and kept.

    None where networks and lists of their operators were not both imported for a processor, where they are too few, or
    where the space's images are small.
    """
    files = sorted(published_folder(profile.name).glob(f"{FORMAT}-*.json"))
    if not files or profile.compute != "cpu" or min(space.resolutions) < LEAST_PX:
        return None
    key = content_key([file.name for file in files])[:16]
    return kept_model(profile.name, space, f"rates-{key}", lambda: _learned(profile, space))


def _learned(profile: HardwareProfile, space: Space) -> LatencyModel | None:
    tables = [table for table in published_tables(profile.name) if table.origin.format == FORMAT]
    layers = known_lists([timing for table in tables for timing in table.timings])
    networks: dict[str, list[PublishedTiming]] = defaultdict(list)
    for timing in (timing for table in tables for timing in table.timings):
        if (timing.kind, timing.runtime, timing.setting) == ("model", RUNTIME, SETTING) and timing.what[
            "model"
        ] in layers:
            networks[timing.device].append(timing)
    timings = max(networks.values(), key=len, default=[])
    if len(timings) < MIN_NETWORKS:
        return None
    origin = next(table.origin for table in tables if timings[0] in table.timings)
    publication = replace(origin.publication, runtime=f"{RUNTIME}, {SETTING}")
    return fit_published_networks(timings, layers, space, device=profile.name, publication=publication)


def known_lists(timings: list[PublishedTiming]) -> dict[str, tuple[Layer, ...]]:
    """Layers of each model whose operators are all known."""
    operators: dict[str, list[PublishedTiming]] = defaultdict(list)
    for timing in timings:
        if timing.kind == "operator" and timing.runtime == RUNTIME:
            operators[str(timing.what["model"])].append(timing)
    found: dict[str, tuple[Layer, ...]] = {}
    for own in operators.values():
        try:
            found |= operator_lists(own)
        except BadInput:  # an operator that rates are not known for: the network cannot be learned from
            continue
    return found
