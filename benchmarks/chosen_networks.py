"""Do chosen networks teach a latency predictor more than random ones?

    python benchmarks/chosen_networks.py [--space fbnet|nasbench201] [--seeds 10] [--seed 0] [--quick] [--json]

HELP's published latencies (Lee et al. 2021), tidied: sources are measured on 900 architectures of the table's first
part; of these, n are measured on the target, either drawn at random or chosen as ``natdeploy profile`` chooses them
(``natdeploy.latency.profiling.adaptive``); the next 1,000 are predicted. Figures by n, means over targets and seeds:
``chosen_mape_N``, ``chosen_spearman_N``, ``chosen_within10_N``, ``chosen_coverage_N`` (of 90 % intervals), and the same
of ``random``.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from natdeploy.latency import SourceKnowledge
    from natdeploy.spaces import Arch, Space

CHECKOUT = Path(__file__).resolve().parents[1]
COUNTS = (10, 20, 30, 50)
#: Architectures that the sources are measured on.
KNOWN = 900


def compare(space_name: str, *, counts: Sequence[int] = COUNTS, seeds: Sequence[int] = range(10)) -> dict[str, float]:
    """The figures of a space."""
    from benchmarks.published_latencies import PROTOCOLS, TABLES, read_table
    from natdeploy.latency import SourceKnowledge
    from natdeploy.latency.intervals.quality import point_quality
    from natdeploy.spaces import get_space

    protocol, space = PROTOCOLS[space_name], get_space(space_name)
    table = read_table([TABLES / protocol.file], space_name, protocol.text)
    first = np.flatnonzero(table.ids < protocol.first_part)
    asked = (table.ids >= protocol.first_part) & (table.ids < protocol.first_part + 1000)
    found: dict[str, list[float]] = defaultdict(list)
    for seed in seeds:
        rng = np.random.default_rng([seed, 17])
        rows = np.isin(np.arange(len(table.ids)), rng.permutation(first)[:KNOWN])
        knowledge = SourceKnowledge.of(space, {source: table.of(source, rows) for source in protocol.sources})
        for target in protocol.targets:
            own, query = table.of(target, rows), table.of(target, asked)
            truth = np.array(list(query.values()))
            drawn = [list(own)[row] for row in rng.permutation(len(own))]
            for count in counts:
                ways = {"random": drawn[:count], "chosen": chosen(space, own, count, knowledge, seed)}
                for way, archs in ways.items():
                    said = knowledge.transfer({arch: own[arch] for arch in archs}).predict(list(query), 0.9)
                    quality = point_quality(truth, said.mean_ms)
                    inside = float(np.mean((said.lower_ms <= truth) & (truth <= said.upper_ms)))
                    for what in ("mape", "spearman", "within10"):
                        found[f"{way}_{what}_{count}"].append(getattr(quality, what))
                    found[f"{way}_coverage_{count}"].append(inside)
            print(f"chosen_networks: {target}, seed {seed}", file=sys.stderr, flush=True)
    return {name: float(np.mean(values)) for name, values in found.items()}


def chosen(space: Space, own: dict[Arch, float], count: int, knowledge: SourceKnowledge, seed: int) -> list[Arch]:
    """Networks in the steps of an adaptive profile."""
    from natdeploy.latency.profiling.adaptive import next_networks
    from natdeploy.latency.profiling.goal import FIRST_TRANSFERRED, next_step

    archs = next_networks(space, list(own), {}, min(FIRST_TRANSFERRED, count), knowledge=knowledge, seed=seed)
    while len(archs) < count:
        timed, more = {arch: own[arch] for arch in archs}, min(next_step(len(archs)), count - len(archs))
        archs += next_networks(space, list(own), timed, more, knowledge=knowledge, seed=seed)
    return archs


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.environment import environment
    from benchmarks.output import print_found

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--space", choices=("fbnet", "nasbench201"), default="fbnet")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, not {options.seeds}")
    seeds = range(options.seed, options.seed + (1 if options.quick else options.seeds))
    about = {"space": options.space, "seeds": len(seeds), "data": "HELP, tidied"}
    found = {
        "benchmark": "chosen_networks",
        "figures": compare(options.space, seeds=seeds),
        "environment": {**environment(seed=options.seed, quick=options.quick), **about},
    }
    print_found(found, as_json=options.json)


if __name__ == "__main__":
    main()
