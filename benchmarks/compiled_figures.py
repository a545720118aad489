"""From turns to medians, ratios and shares of peak, and whether a run can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import geometric_mean, median
from typing import Any

#: Beyond this the reference kernel shows that something else was going on.
QUIET_DRIFT = 0.05
#: A healthy ONNX Runtime reaches at least this share of the processor's peak on these networks.
HEALTHY_SHARE = 0.35
ORT = "onnxruntime"


def row_of(turns: Mapping[str, Sequence[float]], *, macs: int, peak_gflops: float) -> dict[str, Any]:
    """Of one subnet: each runtime's median and share of peak, natdeploy's ratios to the others and to the best."""
    ms = {name: median(values) for name, values in turns.items()}
    shares = {name: 2e-6 * macs / value / peak_gflops for name, value in ms.items()}
    peers = [name for name in ms if name != "natdeploy"]
    best = min(peers, key=ms.__getitem__)
    return {
        "ms": ms,
        "vs": {name: ms["natdeploy"] / ms[name] for name in peers},
        "best": best,
        "vs_best": ms["natdeploy"] / ms[best],
        "fma_peak_share": shares["natdeploy"],
        "fma_peak_shares": shares,
    }


def figures(
    rows: Sequence[Mapping[str, Any]], reference: Sequence[float], *, threads: int, peak_gflops_per_core: float
) -> dict[str, float]:
    """Means over subnets are geometric. ``reference`` are the reference kernel's turns in the whole run."""
    from benchmarks.compiled_rounds import drift

    drifted = drift(reference)
    ort_share = geometric_mean(row["fma_peak_shares"][ORT] for row in rows)
    short = {ORT: "ort"}
    return {
        **{
            f"geomean_vs_{short.get(name, name)}": geometric_mean(row["vs"][name] for row in rows)
            for name in rows[0]["vs"]
        },
        "geomean_vs_best": geometric_mean(row["vs_best"] for row in rows),
        "worst_vs_ort": max(row["vs"][ORT] for row in rows),
        "fma_peak_share": geometric_mean(row["fma_peak_share"] for row in rows),
        "ort_fma_peak_share": ort_share,
        "max_rel_error": max(row["rel_error"]["natdeploy"] for row in rows),
        "peers_max_rel_error": max(max(row["rel_error"].values()) for row in rows),
        "quiet": int(drifted < QUIET_DRIFT),
        "fair": int(ort_share >= HEALTHY_SHARE),
        "reference_drift": drifted,
        "peak_gflops_per_core": peak_gflops_per_core,
        "threads": threads,
        "subnets": len(rows),
    }


def unfair(found: Mapping[str, float]) -> str | None:
    """Why a run is no fair one, or None."""
    if found["fair"]:
        return None
    share = (
        f"ONNX Runtime reaches {found['ort_fma_peak_share']:.0%} of the measured peak, less than {HEALTHY_SHARE:.0%}"
    )
    if not found["quiet"]:
        return (
            f"{share}; the processors were shared: the reference kernel's time varied by {found['reference_drift']:.0%}"
        )
    return f"{share}, though the processors were quiet: it may lack kernels for this processor, or threads to fill it"
