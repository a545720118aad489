"""How well accuracy surrogates rank subnets they have not seen, learned from 100 and from 300 measured ones.

    python benchmarks/surrogates.py [--json] [--seed S] [--quick] [--table FILE]

Data: ImageNet top-1 of OFA-MobileNetV3 subnets measured by DyNAS-T, ``../shared/data/accuracy`` beside the checkout, or
FILE with the same columns. Figures are means of five random splits, judged on all subnets that were not learned from:
Kendall's tau of ``auto`` (``tau_100``, ``tau_300``), and of every surrogate and of MACs alone by name. The table comes
from evolutionary searches, so that MACs alone rank it well: read every row beside that one. ``--quick`` does one split
of 100.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
SIZES = (100, 300)
SPLITS = 5


def measure(table: Path, *, seed: int, quick: bool) -> dict[str, Any]:
    """Judge every surrogate. Raises BadInput for a table that cannot be read or is too small."""
    from benchmarks.environment import environment
    from benchmarks.ofa_accuracies import read_table
    from natdeploy.ground.errors import BadInput
    from natdeploy.search.surrogates import SURROGATES, AutoSurrogate, agreement, make_surrogate
    from natdeploy.spaces import get_space

    data = read_table(table)
    space = get_space("ofa-mbv3-w1.0")
    features = np.array([space.factored(arch) for arch in data.archs])
    sizes, splits = (SIZES[:1], 1) if quick else (SIZES, SPLITS)
    if len(features) < max(sizes) + 10:
        raise BadInput(f"{table}: {len(features)} distinct subnets, at least {max(sizes) + 10} are needed")
    figures: dict[str, float] = {"subnets": len(features), "splits": splits}
    for size in sizes:
        found: dict[str, list[dict[str, float | None]]] = {}
        for split in range(splits):
            order = np.random.default_rng([seed, split]).permutation(len(features))
            learned, judged = order[:size], order[size:]
            found.setdefault("macs", []).append(agreement(data.macs[judged], data.top1[judged]))
            for name in SURROGATES.names():
                surrogate = make_surrogate(name, seed + split)
                surrogate.fit(features[learned], data.top1[learned])
                quality = agreement(surrogate.predict(features[judged]).mean, data.top1[judged])
                found.setdefault(name, []).append(quality)
                chosen = f" ({surrogate.chosen})" if isinstance(surrogate, AutoSurrogate) else ""
                print(f"n = {size}, split {split}: {name}{chosen} {_row(quality)}", file=sys.stderr, flush=True)
        for name, qualities in found.items():
            prefix = "" if name == "auto" else f"{name.replace('-', '_')}_"
            for short, long in (("rho", "spearman"), ("tau", "kendall"), ("rmse", "rmse")):
                if (name, short) != ("macs", "rmse"):
                    figures[f"{prefix}{short}_{size}"] = float(np.mean([quality[long] for quality in qualities]))
    about = {"data": str(table.name), "encoding": "factored: active, kernel, expand ratio of each block as numbers"}
    return {
        "benchmark": "surrogates",
        "figures": figures,
        "environment": {**environment(seed=seed, quick=quick), **about},
    }


def _row(quality: dict[str, float | None]) -> str:
    return " / ".join(f"{quality[measure]:.3f}" for measure in ("spearman", "kendall", "rmse"))


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.ofa_accuracies import TABLE
    from benchmarks.output import answer, parser_of

    parser = parser_of(__doc__, quick="one split of 100, in under a minute")
    parser.add_argument("--table", type=Path, help="a table with the same columns, .csv or .csv.gz")
    options = parser.parse_args()
    answer(
        parser, lambda: measure(options.table or TABLE, seed=options.seed, quick=options.quick), as_json=options.json
    )


if __name__ == "__main__":
    main()
