"""The demo, timed: profile this machine, search, build and report with the built-in digits, from an empty cache.

    python benchmarks/quickstart.py [--json] [--seed S] [--quick] [--keep FOLDER]

With ``--json`` one object goes to stdout, everything else to stderr. ``--quick`` takes few networks, ONNX
Runtime alone and one iteration, to see that all works; its figures say nothing of quality. Data: scikit-learn's
handwritten digits; weights: the supernet shipped with natdeploy.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
#: Networks that the predictor was not trained on, for its coverage to mean something.
LEAST_HOLDOUT = 100
QUICK: Mapping[str, Any] = {
    "runtime": "onnxruntime",  # compiling the kernels of many networks takes longer than a minute
    "profile.networks": 30,
    "profile.holdout": 10,
    "profile.runtimes": ["onnxruntime"],
    "search.initial": 8,
    "search.iterations": 1,
    "search.candidates": 4,
    "adapt.warm_up_epochs": 1,
    "adapt.epochs_per_iteration": 1,
    "build.pick": "best",
}


def measure(folder: Path, *, seed: int, quick: bool) -> dict[str, Any]:
    """Do the demo's job in an empty folder and gather its figures."""
    os.environ["NATDEPLOY_HOME"] = str(folder / "home")
    from benchmarks.environment import environment
    from natdeploy import verbs
    from natdeploy.cli.output import progress_on_stderr
    from natdeploy.latency import LatencyModel
    from natdeploy.runs import RunFolder

    started = time.monotonic()
    overrides = {"seed": seed, "out": str(folder / "run"), **(QUICK if quick else {})}
    with progress_on_stderr() as progress:
        result = verbs.run(CHECKOUT / "examples" / "digits.yaml", overrides=overrides, progress=progress)
    seconds_total = time.monotonic() - started
    run = RunFolder(result.search.run)
    quality = LatencyModel.load(run.latency_model_path).quality
    if not quick and (quality.evaluated_on != "holdout" or quality.networks < LEAST_HOLDOUT):
        raise SystemExit(
            f"quickstart: the predictor was judged by {quality.evaluated_on} on {quality.networks} networks; "
            f"figures need {LEAST_HOLDOUT} that it was not trained on; the machine was too busy to time them, try again"
        )
    best = next(bundle for bundle in result.build.bundles if "best" in bundle.picked_as)
    figures = {
        "seconds_total": seconds_total,
        **{f"seconds_{stage}": seconds for stage, seconds in result.seconds.items()},
        "test_top1": best.test_top1,
        "test_images": best.test_images,
        "budget_ms": best.budget_ms,
        "predicted_ms": best.predicted_ms,
        "measured_ms": best.measured_ms,
        "measured_over_budget": best.measured_ms / best.budget_ms,
        "predicted_over_measured": best.predicted_ms / best.measured_ms,
        "macs": best.macs,
        "bundle_bytes": best.bytes,
        "coverage_90": quality.coverage,
        "interval_width_90": quality.interval_width,
        "coverage_networks": quality.networks,
        "predictor_within10": quality.within10,
        "predictor_spearman": quality.spearman,
        "repeatability_within10": quality.repeatability_within10,
        "front_size": len(result.search.front),
        "hypervolume_first": result.search.summary["hypervolume_first"],
        "hypervolume_last": result.search.summary["hypervolume_last"],
        "hypervolume_random": result.search.summary["hypervolume_random"],
        **{f"hypervolume_{step}": value for step, value in enumerate(result.search.hypervolume)},
    }
    return {
        "benchmark": "quickstart",
        "figures": {name: value for name, value in figures.items() if value is not None},
        "environment": environment(seed=seed, quick=quick),
    }


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import answer, keep_option, parser_of, working_folder

    parser = parser_of(__doc__, quick="a small form, in about a minute")
    keep_option(parser)
    options = parser.parse_args()
    with working_folder(parser, options.keep) as folder:
        answer(parser, lambda: measure(folder, seed=options.seed, quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    main()
