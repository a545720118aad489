"""``layers.json``: what each layer of a shipped model takes, timed in the compiled library and predicted.

Times are of the very library that ships, call by call, on the machine that it was built for. A prediction is the
layer's part of a lookup table (:func:`natdeploy.latency.fit_lookup_table`) learned from whole networks timed on that
device; the predictor that holds the budget knows networks only. The sum of the calls is not the latency: each call is
timed by itself, clock reads included, on a machine as disturbed as it happened to be.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import read_json
from natdeploy.ground.processes import call_in_child
from natdeploy.ground.validation import Real, checked

if TYPE_CHECKING:
    from natdeploy.measure import Measurement
    from natdeploy.spaces import Layer

LAYERS = "layers.json"
SCHEMA_VERSION = 1
#: Runs of a timing, and seconds after which no further one starts.
MOST_RUNS, LEAST_RUNS, ENOUGH_S = 200, 5, 2.0
#: Fewest timed networks that a lookup table is learned from.
LEAST_NETWORKS = 30
_LIMIT_S = 120.0


@dataclass(frozen=True)
class LayerTime:
    """One call of the compiled library.

    Attributes:
        layer: the layer whose output it computes; what is fused into it goes with it.
        measured_ms: median of the timed runs.
        predicted_ms: by the lookup table, for the layer and what is fused into it; None where there is no table.
    """

    layer: str
    measured_ms: Real
    predicted_ms: Real | None


@dataclass(frozen=True)
class LayerTimes:
    """All calls of one library, in order.

    Attributes:
        runtime, artifact_digest: what was timed.
        threads: that computed.
        runs: how many runs the medians are of.
        networks: how many timed networks the lookup table was learned from; 0 without one.
        layers: the calls.
    """

    runtime: str
    artifact_digest: str
    threads: int
    runs: int
    networks: int
    layers: tuple[LayerTime, ...]

    @property
    def measured_ms(self) -> float:
        """Sum of the calls."""
        return sum(layer.measured_ms for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Plain data; the inverse of :meth:`from_json`."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    @staticmethod
    def from_json(value: Any) -> LayerTimes:
        """Read :meth:`to_json`'s form. Raises BadInput naming the field at fault."""
        if not isinstance(value, dict) or value.get("schema_version") != SCHEMA_VERSION:
            raise BadInput(f"layer times: expected an object with field 'schema_version' {SCHEMA_VERSION}")
        return checked(LayerTimes, value, "layer times")


def read_layer_times(folder: Path) -> LayerTimes | None:
    """A bundle's layer times; None where it has none (built for another device, or before they were kept).

    Raises BadInput naming a file that cannot be read.
    """
    path = Path(folder) / LAYERS
    if not path.exists():
        return None
    try:
        return LayerTimes.from_json(read_json(path, "file of layer times"))
    except BadInput as error:
        raise error if str(path) in str(error) else BadInput(f"{path}: {error}") from None


def time_layers(
    library: Path,
    digest: str,
    layers: Sequence[Layer],
    measurements: Sequence[Measurement],
    *,
    image: np.ndarray,
    threads: int,
) -> LayerTimes:
    """Time each call of a compiled library on one image, in a child process, and predict it.

    Args:
        library: ``libmodel.so``, for this machine.
        digest: its digest.
        layers: of the network.
        measurements: trusted timings of networks of one space in the same runtime, threads and toolchain.
        image: float32 ``[1, 3, H, W]``.
        threads: that compute.

    Raises ChildFailed where the library crashes or hangs.
    """
    names, medians, runs = call_in_child(
        _time_calls, library, image, threads, timeout_s=_LIMIT_S, name=f"{library.name}, timed layer by layer"
    )
    predicted, networks = predict_calls(names, layers, measurements)
    times = tuple(
        LayerTime(name, round(measured, 9), None if ms is None else round(ms, 9))
        for name, measured, ms in zip(names, medians, predicted)
    )
    return LayerTimes("tvm", digest, threads, runs, networks, times)


def _time_calls(library: Path, image: np.ndarray, threads: int) -> tuple[list[str], list[float], int]:
    """In the child: names of the calls, their median milliseconds, and of how many runs."""
    from natdeploy.devices.native_model import NativeModel

    with NativeModel(library, threads=threads) as model:
        for _ in range(LEAST_RUNS):
            model.run([image])
        series: list[list[float]] = []
        end = time.monotonic() + ENOUGH_S
        while len(series) < MOST_RUNS and (len(series) < LEAST_RUNS or time.monotonic() < end):
            series.append(model.time_calls_ms([image]))
        return list(model.layers), np.median(series, axis=0).tolist(), len(series)


def predict_calls(
    names: Sequence[str], layers: Sequence[Layer], measurements: Sequence[Measurement]
) -> tuple[list[float | None], int]:
    """Milliseconds of each call by a lookup table, and how many networks that was learned from (0: no table).

    A layer without a call of its own is fused into the next that has one; a call that is no layer's is not predicted.
    """
    from natdeploy.latency import fit_lookup_table
    from natdeploy.spaces import get_space

    timed: dict[tuple[Any, int | None], list[float]] = {}
    for one in measurements:
        if one.arch is not None and one.trusted:
            timed.setdefault((one.arch, one.num_classes), []).append(one.latency_ms)
    if len(timed) < LEAST_NETWORKS:
        return [None] * len(names), 0
    networks = [get_space(arch.space).layers(arch, classes) for arch, classes in timed]
    table = fit_lookup_table(networks, np.array([np.median(ms) for ms in timed.values()]))
    calls = set(names)
    sums: dict[str, float] = {}
    waiting_ms = 0.0
    try:
        for layer in layers:
            waiting_ms += table.layer_ms(layer)
            if layer.name in calls:
                sums[layer.name], waiting_ms = waiting_ms, 0.0
    except BadInput:  # a kind of layer that none of the timed networks has
        return [None] * len(names), 0
    return [sums.get(name) for name in names], len(timed)
