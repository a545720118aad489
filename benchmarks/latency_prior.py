"""Task ``prior``: devices ranked by their hardware profiles, without a single one of their latencies."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.prior_devices import network_draws, prior_times, table_rows
from natdeploy.latency.hardware.prior import fit_costs, fit_prior
from natdeploy.latency.intervals.quality import point_quality
from natdeploy.latency.published.block_layers import block_layers

#: Devices whose tables are predicted, and random networks of their blocks.
TARGETS, NETWORKS = ("note10", "pixel1"), 1000


def prior_figures(seeds: Sequence[int]) -> dict[str, float]:
    """Spearman's rank correlation over blocks and networks, beside that of multiply-accumulates, and the intervals.

    ``mape`` and coverages are of networks of every device that the prior is learned from, each left out in turn.
    """
    times = prior_times()
    figures: dict[str, float] = {}
    for target in TARGETS:
        rows = table_rows(target)
        chosen = [row for row, (block, _) in enumerate(rows) if block.op == "mbconv"]
        cost = fit_costs([device for name, device in times.items() if name != target])
        measured = times[target].latency_ms[chosen]
        predictions = {
            "": times[target].predicted_ms(cost)[chosen],
            "macs_": np.array([sum(layer.macs for layer in block_layers(rows[row][0])) for row in chosen], float),
        }
        draws = [network_draws(len(chosen), NETWORKS, seed) for seed in seeds]
        for who, predicted in predictions.items():
            figures[f"{target}_{who}spearman_blocks"] = point_quality(measured, predicted).spearman
            ranks = [point_quality(measured[draw].sum(1), predicted[draw].sum(1)).spearman for draw in draws]
            figures[f"{target}_{who}spearman_networks"] = float(np.mean(ranks))
        print(f"prior: {target}, {len(chosen)} blocks", file=sys.stderr, flush=True)
    found = fit_prior(times).figures
    return figures | {"mape": found["mape"], "coverage_90": found["coverage"], "width_90": found["width"]}
