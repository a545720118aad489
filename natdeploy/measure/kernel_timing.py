"""Time chains of a few layers: single kernels and pairs, as a runtime runs them, with a tail that ends in a vector.

A chain is stored like a network, in role ``kernel``, without an architecture; what was timed stands in its conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from natdeploy.devices import HardwareProfile, Runnable
from natdeploy.devices.units import Access
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key
from natdeploy.measure.batch import Batch
from natdeploy.measure.builds import ArtifactBuilder, reference_arch, scratch_folder
from natdeploy.measure.measurement import Measurement
from natdeploy.measure.protocol import TimingProtocol
from natdeploy.measure.store import MeasurementStore
from natdeploy.measure.timing import Stand
from natdeploy.spaces import Layer, Space

Progress = Callable[[str, float], None]
Chain = tuple[Layer, ...]
#: Chains that are timed, and stored, together.
_TOGETHER = 24


def time_chains(
    chains: Sequence[Chain],
    *,
    space: Space,
    profile: HardwareProfile,
    runtime: str,
    protocol: TimingProtocol | None = None,
    store: MeasurementStore | None = None,
    progress: Progress | None = None,
    access: Access | None = None,
) -> list[Measurement]:
    """Time chains of layers on a device, in turn with a space's reference network; what is stored is not timed again.

    Args:
        chains: layers each, of which the last gives a vector.
        space: whose reference network is timed in between.
        others: as for :func:`natdeploy.measure.time_archs`.

    Returns one measurement for each chain, in their order. Raises as :func:`natdeploy.measure.time_archs` does.
    """
    stand = Stand.of(space, profile, runtime, protocol, store, access or Access())
    found = stored_chains(stand)
    missing = list({chain_key(chain): chain for chain in chains if chain_key(chain) not in found}.values())
    if missing:
        builder = _ChainBuilder(space, profile, runtime)
        batches = [missing[start : start + _TOGETHER] for start in range(0, len(missing), _TOGETHER)]

        def tell(what: str) -> None:
            if progress is not None:
                done = sum(chain_key(chain) in found for chain in chains)
                progress(f"{what} kernels with {runtime}", done / len(chains))

        with scratch_folder() as folder:

            def reference() -> Runnable:
                builder.prepare([*missing, reference_arch(space)])  # type: ignore[list-item]  # see _ChainBuilder
                return builder.reference(folder / "reference")

            work = [
                Batch((None,) * len(batch), partial(builder.build_all, batch, folder / str(number)))  # type: ignore[arg-type]
                for number, batch in enumerate(batches)
            ]
            # Units of a device may finish batches in another order than they were given in.
            numbers = {id(batch): number for number, batch in enumerate(work)}
            for timed in stand.time(work, reference, tell):
                taken = []
                for place, chain in enumerate(batches[numbers[id(timed.batch)]]):
                    item = stand.measurement(timed, place, role="kernel", num_classes=None, occurrence=0)
                    taken.append(replace(item, conditions={**item.conditions, "chain": chain_json(chain)}))
                stand.store.add_all(taken)
                found.update((_key(item.conditions["chain"]), item) for item in taken)
        tell("timed")
    return [found[chain_key(chain)] for chain in chains]


def stored_chains(stand: Stand) -> dict[str, Measurement]:
    """Chains timed before, as they would be timed now, by :func:`chain_key`."""
    place = {"device_fingerprint": stand.fingerprint, "runtime": stand.runtime, "space": stand.space.name}
    return {
        _key(item.conditions["chain"]): item
        for item in stand.store.query(**place, role="kernel")
        if item.toolchain == dict(stand.toolchain) and item.protocol == stand.protocol.to_json()
    }


def chain_json(chain: Chain) -> list[dict[str, Any]]:
    """Everything of a chain's layers."""
    return [{**asdict(layer), "inputs": list(layer.inputs)} for layer in chain]


def read_chain(value: Sequence[Mapping[str, Any]]) -> Chain:
    """Inverse of :func:`chain_json`. Raises BadInput for what is not of its form."""
    try:
        return tuple(Layer(**{**layer, "inputs": tuple(layer["inputs"])}) for layer in value)
    except (TypeError, KeyError) as error:
        raise BadInput(f"measurement of a kernel: field 'chain': {error}") from None


def chain_key(chain: Chain) -> str:
    """What makes another timing one of the same chain: its layers and how they are joined."""
    return _key(chain_json(chain))


def _key(value: Sequence[Mapping[str, Any]]) -> str:
    return content_key([dict(layer) for layer in value])


class _ChainBuilder(ArtifactBuilder):
    """Builds chains in place of architectures: where it is given layers, they are the network."""

    def _layers(self, arch: Any) -> Chain:
        return arch if isinstance(arch, tuple) else super()._layers(arch)
