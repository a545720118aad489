"""How much a search finds with how few evaluations: accuracy and MACs over the whole ``ofa-mbv3-w1.0`` space at 224.

    python benchmarks/search_efficiency.py [--json] [--seed S] [--quick] [--seeds N]

The accuracy comes from an oracle, not from measurements: the predictor that OFA's authors published, corrected by a
line fitted on measured subnets (``../shared/data/accuracy`` beside the checkout). Architectures are drawn from the
space, and a search knows only what it has evaluated; equal architectures are never paid for twice. Four searches:

    ours     natdeploy's own steps (initial archive, surrogate, evolution, choice, survival) with weights that stay
    linas    our reading of LINAS (Cummings et al. 2022), after its implementation in dynast 1.6.0
    nsga2    pymoo's NSGA-II on the oracle itself
    random   every depth, kernel and expand ratio equally likely

Figures: ``hv_100`` and ``hv_250``, the hypervolume of our first 100 and 250 evaluations as a share of the box up to
30 % error and 600 M MACs, mean over ten seeds; ``hv_linas_250`` and so on are the others'; ``..._std`` are the spreads
over the seeds. ``--quick`` does one seed up to 100.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from natdeploy.spaces import Arch

CHECKOUT = Path(__file__).resolve().parents[1]
#: The reference point: error as a share, and millions of MACs.
REFERENCE = (0.30, 600.0)
BUDGETS = (100, 250)
SEEDS = 10
#: Sizes of our search: what is evaluated before it starts, and each round.
INITIAL, CANDIDATES = 30, 10
#: NSGA-II's population: of 10, 20, 30 and 50 the one that does best here.
NSGA2_POPULATION = 10
#: LINAS as dynast sets it up: how many it evaluates each round, and how many its predictor judges.
LINAS_POPULATION, LINAS_JUDGED = 50, 20_000


@dataclass(frozen=True)
class Accuracy:
    """The oracle's word in the form of an evaluation; it knows no loss, so ``images`` has nothing to outweigh."""

    top1: float
    loss: float = 0.0
    images: int = 50_000


@dataclass(frozen=True, eq=False)
class Megamacs:
    """Millions of MACs in a latency's place: known exactly, so the interval has no width."""

    mean_ms: np.ndarray
    lower_ms: np.ndarray
    upper_ms: np.ndarray


class Task:
    """One search's view of the problem: it counts and keeps what is evaluated, in order.

    Stands in for the latency model and for the evaluator of natdeploy's own search.
    """

    num_classes, data_fingerprint = 1000, "oracle"

    def __init__(self, oracle: Callable[[Sequence[Arch]], np.ndarray]) -> None:
        from benchmarks.ofa_accuracies import space_at_224
        from natdeploy.latency.inputs.gene_sums import GeneSums
        from natdeploy.search import Estimator

        self.space = space_at_224()
        self.evaluated: dict[Arch, float] = {}
        self._oracle = oracle
        self._macs = GeneSums(self.space, lambda layers: np.array([sum(layer.macs for layer in layers)], np.float64))
        self.estimator = Estimator(self.space, self, REFERENCE[1], self.num_classes)

    def predict(self, archs: Sequence[Arch], *, num_classes: int | None = None) -> Megamacs:
        """As a latency model: MACs in millions, always with a thousand classes."""
        macs = self._macs(archs)[:, 0] / 1e6
        return Megamacs(macs, macs, macs)

    def save(self, path: Path) -> None:
        """As a latency model and evaluator: there is nothing to keep."""

    def evaluate(self, arch: Arch) -> Accuracy:
        """As an evaluator: ask the oracle."""
        if arch not in self.evaluated:
            self.evaluated[arch] = float(self._oracle([arch])[0]) / 100
        return Accuracy(self.evaluated[arch])

    def warm_up(self, progress: object) -> None:
        """The weights stay."""

    def adapt(self, iteration: int, sample: object, progress: object) -> None:
        """The weights stay."""

    def costs(self, genomes: np.ndarray) -> np.ndarray:
        """Evaluate genomes: error and millions of MACs, ``[n, 2]``."""
        archs = [self.space.decode(genome) for genome in genomes]
        errors = [1 - self.evaluate(arch).top1 for arch in archs]
        return np.stack([errors, self.predict(archs).mean_ms], axis=1)

    def hypervolume(self, evaluations: int) -> float:
        """Share of the box below the reference point that the first evaluations dominate."""
        from natdeploy.search import dominated_share

        archs = list(self.evaluated)[:evaluations]
        if len(archs) < evaluations:
            raise RuntimeError(f"a search stopped after {len(archs)} of {evaluations} evaluations")
        costs = np.stack([[1 - self.evaluated[arch] for arch in archs], self.predict(archs).mean_ms], axis=1)
        return dominated_share(costs / REFERENCE)


