"""Task ``kernels``: real networks on phones' GPUs, from the kernels of others.

Networks are split in tenths; one is the sum of its kernels, scaled, a constant, and a constant a kernel. The ceiling is
a line through the sums of its kernels' own timings. How operators were fused into kernels is taken from the network's
trace, never how long they took.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from benchmarks.published_latencies import TABLES
from natdeploy.latency.intervals.quality import PointQuality, point_quality
from natdeploy.latency.kernels.model import KernelModel, WholeOfParts
from natdeploy.measure.publications import read_published
from natdeploy.measure.published import PublishedTiming

FOLDS = 10
#: Phones whose GPUs' kernels were published.
PHONES = ("pixel4", "s10", "mi8se", "a03s", "iphone7")


def kernels_figures(devices: Sequence[str], seeds: Sequence[int]) -> dict[str, float]:
    """Shares within +-10 %, their ceiling and the kernels' own errors, of each device and mean over them."""
    figures: dict[str, float] = {}
    chosen = devices or PHONES
    for device in chosen:
        if device not in PHONES:
            raise SystemExit(f"latency: no kernels of device {device!r}; there are {', '.join(PHONES)}")
        found = [_unseen(device, seed) for seed in seeds]
        figures |= {f"{device}_{name}": float(np.mean([one[name] for one in found])) for name in found[0]}
        print(f"kernels: {device}", file=sys.stderr, flush=True)
    names = ("within10", "ceiling_within10", "mape", "ceiling_mape", "kernel_mape")
    means = {name: float(np.mean([figures[f"{device}_{name}"] for device in chosen])) for name in names}
    return means | figures


def _unseen(device: str, seed: int) -> dict[str, float]:
    kernels, whole_ms = _kernels(device), _wholes(device)
    models = sorted(set(kernels) & set(whole_ms))
    fold = np.random.default_rng([seed, 71]).permutation(len(models)) % FOLDS
    measured = np.array([whole_ms[model] for model in models])
    sums = np.array([sum(timing.latency_ms for timing in kernels[model]) for model in models])
    predicted_sums, errors = np.zeros(len(models)), []
    for part in range(FOLDS):
        rest = [timing for model, place in zip(models, fold) if place != part for timing in kernels[model]]
        predictor = KernelModel.fit(rest, seed=seed)
        for row in np.flatnonzero(fold == part):
            found = predictor.predict_ms([timing.what for timing in kernels[models[row]]])
            true_ms = np.array([timing.latency_ms for timing in kernels[models[row]]])
            predicted_sums[row] = found.sum()
            errors += (np.abs(found / true_ms - 1)[true_ms > 0]).tolist()
    counts = np.array([len(kernels[model]) for model in models], np.float64)
    outcome = {"": _whole(predicted_sums, measured, fold, counts), "ceiling_": _whole(sums, measured, fold)}
    figures = {f"{who}within10": quality.within10 for who, quality in outcome.items()}
    figures |= {f"{who}mape": quality.mape for who, quality in outcome.items()}
    return figures | {"kernel_mape": float(np.mean(errors))}


def _whole(
    sums_ms: np.ndarray, measured_ms: np.ndarray, fold: np.ndarray, counts: np.ndarray | None = None
) -> PointQuality:
    """Quality of networks from sums, each tenth's scale and constants fitted on the others."""
    predicted = np.zeros(len(sums_ms))
    for part in range(FOLDS):
        out = fold == part
        known, new = (None, None) if counts is None else (counts[~out], counts[out])
        predicted[out] = WholeOfParts.fit(sums_ms[~out], measured_ms[~out], known)(sums_ms[out], new)
    return point_quality(measured_ms, predicted)


@cache
def _operators() -> tuple[PublishedTiming, ...]:
    rows = read_published("mobile-ml-benchmark", TABLES / "qed_cnn_gpu_ops.csv.gz")
    return tuple(row for row in rows if row.runtime == "tflite")


@cache
def _models() -> tuple[PublishedTiming, ...]:
    rows = read_published("mobile-ml-benchmark", TABLES / "qed_cnn_e2e.csv.gz")
    return tuple(row for row in rows if (row.runtime, row.setting) == ("tflite", "gpu float"))


def _kernels(device: str) -> Mapping[str, list[PublishedTiming]]:
    found: dict[str, list[PublishedTiming]] = {}
    for row in _operators():
        if row.device == device:
            found.setdefault(str(row.what["model"]), []).append(row)
    return found


def _wholes(device: str) -> dict[str, float]:
    return {str(row.what["model"]): row.latency_ms for row in _models() if row.device == device}
