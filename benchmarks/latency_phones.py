"""Task ``cpu-networks``: whole networks on some cores of a phone, from few of them and from other phones.

Networks are judged in tenths. Of a tenth that is judged nobody's latency is read, neither the phone's own nor another
phone's: other phones' cores tell what they took for the other networks, and ten or twenty of these, at random, are
timed on the phone. A network is known by what its operators compute and move. Beside it FLOPs: a line through the same
measurements.

``elsewhere`` is an easier task, for networks that other phones have timed already: it reads what these took for the
judged networks, too, and never stands for the other. Of synthetic networks nothing but size and FLOPs is known, so that
for them there are these two alone, judged apart.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.latency_figures import FEW
from benchmarks.published_latencies import TABLES
from natdeploy.latency.intervals.quality import point_quality
from natdeploy.latency.kernels.model import WholeOfParts
from natdeploy.latency.transferred.counterparts import predict_counterparts
from natdeploy.latency.transferred.network_work import NetworksOnDevices, network_work
from natdeploy.measure.publications import read_published

FILE, OPERATORS = TABLES / "qed_cnn_e2e.csv.gz", TABLES / "qed_cnn_gpu_ops.csv.gz"
#: Settings judged if none is named.
SETTINGS = (("pixel4", "1large"), ("pixel4", "2med"), ("s10", "1large"), ("mi8se", "1large"), ("a03s", "4small"))
FOLDS = 10
#: Ways to predict, by the prefix of their figures.
WAYS = ("", "elsewhere_", "flops_")


@dataclass(frozen=True)
class Networks:
    """Networks of one kind: latencies in ms by network and setting, FLOPs ``[n]``, work ``[n, columns]`` if known."""

    latency_ms: pd.DataFrame
    flops: np.ndarray
    work: np.ndarray | None

    @property
    def ways(self) -> tuple[str, ...]:
        """Ways to predict these, by the prefix of their figures."""
        return WAYS if self.work is not None else WAYS[1:]


def phone_figures(device: str | None, config: str | None, seeds: Sequence[int]) -> dict[str, float]:
    """Errors and ranks of real and synthetic networks with ten or twenty measured; means are of real ones with 20."""
    asked = [(device or "pixel4", config or "1large")] if device or config else list(SETTINGS)
    settings = [f"{name}_{cores}" for name, cores in asked]
    figures: dict[str, float] = {}
    for kind, networks in read_networks().items():
        for setting in settings:
            if setting not in networks.latency_ms:
                raise SystemExit(f"latency: no setting {setting!r}; there are {', '.join(networks.latency_ms)}")
        found = [_judged(networks, settings, seed) for seed in seeds]
        for setting, count, way in found[0]:
            for what, row in (("mape", 0), ("spearman", 1)):
                mean = float(np.mean([one[setting, count, way][row] for one in found]))
                figures[f"{setting}_{kind}_{way}{what}_{count}"] = mean
        print(f"cpu-networks: {kind}", file=sys.stderr, flush=True)
    means = {
        f"{way}{what}": float(np.mean([figures[f"{setting}_real_{way}{what}_{FEW[-1]}"] for setting in settings]))
        for way in WAYS
        for what in ("mape", "spearman")
    }
    return means | figures


def read_networks() -> dict[str, Networks]:
    """Real and synthetic networks on all cores of all phones."""
    rows = pd.read_csv(FILE)
    rows = rows[(rows["framework"] == "tflite") & (rows["precision"] == "float") & (rows["config"] != "gpu")]
    rows["setting"] = rows["device"] + "_" + rows["config"]
    about = rows.drop_duplicates("model").set_index("model")
    latency_ms = rows.pivot_table(index="model", columns="setting", values="latency_ms").dropna()
    operators: dict[str, list[Mapping[str, object]]] = {}
    for timing in read_published("mobile-ml-benchmark", OPERATORS):
        if (timing.runtime, timing.device) == ("tflite", "pixel4"):
            operators.setdefault(str(timing.what["model"]), []).append(timing.what)
    found = {}
    for kind in ("real", "synthetic"):
        names = [name for name in latency_ms.index if about["kind"][name] == kind]
        flops = about["flops"].reindex(names).to_numpy(float)
        known = all(name in operators for name in names)
        work = np.array([network_work(operators[name]) for name in names]) if known else None
        found[kind] = Networks(latency_ms.loc[names], flops, work)
    return found


def _judged(networks: Networks, settings: Sequence[str], seed: int) -> dict[tuple[str, int, str], tuple[float, float]]:
    """Error and rank correlation by setting, measured networks and way."""
    true_ms = networks.latency_ms.to_numpy()
    columns = list(networks.latency_ms)
    fold = np.random.default_rng([seed, 83]).permutation(len(true_ms)) % FOLDS
    predicted = {
        (setting, count, way): np.zeros(len(true_ms)) for setting in settings for count in FEW for way in networks.ways
    }
    for part in range(FOLDS):
        judged, rest = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        shuffled = np.random.default_rng([seed, 82, part]).permutation(rest)
        known_ms = {"elsewhere_": true_ms}
        if networks.work is not None:
            known_ms[""] = NetworksOnDevices.fit(networks.work[rest], true_ms[rest], seed=seed)(networks.work)
        for setting in settings:
            own = columns.index(setting)
            others = [row for row, name in enumerate(columns) if name.split("_")[0] != setting.split("_")[0]]
            for count in FEW:
                timed = shuffled[:count]
                measured = true_ms[timed, own]
                for way, on_ms in known_ms.items():
                    found = predict_counterparts(measured, on_ms[timed][:, others], on_ms[judged][:, others])
                    predicted[setting, count, way][judged] = found
                line = WholeOfParts.fit(networks.flops[timed], measured)
                predicted[setting, count, "flops_"][judged] = line(networks.flops[judged])
    outcome = {}
    for (setting, count, way), found in predicted.items():
        quality = point_quality(true_ms[:, columns.index(setting)], found)
        outcome[setting, count, way] = (quality.mape, quality.spearman)
    return outcome