def ours(task: Task, evaluations: int, seed: int) -> None:
    """Natdeploy's search, step by step, with the defaults of a run but for the sizes."""
    from natdeploy.runs import AdaptSettings, RunConfig, SearchSettings
    from natdeploy.search.state import State
    from natdeploy.search.steps import NatSteps

    config = RunConfig(
        space=task.space.name,
        latency_ms=REFERENCE[1],
        seed=seed,
        threads=1,
        search=SearchSettings(
            initial=INITIAL,
            candidates=CANDIDATES,
            iterations=-(-(evaluations - INITIAL) // CANDIDATES),
            archive=300,
            random_baseline=False,
        ),
        adapt=AdaptSettings(warm_up_epochs=0, epochs_per_iteration=0),
    )
    steps = NatSteps(config, task.estimator, task)
    state = State(data_fingerprint=task.data_fingerprint)
    for step in steps.plan():
        state = steps.run(step, state, None)


def nsga2(task: Task, evaluations: int, seed: int) -> None:
    """NSGA-II on the oracle, from random architectures."""
    from natdeploy.search.evolution import evolve

    evolve(
        task.space,
        lambda genomes: (task.costs(genomes), np.full(len(genomes), -1.0)),
        _random_genomes(task, NSGA2_POPULATION, seed),
        _settings(NSGA2_POPULATION, evaluations),
        n_objectives=2,
        seed=[seed, 1],
    )


def linas(task: Task, evaluations: int, seed: int) -> None:
    """A random population; then again and again NSGA-II on a predictor, whose last population is evaluated.

    The predictor is ridge regression or a support vector machine on one-hot genes, whichever cross-validates better.
    Kinder to LINAS than its own code: MACs are exact instead of predicted, and no architecture is evaluated twice.
    """
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

    from natdeploy.search.evolution import evolve

    population = _random_genomes(task, LINAS_POPULATION, seed)
    costs = task.costs(population)
    known = list(population)
    for loop in range(1, -(-evaluations // LINAS_POPULATION)):
        predict = _linas_predictor(_genes_one_hot(np.array(known)), costs[:, 0])

        def judge(genomes: np.ndarray, predict: Callable[[np.ndarray], np.ndarray] = predict) -> tuple:
            macs = task.predict([task.space.decode(genome) for genome in genomes]).mean_ms
            return np.stack([predict(_genes_one_hot(genomes)), macs], axis=1), np.full(len(genomes), -1.0)

        start = _random_genomes(task, LINAS_POPULATION, seed, loop)
        evolved = evolve(
            task.space, judge, start, _settings(LINAS_POPULATION, LINAS_JUDGED), n_objectives=2, seed=[seed, loop, 2]
        )
        old = {genome.tobytes() for genome in known}
        new = np.array([row for row, genome in enumerate(evolved.genomes) if genome.tobytes() not in old])
        everyone = Population.new("X", new[:, None].astype(float), "F", evolved.costs[new])
        rng = np.random.default_rng([seed, loop, 3])
        left = RankAndCrowding().do(Problem(n_var=1, n_obj=2), everyone, n_survive=LINAS_POPULATION, random_state=rng)
        population = evolved.genomes[np.asarray(left.get("X"))[:, 0].astype(int)]
        costs = np.vstack([costs, task.costs(population)])
        known.extend(population)


def random(task: Task, evaluations: int, seed: int) -> None:
    """Random architectures."""
    from natdeploy.search.random_baseline import draw_random

    for estimate in draw_random(task.estimator, evaluations, seed=[seed, 4]):
        task.evaluate(estimate.arch)


SEARCHES: dict[str, Callable[[Task, int, int], None]] = {
    "": ours,
    "linas_": linas,
    "nsga2_": nsga2,
    "random_": random,
}


def _random_genomes(task: Task, count: int, *seed: int) -> np.ndarray:
    """Distinct random genomes, every gene's choices equally likely."""
    from natdeploy.search.random_baseline import draw_random

    return np.array([task.space.encode(item.arch) for item in draw_random(task.estimator, count, seed=[*seed, 5])])


def _settings(population: int, evaluations: int) -> Any:
    from natdeploy.runs import SearchSettings

    return SearchSettings(population=population, surrogate_evaluations=evaluations, algorithm="nsga2")


def _genes_one_hot(genomes: np.ndarray) -> np.ndarray:
    """Kernel and expand ratio of each of 20 places one-hot, zeros where absent, ``[n, 120]``."""
    genes = genomes[:, 2:]
    kernels = (genes[..., None] > 0) & ((genes[..., None] - 1) % 3 == np.arange(3))
    expands = (genes[..., None] > 0) & ((genes[..., None] - 1) // 3 == np.arange(3))
    return np.concatenate([kernels, expands], axis=2).reshape(len(genomes), -1).astype(np.float64)


def _linas_predictor(features: np.ndarray, values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Best of ridge and RBF-SVM by cross-validated percentage error, on dynast's scales of regularisation."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVR

    scaled = (1 - values) * 100 / 10  # accuracies between 0 and 10, as dynast scales them
    strengths = np.array([0.1, 0.2, 0.5, 1, 2, 5, 10])
    searches = [
        GridSearchCV(model, {name: list(grid)}, scoring="neg_mean_absolute_percentage_error").fit(features, scaled)
        for model, name, grid in (
            (Ridge(), "alpha", strengths),
            (SVR(kernel="rbf", gamma="auto", epsilon=0.0), "C", 10 * strengths),
        )
    ]
    best = max(searches, key=lambda search: search.best_score_)
    return lambda asked: 1 - best.predict(asked) / 10


def measure(*, seed: int, seeds: int, quick: bool) -> dict[str, Any]:
    """Run all searches with all seeds."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from benchmarks.environment import environment
    from benchmarks.ofa_accuracies import PREDICTOR, TABLE, Oracle

    oracle = Oracle()
    budgets = BUDGETS[:1] if quick else BUDGETS
    seeds = 1 if quick else seeds
    figures: dict[str, float] = {"seeds": seeds}
    with threadpool_limits(1):
        for prefix, search in SEARCHES.items():
            found: dict[int, list[float]] = {budget: [] for budget in budgets}
            for index in range(seeds):
                started, task = time.monotonic(), Task(oracle)
                search(task, max(budgets), seed + index)
                for budget in budgets:
                    found[budget].append(task.hypervolume(budget))
                line = ", ".join(f"{values[-1]:.4f} at {budget}" for budget, values in found.items())
                seconds = time.monotonic() - started
                print(f"{search.__name__}, seed {seed + index}: {line} ({seconds:.0f} s)", file=sys.stderr, flush=True)
            for budget, values in found.items():
                figures[f"hv_{prefix}{budget}"] = float(np.mean(values))
                if seeds > 1:
                    figures[f"hv_{prefix}{budget}_std"] = float(np.std(values, ddof=1))
    about = {
        "data": [PREDICTOR.name, TABLE.name],
        "accuracy": "an oracle: OFA's published predictor, corrected by a line fitted on measured subnets",
        "oracle_spearman_measured": oracle.rank_correlation,
        "reference_point": {"error": REFERENCE[0], "macs": REFERENCE[1] * 1e6},
    }
    return {
        "benchmark": "search_efficiency",
        "figures": figures,
        "environment": {**environment(seed=seed, quick=quick), **about},
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--seed", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many")
    parser.add_argument("--quick", action="store_true", help="one seed up to 100 evaluations")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error("--seeds: at least 1")
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import print_found
    from natdeploy.ground.errors import NatdeployError

    try:
        found = measure(seed=options.seed, seeds=options.seeds, quick=options.quick)
    except NatdeployError as error:
        parser.error(str(error))
    print_found(found, as_json=options.json)


if __name__ == "__main__":
    main()
