"""Task ``host``: predictors of this machine, live: networks of Once-for-All's space timed, others predicted.

Takes hours on an undisturbed machine; what is stored already is not timed again. The timings' own repeatability, of
networks timed twice, bounds what a predictor can reach.
"""

from __future__ import annotations

import sys

from natdeploy.devices import load_profile
from natdeploy.latency import profile_device

SPACE = "ofa-mbv3-w1.0"
#: Networks to train on, and others to judge by.
NETWORKS, UNSEEN = 200, 200
RUNTIMES = {"onnxruntime": "ort", "tvm": "tvm"}


def host_figures(seed: int, *, networks: int = NETWORKS, unseen: int = UNSEEN) -> dict[str, float]:
    """Shares within +-5 % and +-10 % of networks that were not trained on, and of networks timed again."""
    models = profile_device(
        load_profile("host"),
        SPACE,
        runtimes=tuple(RUNTIMES),
        networks=networks,
        holdout=unseen,
        seed=seed,
        progress=lambda stage, done: print(f"host: {stage} {100 * done:.0f} %", file=sys.stderr, flush=True),
    )
    figures: dict[str, float] = {}
    repeats: dict[str, list[float]] = {"within5": [], "within10": []}
    for runtime, name in RUNTIMES.items():
        quality = models[runtime].quality
        figures |= {
            f"host_{name}_{what}": getattr(quality, what)
            for what in ("within5", "within10", "mape", "spearman", "coverage", "interval_width", "networks")
        }
        for what, found in repeats.items():
            share = getattr(quality, f"repeatability_{what}")
            if share is not None:
                figures[f"host_{name}_repeat_{what}"] = share
                found.append(share)
    return figures | {f"host_repeat_{what}": min(found) for what, found in repeats.items() if found}
