"""Task ``cpu-networks``: whole networks on some cores of a phone, from few of them and from other phones.

Ten or twenty networks are timed on the phone, at random; all others are judged. Of these, what the other phones' cores
took is read, and nothing of the phone that is judged, in whatever setting. Synthetic networks, of which nothing but
size and FLOPs is known, are judged apart from real ones. Beside it FLOPs: a line through the same measurements.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmarks.latency_figures import FEW
from benchmarks.published_latencies import TABLES
from natdeploy.latency.counterparts import predict_counterparts
from natdeploy.latency.kernel_model import WholeOfParts
from natdeploy.latency.quality import PointQuality, point_quality

FILE = TABLES / "qed_cnn_e2e.csv.gz"
#: Settings judged if none is named.
SETTINGS = (("pixel4", "1large"), ("pixel4", "2med"), ("s10", "1large"), ("mi8se", "1large"), ("a03s", "4small"))


def phone_figures(device: str | None, config: str | None, seeds: Sequence[int]) -> dict[str, float]:
    """Errors and ranks of real and synthetic networks with 20 measured ones, those with 10 beside them."""
    rows = pd.read_csv(FILE)
    rows = rows[(rows["framework"] == "tflite") & (rows["precision"] == "float") & (rows["config"] != "gpu")]
    rows["setting"] = rows["device"] + "_" + rows["config"]
    kinds = rows.drop_duplicates("model").set_index("model")
    latency_ms = rows.pivot_table(index="model", columns="setting", values="latency_ms").dropna()
    asked = [(device or "pixel4", config or "1large")] if device or config else list(SETTINGS)
    figures: dict[str, float] = {}
    for name, cores in asked:
        setting = f"{name}_{cores}"
        if setting not in latency_ms:
            raise SystemExit(f"latency: no setting {setting!r}; there are {', '.join(latency_ms)}")
        others = latency_ms[[column for column in latency_ms if not column.startswith(f"{name}_")]].to_numpy()
        for kind in ("real", "synthetic"):
            chosen = (kinds["kind"].reindex(latency_ms.index) == kind).to_numpy()
            flops = kinds["flops"].reindex(latency_ms.index).to_numpy(float)[chosen]
            measured = latency_ms[setting].to_numpy()[chosen]
            for count in FEW:
                found = [_judged(measured, others[chosen], flops, count, seed) for seed in seeds]
                for who, outcomes in zip(("", "flops_"), zip(*found)):
                    figures[f"{setting}_{kind}_{who}mape_{count}"] = float(np.mean([one.mape for one in outcomes]))
                    figures[f"{setting}_{kind}_{who}spearman_{count}"] = float(
                        np.mean([one.spearman for one in outcomes])
                    )
        print(f"cpu-networks: {setting}", file=sys.stderr, flush=True)
    ends = {"mape": f"_real_mape_{FEW[-1]}", "flops_mape": f"_real_flops_mape_{FEW[-1]}"}
    ends["spearman"] = f"_real_spearman_{FEW[-1]}"
    means = {
        what: float(np.mean([value for name, value in figures.items() if name.endswith(end)]))
        for what, end in ends.items()
    }
    return means | figures


def _judged(
    measured: np.ndarray, others: np.ndarray, flops: np.ndarray, count: int, seed: int
) -> tuple[PointQuality, PointQuality]:
    order = np.random.default_rng([seed, 82]).permutation(len(measured))
    timed, judged = order[:count], order[count:]
    predicted = predict_counterparts(measured[timed], others[timed], others[judged])
    line = WholeOfParts.fit(flops[timed], measured[timed])(flops[judged])
    return point_quality(measured[judged], predicted), point_quality(measured[judged], line)
