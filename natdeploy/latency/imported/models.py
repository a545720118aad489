"""Latency models from published measurements that the user imported; each is trained once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from natdeploy.devices import HardwareProfile, device_fingerprint
from natdeploy.ground.errors import BadInput
from natdeploy.latency.imported.kept_models import kept_model
from natdeploy.latency.imported.kernels import imported_kernel_model
from natdeploy.latency.imported.networks import imported_network_models
from natdeploy.latency.imported.rates import imported_rates_model
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.published.table_fit import fit_table_model
from natdeploy.measure.published import Publication, PublishedTiming, published_folder, published_tables
from natdeploy.spaces import Space, get_space
from natdeploy.spaces.mobilenetv3 import MobileNetV3Space

#: Parts of networks that some publications leave out, and that others' work can price.
ASSUMED: tuple[tuple[str, ...], ...] = ((), ("pool",))


def imported_devices() -> list[str]:
    """Names of the hardware profiles that published measurements were imported for."""
    root = published_folder("host").parent
    return sorted(folder.name for folder in root.iterdir() if folder.is_dir()) if root.is_dir() else []


def imported_table_models(device: str, space: Space) -> list[LatencyModel]:
    """One model for each imported table of blocks from which networks of the space can be predicted."""
    found: list[LatencyModel] = []
    if not isinstance(space, MobileNetV3Space):  # other spaces' networks cannot be put together from blocks
        return found
    for table in published_tables(device):
        blocks = [timing for timing in table.timings if timing.kind == "block"]
        if not blocks:
            continue
        model = kept_model(
            device, space, table.key, partial(_of_table, blocks, space, device, table.origin.publication)
        )
        if model is not None:
            found.append(model)
    return found


def _of_table(
    blocks: Sequence[PublishedTiming], space: Space, device: str, publication: Publication
) -> LatencyModel | None:
    for assumed in ASSUMED:
        try:
            return fit_table_model(blocks, space, device=device, publication=publication, assumed=assumed)
        except BadInput:  # another space's blocks, or too few
            continue
    return None


def imported_models(profile: HardwareProfile, space: Space) -> list[LatencyModel]:
    """Models of a device from imported blocks, kernels, and networks that are of no space."""
    found = imported_table_models(profile.name, space)
    for find in (imported_kernel_model, imported_rates_model):
        if (model := find(profile, space)) is not None:
            found.append(model)
    return found


def imported_latency_model(profile: HardwareProfile, space: Space | str) -> LatencyModel | None:
    """The model of the device's imported measurements that predicts best what it was not trained on; None without one.

    Whole networks of the space count as well as what :func:`imported_models` makes of other measurements.
    """
    space = get_space(space) if isinstance(space, str) else space
    models = [*imported_models(profile, space), *imported_network_models(profile.name, space)]
    if not models:
        return None
    return replace(min(models, key=lambda model: model.quality.mape), device_fingerprint=device_fingerprint(profile))
