"""Make the accuracy predictor that natdeploy ships, from published measurements.

    python benchmarks/ship_accuracy_predictors.py [--out FOLDER] [--seed S] [--json]

Reads the subnets measured by DyNAS-T in ``shared/data/accuracy`` beside the checkout and writes ``ofa-imagenet.json``
and a README of where it comes from and how good it is into ``natdeploy/search/accuracy/shipped``. Equal tables give
equal files. The measurements themselves are not part of any file of this repository. With ``--json`` the figures are
printed, among them how far the predictor agrees with the one that Once-for-All's authors published, on random subnets:
measured ones come from searches, which see few bad networks.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
SHIPPED = CHECKOUT / "natdeploy" / "search" / "accuracy" / "shipped"
#: No shipped file may be larger.
MAX_BYTES = 2_000_000
SOURCE = "DyNAS-T (github.com/IntelLabs/DyNAS-T, notebooks/data)"
LICENCE = "Apache-2.0"
#: How images enter networks with Once-for-All's weights.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RANDOM_SUBNETS = 2_000


def make(out: Path, *, seed: int) -> dict[str, Any]:
    """Fit, write, describe; the figures."""
    from benchmarks.environment import environment
    from benchmarks.ofa_accuracies import Oracle, read_table, space_at_224
    from natdeploy.ground.files import write_text
    from natdeploy.search.accuracy import fit_accuracy_predictor
    from natdeploy.search.surrogates import agreement

    measured, space = read_table(), space_at_224()
    predictor = fit_accuracy_predictor(
        space,
        measured.archs,
        measured.top1 / 100,
        data="ImageNet",
        num_classes=space.num_classes,
        mean=MEAN,
        std=STD,
        source=SOURCE,
        licence=LICENCE,
    )
    path = out / "ofa-imagenet.json"
    predictor.save(path)
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SystemExit(f"{path}: {size} bytes, at most {MAX_BYTES} are shipped")
    rng = np.random.default_rng(seed)
    drawn = [space.sample(rng, uniform="phenotype") for _ in range(RANDOM_SUBNETS)]
    random = agreement(100 * predictor(drawn), Oracle()(drawn))
    extremes = 100 * predictor([space.smallest(), space.largest()])
    figures = {
        "networks": predictor.networks,
        "kendall": predictor.quality["kendall"],
        "spearman": predictor.quality["spearman"],
        "rmse_points": 100 * predictor.error,
        "published_spearman_random": random["spearman"],
        "published_rmse_points_random": random["rmse"],
        "top1_smallest": float(extremes[0]),
        "top1_largest": float(extremes[1]),
        "bytes": size,
    }
    write_text(out / "README.md", _readme(predictor, figures))
    about = {"data": "dynas_ofa_mbv3_w10_top1.csv.gz", "random_subnets": RANDOM_SUBNETS}
    return {
        "benchmark": "ship_accuracy_predictors",
        "figures": figures,
        "environment": {**environment(seed=seed, quick=False), **about},
    }


def _readme(predictor: Any, figures: dict[str, Any]) -> str:
    return f"""\
# Accuracy predictors from published measurements

Made by `benchmarks/ship_accuracy_predictors.py`; used by `natdeploy search --accuracy predictor:NAME`. Only what was
learned is kept here, not the measurements.

`ofa-imagenet.json`: top-1 on ImageNet's validation images of subnets of `{predictor.space}` with the weights of
Once-for-All's published supernet `ofa_mbv3_d234_e346_k357_w1.0`, not trained further, at 224 pixels only.

| | |
|---|---|
| learned from | {figures["networks"]} distinct subnets measured by {predictor.source}, licence {predictor.licence} |
| model | five perceptrons on factored features (`natdeploy.search.surrogates.mlp`), their mean |
| Kendall's tau on held-out subnets (five-fold) | {figures["kendall"]:.3f} |
| Spearman's rho on held-out subnets | {figures["spearman"]:.3f} |
| RMSE on held-out subnets | {figures["rmse_points"]:.3f} points |
| Spearman's rho with the predictor published by Once-for-All's authors, {RANDOM_SUBNETS} random subnets | \
{figures["published_spearman_random"]:.3f} |
| smallest and largest subnet at 224 pixels | {figures["top1_smallest"]:.1f} % and {figures["top1_largest"]:.1f} % |

The measured subnets come from searches (71.0 to 77.5 %), so held-out ones are like those it learned from; on random
subnets nothing is measured, and agreement with the other predictor is all that can be told.
"""


def main() -> None:
    """Parse, make, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--seed", type=int, default=0, help="of the random subnets")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="folder to write to")
    options = parser.parse_args()
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import print_found

    print_found(make(options.out, seed=options.seed), as_json=options.json)


if __name__ == "__main__":
    main()
