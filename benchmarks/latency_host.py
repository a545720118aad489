"""Task ``host``: predictors of this machine, live: networks of Once-for-All's space timed, others predicted.

Each runtime times 200 networks to train on, 200 others to judge by, and 20 of these again: half an hour in all on two
quiet cores, of which stderr tells how much is done. Every batch of 40 is stored as it is timed: a run that was cut goes
on where it was when it is started again with the same ``--home`` (the user's own store without one).

The timings' own repeatability, of networks timed twice, bounds what a predictor can reach: ``repeat_mape`` is by how
much the second timing differs from the first, ``untrusted`` the share of timings that were stored and left out because
the machine was too busy meanwhile.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

from natdeploy.devices import HardwareProfile, device_fingerprint, load_profile
from natdeploy.latency import LatencyModel, profile_device
from natdeploy.latency.intervals.quality import relative_errors
from natdeploy.latency.measured.comparable import comparable
from natdeploy.latency.measured.fit import timed_twice
from natdeploy.measure import MeasurementStore
from natdeploy.spaces import get_space
from natdeploy.verbs.profile import plan_profile

SPACE, QUICK_SPACE = "ofa-mbv3-w1.0", "mbv3-micro"
#: Networks to train on, and others to judge by.
NETWORKS, UNSEEN = 200, 200
RUNTIMES = {"onnxruntime": "ort", "tvm": "tvm"}
#: Load average up to which nothing else to speak of is running.
QUIET = 0.5
WHAT = ("within5", "within10", "mape", "spearman", "coverage", "interval_width", "networks", "training_networks")


def host_figures(
    seed: int, *, space: str = SPACE, networks: int = NETWORKS, unseen: int = UNSEEN, home: Path | None = None
) -> dict[str, float]:
    """Shares within +-5 % and +-10 % of networks that were not trained on, and of networks timed again.

    Args:
        seed: of the networks and of training.
        space: of the networks.
        networks, unseen: how many to train on, and how many others to judge by.
        home: folder with the store of timings, kernels and models; the user's own if not given.
    """
    if home is not None:
        os.environ["NATDEPLOY_HOME"] = str(home.resolve())
    about = {"space": space, "networks": networks, "holdout": unseen, "seed": seed}
    for found in plan_profile("host", runtimes=tuple(RUNTIMES), **about).runtimes:  # type: ignore[arg-type]
        left = sum(found.networks.values()) - found.stored
        minutes = f"{found.least_s / 60:.0f} to {found.most_s / 60:.0f} minutes and kernels to compile"
        _tell(f"{found.runtime}: {found.stored} timings are stored, {left} to take: {minutes}")
    if (busy := os.getloadavg()[0]) > QUIET:
        _tell(f"{busy:.1f} programs run on this machine: its timings are not what they are when it is quiet")
    started = time.monotonic()
    profile = load_profile("host")
    models = profile_device(
        *(profile, space),
        runtimes=tuple(RUNTIMES),
        networks=networks,
        holdout=unseen,
        seed=seed,
        progress=lambda stage, done: _tell(f"{(time.monotonic() - started) / 60:.1f} min: {stage} {100 * done:.0f} %"),
    )
    figures: dict[str, float] = {"host_minutes": (time.monotonic() - started) / 60}
    repeats: dict[str, list[float]] = {"within5": [], "within10": []}
    with MeasurementStore() as store:
        for runtime, name in RUNTIMES.items():
            quality = models[runtime].quality
            figures |= {f"host_{name}_{what}": getattr(quality, what) for what in WHAT}
            for what, shares in repeats.items():
                share = getattr(quality, f"repeatability_{what}")
                if share is not None:
                    figures[f"host_{name}_repeat_{what}"] = share
                    shares.append(share)
            figures |= {
                f"host_{name}_{what}": value for what, value in _timings(store, profile, models[runtime]).items()
            }
    return figures | {f"host_repeat_{what}": min(found) for what, found in repeats.items() if found}


def _timings(store: MeasurementStore, profile: HardwareProfile, model: LatencyModel) -> dict[str, float]:
    """How far the timings that a model was made from can be relied on."""
    space = get_space(model.space)
    stored = store.query(device_fingerprint=device_fingerprint(profile), runtime=model.runtime, space=model.space)
    timings = [timing for timing in stored if model.is_about(timing)]
    if not timings:
        return {}
    figures = {"untrusted": float(np.mean([not timing.trusted for timing in timings]))}
    first_ms, again_ms = timed_twice(comparable(timings, space), space)
    return figures | ({"repeat_mape": float(relative_errors(first_ms, again_ms).mean())} if len(first_ms) else {})


def _tell(what: str) -> None:
    print(f"host: {what}", file=sys.stderr, flush=True)
