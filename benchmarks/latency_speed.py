"""Task ``speed``: architectures predicted in a second by one core, from genomes to milliseconds and intervals.

In batches of 10,000, counted in seconds of the processor, so that what else runs on it does not matter. Models of every
source: ``measured`` (without a prefix), ``table_``, ``prior_``, ``transferred_`` (from 10 measurements and shipped
predictors), ``kernels_`` (sums of kernels) and ``published_kernels_`` (as shipped). Latencies that the others learn
from are made up. Beside them, on the same architectures, what Once-for-All's code does: a look-up of every block in a
table, added up one by one; and nn-Meter (Zhang et al. 2021) from PyPI, in an environment of its own
(``benchmarks/nn_meter_peer.py``), from ONNX models in memory. Where that cannot be installed there is no figure of it,
and stderr says why.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from natdeploy.devices import load_profile
from natdeploy.ground.errors import BadInput
from natdeploy.latency.inputs.features import feature_names
from natdeploy.latency.inputs.gene_sums import feature_sums
from natdeploy.latency.intervals.conformal import fit_conformal
from natdeploy.latency.intervals.prediction import IntervalPredictor
from natdeploy.latency.kernels.chains import empty_chains, kernels_of, random_archs, single_chain
from natdeploy.latency.kernels.fit import fit_kernels, fit_whole
from natdeploy.latency.library import prior_latency_model, shipped_latency_model
from natdeploy.latency.measured.xgboost_model import fit_xgboost
from natdeploy.latency.model import LatencyModel, Predictor
from natdeploy.latency.published.table_predictor import table_blocks
from natdeploy.latency.transferred.predictor import SourceKnowledge
from natdeploy.measure.kernel_timing import chain_key
from natdeploy.spaces import Arch, Space, get_space, random_network

BATCH, ROUNDS, LOOKED_UP, MEASURED = 10_000, 20, 200, 900
#: Shipped predictors from which one is transferred, architectures that they are asked about, and measurements.
OTHERS, SPOKEN_FOR, FEW = ("mi8se", "galaxy-s10", "pixel4"), 400, 10
#: Kernels of a kind, and networks, from which a model of kernels is made.
OF_A_KIND, WHOLE = 12, 30
SPACE = "ofa-mbv3-w1.0"
#: nn-Meter and what reads models for it; architectures that it predicts.
PACKAGES, NN_METER = ("nn-meter==2.0", "onnx==1.23.2"), 10


def speed_figures(seeds: Sequence[int]) -> dict[str, float]:
    """Architectures per second: of models of every source; and of the table's look-up."""
    space, rng = get_space(SPACE), np.random.default_rng([seeds[0], 91])
    genomes = np.stack([space.encode(space.sample(rng)) for _ in range(BATCH)])
    table = _shipped("note10", space)
    models = {
        "": _measured(space, genomes[:MEASURED], table, seeds[0]),
        "table_": table,
        "prior_": _roofline(space),
        "transferred_": _transferred(space, genomes[-SPOKEN_FOR:], table),
        "kernels_": _kernels(space, table),
        "published_kernels_": _shipped("pixel4-gpu", space),
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
    return figures | {"lookup_archs_per_second": LOOKED_UP / look_up} | nn_meter_figures(archs[:NN_METER])


def _shipped(device: str, space: Space) -> LatencyModel:
    found = shipped_latency_model(load_profile(device), space)
    assert found is not None
    return found


def _roofline(space: Space) -> LatencyModel:
    """The prior that compiles nothing first: a runtime's that is not natdeploy's."""
    profile = load_profile("rpi5").model_copy(update={"runtimes": ("onnxruntime",)})
    return prior_latency_model(profile, space, "onnxruntime")


def nn_meter_figures(archs: Sequence[Arch]) -> dict[str, float]:
    """Architectures per second of nn-Meter, and kernels that it finds in each; nothing where it is not to be had."""
    from benchmarks.peers import peer_python
    from natdeploy.compiler import build_onnx

    space = get_space(SPACE)
    try:
        python = peer_python("nn-meter", PACKAGES)
    except BadInput as error:
        print(f"speed: nn-Meter is left out: {error}", file=sys.stderr, flush=True)
        return {}
    with tempfile.TemporaryDirectory(prefix="natdeploy-nn-meter-") as scratch:
        folder = Path(scratch)
        for number, arch in enumerate(archs):
            built = build_onnx(random_network(space.layers(arch)), folder / str(number))
            built.path.rename(folder / f"{number}.onnx")
        command = [str(python), str(Path(__file__).parent / "nn_meter_peer.py"), scratch]
        if subprocess.run(command, stdout=sys.stderr, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode:
            print("speed: nn-Meter failed; the lines above say why", file=sys.stderr, flush=True)
            return {}
        answer = json.loads((folder / "answer.json").read_text())
    print("speed: nn-Meter", file=sys.stderr, flush=True)
    return {
        "nnmeter_archs_per_second": answer["models"] / answer["seconds"],
        "nnmeter_kernels_per_arch": answer["kernels"] / answer["models"],
    }


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
    return _model(predictor, "measured", like)


def _transferred(space: Space, genomes: np.ndarray, like: LatencyModel) -> LatencyModel:
    """A model of few measurements, which are another one's predictions."""
    archs = [space.decode(genome) for genome in genomes]
    known = {}
    for device in OTHERS:
        other = shipped_latency_model(load_profile(device), space)
        assert other is not None
        known[device] = dict(zip(archs, other.predict(archs).mean_ms.tolist()))
    few = dict(zip(archs[:FEW], like.predict(archs[:FEW]).mean_ms.tolist()))
    return _model(SourceKnowledge.of(space, known).transfer(few), "transferred", like)


def _kernels(space: Space, like: LatencyModel) -> LatencyModel:
    """A model of kernels, each of which takes a made-up time for its multiply-adds and elements."""
    archs = random_archs(space)
    singles = [layer for found in kernels_of(space, archs).singles.values() for layer in found[:OF_A_KIND]]
    chains = [*empty_chains(), *(chain for layer in singles for chain in single_chain(layer).chains)]
    made_up = {
        chain_key(chain): 1e-3 + sum(1e-8 * one.macs + 1e-7 * one.out_elements for one in chain) for chain in chains
    }
    sums = fit_kernels(made_up, singles, ())
    networks = [space.layers(arch) for arch in archs[:WHOLE]]
    return _model(fit_whole(sums, networks, sums.networks_ms(networks)[:, 0], space)[0], "measured", like)


def _model(predictor: Predictor, source: str, like: LatencyModel) -> LatencyModel:
    names = {"space": like.space, "device": "made-up", "device_fingerprint": "made-up", "runtime": "made-up"}
    return LatencyModel(**names, source=source, coverage=0.9, quality=like.quality, toolchain={}, predictor=predictor)
