"""How much a search finds with how few evaluations: accuracy and MACs over the whole ``ofa-mbv3-w1.0`` space at 224.

    python benchmarks/search_efficiency.py [--json] [--seed S] [--quick] [--seeds N] [--jobs N] [--keep FOLDER]

The accuracy comes from an oracle, not from measurements: the predictor that OFA's authors published, corrected by a
line fitted on measured subnets (``../shared/data/accuracy`` beside the checkout). Architectures are drawn from the
space, never from the table. What is counted is the oracle's answers: a search knows the accuracies that it asked for
and the MACs of everything, and equal architectures are never paid for twice. The searches:

    ours     natdeploy's own steps (initial archive, surrogate, evolution, choice, survival) with weights that stay; 30
             evaluations at first, 10 each round (a run's defaults are 24 and 8), all else as by default
    linas    our reading of LINAS (Cummings et al. 2022), after its implementation in dynast 1.6.0: 50 at first and each
             round. Kinder to it: exact MACs, no repeats
    nsga2    pymoo's NSGA-II on the oracle itself; no repeats, and of four populations the best one here
    random   every depth, kernel and expand ratio equally likely, which does better here than equally likely networks

A search that learns more often knows more. Beside them, so that rounds and methods can be told apart:

    ours_in_large_rounds   ours with 50 at first and each round, as LINAS
    linas_in_small_rounds  LINAS with 10 at first and each round, as many judged by its predictor in all

What speaks for ours: its surrogate was chosen on the measured subnets that the oracle's line is fitted on. What this
does not show: the oracle is smooth and has no noise, and an accuracy that supernets really have may be neither; what
adapting the weights is worth is ``transfer.py``'s question.

Figures: ``hv_100`` and ``hv_250``, the hypervolume of our first 100 and 250 evaluations as a share of the box up to
30 % error and 600 M MACs, mean over ten seeds; ``hv_linas_250``, ``hv_nsga2_250``, ``hv_random_250``,
``hv_large_rounds_250`` (ours) and ``hv_linas_small_rounds_250`` are the others'; ``..._std`` are standard deviations
over the seeds.

``--keep FOLDER`` writes each search's outcome there when it is done, one for each seed: a run that was cut off, or is
given more seeds, takes what is there and does the rest. ``--quick`` does one seed up to 100.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.kept import Place
    from benchmarks.search_efficiency_ways import Outcome, Sizes

CHECKOUT = Path(__file__).resolve().parents[1]
BUDGETS = (100, 250)
SEEDS = 10
#: Searches in the order of the table, and what their figures' names begin with.
PREFIXES = {
    "ours": "",
    "ours_in_large_rounds": "large_rounds_",
    "linas": "linas_",
    "linas_in_small_rounds": "linas_small_rounds_",
    "nsga2": "nsga2_",
    "random": "random_",
}


def measure(
    seeds: Sequence[int],
    *,
    quick: bool,
    keep: Path | None,
    jobs: int,
    budgets: Sequence[int] = BUDGETS,
    sizes: Sizes | None = None,
) -> dict[str, Any]:
    """All searches with all seeds. Raises BadInput for data that is not there, or outcomes of other settings."""
    from benchmarks.environment import environment
    from benchmarks.kept import kept_folder, kept_or_done
    from benchmarks.ofa_accuracies import PREDICTOR, TABLE, Oracle
    from benchmarks.search_efficiency_ways import REFERENCE, Outcome, Sizes, one_search
    from benchmarks.workers import side_by_side
    from natdeploy import __version__

    sizes, oracle = sizes or Sizes(), Oracle()
    line = {"slope": oracle.slope, "intercept": oracle.intercept}
    of = {**asdict(sizes), "evaluations": max(budgets), "oracle": line, "natdeploy": __version__}
    wanted = [(name, seed) for seed in seeds for name in PREFIXES]

    def do(left: list[Place]) -> Iterator[tuple[Place, dict[str, Any]]]:
        parts = {(name, seed): partial(one_search, oracle, name, seed, max(budgets), sizes) for name, seed in left}
        return ((place, asdict(outcome)) for place, outcome in side_by_side(parts, jobs))

    def say(outcome: Mapping[str, Any]) -> str:
        shares = ", ".join(f"{hypervolume(Outcome(**outcome), budget):.4f} at {budget}" for budget in budgets)
        return f"{shares} ({outcome['seconds']:.0f} s)"

    with kept_folder(keep) as folder:
        outcomes = kept_or_done(wanted, folder, kind="seed", of=of, do=do, say=say)
    found = {place: Outcome(**outcome) for place, outcome in outcomes.items()}
    about = {
        "data": [PREDICTOR.name, TABLE.name],
        "accuracy": "an oracle: OFA's published predictor, corrected by a line fitted on measured subnets",
        "oracle_spearman_measured": oracle.rank_correlation,
        "reference_point": {"error": REFERENCE[0], "macs": REFERENCE[1] * 1e6},
        "sizes": asdict(sizes),
        "jobs": jobs,
    }
    return {
        "benchmark": "search_efficiency",
        "figures": {**summary(found, seeds, budgets), "seeds": len(seeds)},
        "environment": {**environment(seed=seeds[0], quick=quick), **about},
    }


def hypervolume(outcome: Outcome, evaluations: int) -> float:
    """Share of the box below the reference point that a search's first evaluations dominate."""
    from benchmarks.search_efficiency_ways import REFERENCE
    from natdeploy.search import dominated_share

    if len(outcome.costs) < evaluations:
        raise RuntimeError(f"a search stopped after {len(outcome.costs)} of {evaluations} evaluations")
    return dominated_share(np.array(outcome.costs[:evaluations]) / REFERENCE)


def summary(found: Mapping[tuple[str, int], Outcome], seeds: Sequence[int], budgets: Sequence[int]) -> dict[str, float]:
    """Mean hypervolume of each search at each budget, and its standard deviation where there are several seeds."""
    figures: dict[str, float] = {}
    for name, prefix in PREFIXES.items():
        for budget in budgets:
            values = [hypervolume(found[name, seed], budget) for seed in seeds]
            figures[f"hv_{prefix}{budget}"] = float(np.mean(values))
            if len(values) > 1:
                figures[f"hv_{prefix}{budget}_std"] = float(np.std(values, ddof=1))
    return figures


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import answer, jobs_option, outcomes_option, parser_of

    parser = parser_of(__doc__, quick="one seed up to 100 evaluations", seed="the first of the seeds")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many")
    outcomes_option(parser)
    jobs_option(parser, "searches")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error("--seeds: at least 1")
    seeds = range(options.seed, options.seed + (1 if options.quick else options.seeds))
    budgets = BUDGETS[:1] if options.quick else BUDGETS
    how = {"quick": options.quick, "keep": options.keep, "jobs": options.jobs, "budgets": budgets}
    answer(parser, lambda: measure(seeds, **how), as_json=options.json)


if __name__ == "__main__":
    main()
