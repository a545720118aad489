"""Task ``speed``: architectures predicted in a second by one core, from genomes to milliseconds and intervals.

In batches of 10,000, counted in seconds of the processor, so that what else runs on it does not matter. Beside it, on
the same architectures, what Once-for-All's code does: a look-up of every block in a table, added up one by one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from natdeploy.devices import load_profile
from natdeploy.latency.conformal import fit_conformal
from natdeploy.latency.features import feature_names
from natdeploy.latency.gene_sums import feature_sums
from natdeploy.latency.library import prior_latency_model, shipped_latency_model
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.prediction import IntervalPredictor
from natdeploy.latency.table_predictor import table_blocks
from natdeploy.latency.xgboost_model import fit_xgboost
from natdeploy.spaces import Space, get_space

BATCH, ROUNDS, LOOKED_UP, MEASURED = 10_000, 20, 200, 900
SPACE = "ofa-mbv3-w1.0"


def speed_figures(seeds: Sequence[int]) -> dict[str, float]:
    """Architectures per second: of a measured model, one of a table, a prior; and of the table's look-up."""
    space, rng = get_space(SPACE), np.random.default_rng([seeds[0], 91])
    genomes = np.stack([space.encode(space.sample(rng)) for _ in range(BATCH)])
    table = shipped_latency_model(load_profile("note10"), space)
    assert table is not None
    models = {
        "": _measured(space, genomes[:MEASURED], table, seeds[0]),
        "table_": table,
        "prior_": prior_latency_model(load_profile("rpi5"), space, "tvm"),
    }
    figures = {}
    for name, model in models.items():
        model.predict_genomes(genomes)  # tables of the space's blocks are made once
        figures[f"{name}archs_per_second"] = BATCH / _seconds(lambda model=model: model.predict_genomes(genomes))  # type: ignore[misc]
        print(f"speed: {name or 'measured'}", file=sys.stderr, flush=True)
    archs = [space.decode(genome) for genome in genomes[:LOOKED_UP]]
    networks = [table_blocks(space.layers(arch)) for arch in archs]
    known = {block: 1.0 for network in networks for block in network}
    look_up = _seconds(lambda: [sum(known[block] for block in table_blocks(space.layers(arch))) for arch in archs])
    return figures | {"lookup_archs_per_second": LOOKED_UP / look_up}


def _seconds(work: Callable[[], object]) -> float:
    """Mean over some rounds, in seconds of the processor."""
    start = time.process_time()
    for _ in range(ROUNDS):
        work()
    return (time.process_time() - start) / ROUNDS


def _measured(space: Space, genomes: np.ndarray, like: LatencyModel, seed: int) -> LatencyModel:
    """A model as profiling makes it, trained on made-up latencies."""
    features = feature_sums(space).of_genomes(genomes)
    macs = features[:, feature_names().index("macs")]
    latency_ms = 1e-7 * macs * np.exp(0.05 * np.random.default_rng([seed, 92]).standard_normal(len(macs)))
    found = fit_xgboost(features, latency_ms, seed=seed)
    ranges = np.stack([features.min(0), features.max(0)])
    predictor = IntervalPredictor(found.predictor, fit_conformal(latency_ms, found.left_out_ms), ranges)
    names = {"space": space.name, "device": "made-up", "device_fingerprint": "made-up", "runtime": "made-up"}
    return LatencyModel(
        **names, source="measured", coverage=0.9, quality=like.quality, toolchain={}, predictor=predictor
    )
