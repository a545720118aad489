"""Task ``ofa``: whole networks of Once-for-All's space on graphics processors, from some hundred measured ones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from benchmarks.latency_figures import Tally, judge
from benchmarks.published_latencies import TABLES
from natdeploy.latency.inputs.gene_sums import feature_sums
from natdeploy.latency.intervals.conformal import fit_conformal
from natdeploy.latency.intervals.prediction import IntervalPredictor
from natdeploy.latency.measured.xgboost_model import fit_xgboost
from natdeploy.spaces import Arch, get_space
from natdeploy.spaces.mobilenetv3 import MobileNetV3Space

FILE = TABLES / "help_ofa.csv.gz"
#: Measured networks; all others are predicted.
MEASURED = 900
BATCHES = (1, 32, 64)
#: Blocks of a stage in the file, whether or not the network has them.
STAGE_BLOCKS = 4


def run_ofa(targets: Sequence[str], seeds: Sequence[int]) -> Tally:
    """Measured models of each device and batch, on random splits; targets are named ``device_batch``."""
    table = pd.read_csv(FILE)
    table["target"] = table["device"] + "_" + table["batch"].astype(str)
    archs, features = _networks(table.drop_duplicates("arch_id").sort_values("arch_id"))
    latency_ms = table.pivot(index="arch_id", columns="target", values="latency_ms").sort_index()
    if unknown := [name for name in targets if name not in latency_ms]:
        raise SystemExit(f"latency: no device {unknown[0]!r} in the table; it has {', '.join(latency_ms)}")
    tally = Tally()
    for target in targets or latency_ms:
        values = latency_ms[target].to_numpy()
        for seed in seeds:
            order = np.random.default_rng([seed, 61]).permutation(len(archs))
            measured, judged = order[:MEASURED], order[MEASURED:]
            found = fit_xgboost(features[measured], values[measured], seed=seed)
            conformal = fit_conformal(values[measured], found.left_out_ms)
            ranges = np.stack([features[measured].min(0), features[measured].max(0)])
            predictor = IntervalPredictor(found.predictor, conformal, ranges)

            def prediction(coverage: float, predictor: IntervalPredictor = predictor, rows: np.ndarray = judged):  # type: ignore[no-untyped-def]
                return predictor.predict(features[rows], coverage)

            tally.add(target, MEASURED, "measured", judge(values[judged], prediction, np.ones(len(judged), bool)))
            print(f"ofa {target} seed {seed}", file=sys.stderr, flush=True)
    return tally


def ofa_figures(tally: Tally) -> dict[str, float]:
    """Means over devices per batch, and of each device."""
    figures: dict[str, float] = {}
    for batch in BATCHES:
        targets = [name for name in tally.targets() if name.endswith(f"_{batch}")]
        for what, name in (("spearman", "spearman"), ("mape", "mape"), ("coverage_90", "coverage_90")):
            per_target = [tally.mean(what, MEASURED, "measured", target) for target in targets]
            if targets:
                figures[f"{name}_b{batch}"] = float(np.mean(per_target))
            figures |= {f"{target}_{name}": value for target, value in zip(targets, per_target)}
    return figures


def _networks(rows: pd.DataFrame) -> tuple[list[Arch], np.ndarray]:
    """Architectures and features, in the order of the rows."""
    space = get_space("ofa-mbv3-w1.2")
    assert isinstance(space, MobileNetV3Space)
    space = replace(space, resolutions=tuple(sorted(set(rows["image_size"]))))
    archs = [_arch(space, row) for _, row in rows.iterrows()]
    return archs, feature_sums(space)(archs)


def _arch(space: MobileNetV3Space, row: pd.Series) -> Arch:
    depths, kernels, expands = (
        [int(part) for part in row[what].split("-")] for what in ("depths", "kernels", "expands")
    )
    active = [STAGE_BLOCKS * stage + place for stage, depth in enumerate(depths) for place in range(depth)]
    chosen = (tuple(values[index] for index in active) for values in (kernels, expands))
    return Arch(space.name, *chosen, tuple(depths), int(row["image_size"]), space.width)
