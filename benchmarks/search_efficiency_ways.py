"""The searches that ``search_efficiency.py`` compares, and what each of them sees of the problem.

A search gets a :class:`Task` of its own and never more than that: the space, exact MACs of every architecture, and the
oracle's word on one architecture at a time, which is what is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from natdeploy.spaces import Arch

Oracle = Callable[[Sequence["Arch"]], np.ndarray]

#: The reference point: error as a share, and millions of MACs.
REFERENCE = (0.30, 600.0)


@dataclass(frozen=True)
class Sizes:
    """How large the searches' parts are.

    Attributes:
        initial, candidates: of our search: what is evaluated before it starts, and each round.
        nsga2_population: of 10, 20, 30 and 50 the one that does best with the benchmark's ten seeds.
        linas_population, linas_judged: as dynast sets LINAS up: how many it evaluates each round, and how many its
            predictor judges.
    """

    initial: int = 30
    candidates: int = 10
    nsga2_population: int = 20
    linas_population: int = 50
    linas_judged: int = 20_000


@dataclass(frozen=True)
class Outcome:
    """Error and millions of MACs of what a search evaluated, in order, ``[n, 2]``, and its processor time."""

    costs: list[list[float]]
    seconds: float


def one_search(oracle: Oracle, name: str, seed: int, evaluations: int, sizes: Sizes) -> Outcome:
    """Search by that name in :data:`SEARCHES`, in one thread, until there are so many evaluations."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        task, started = Task(oracle), time.process_time()
        SEARCHES[name](task, evaluations, seed, sizes)
        return Outcome(task.found().tolist(), time.process_time() - started)


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

    def __init__(self, oracle: Oracle) -> None:
        from benchmarks.ofa_accuracies import space_at_224
        from natdeploy.latency.inputs.gene_sums import GeneSums
        from natdeploy.search import Estimator

        self.space = space_at_224()
        self.evaluated: dict[Arch, float] = {}
        self._oracle = oracle
        self._macs = GeneSums(self.space, lambda layers: np.array([sum(layer.macs for layer in layers)], np.float64))
        self.estimator = Estimator(self.space, self, REFERENCE[1], self.num_classes)

    def predict(self, archs: Sequence[Arch] | np.ndarray, *, num_classes: int | None = None) -> Megamacs:
        """As a latency model: MACs in millions of architectures or genomes, always with a thousand classes."""
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
        errors = [1 - self.evaluate(self.space.decode(genome)).top1 for genome in genomes]
        return np.stack([errors, self.predict(genomes).mean_ms], axis=1)

    def found(self) -> np.ndarray:
        """Costs of everything evaluated, in order."""
        errors = [1 - top1 for top1 in self.evaluated.values()]
        return np.stack([errors, self.predict(list(self.evaluated)).mean_ms], axis=1)


def ours(task: Task, evaluations: int, seed: int, sizes: Sizes) -> None:
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
            initial=sizes.initial,
            candidates=sizes.candidates,
            iterations=-(-(evaluations - sizes.initial) // sizes.candidates),
            archive=300,
            random_baseline=False,
        ),
        adapt=AdaptSettings(warm_up_epochs=0, epochs_per_iteration=0),
    )
    steps = NatSteps(config, task.estimator, task)
    state = State(data_fingerprint=task.data_fingerprint)
    for step in steps.plan():
        state = steps.run(step, state, None)


def nsga2(task: Task, evaluations: int, seed: int, sizes: Sizes) -> None:
    """NSGA-II on the oracle, from random architectures."""
    from natdeploy.search.evolution import evolve

    evolve(
        task.space,
        lambda genomes: (task.costs(genomes), np.full(len(genomes), -1.0)),
        _random_genomes(task, sizes.nsga2_population, seed),
        _settings(sizes.nsga2_population, evaluations),
        n_objectives=2,
        seed=[seed, 1],
    )


def linas(task: Task, evaluations: int, seed: int, sizes: Sizes, *, in_round: int | None = None) -> None:
    """A random population; then again and again NSGA-II on a predictor, whose last population is evaluated.

    ``in_round`` says how many of it where it is less, and less is judged each round, as much in all.

    The predictor is ridge regression or a support vector machine on one-hot genes, whichever cross-validates better.
    Kinder to LINAS than its own code: MACs are exact instead of predicted, and no architecture is evaluated twice.
    """
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

    from natdeploy.search.evolution import evolve

    size = in_round or sizes.linas_population
    population = _random_genomes(task, size, seed)
    costs = task.costs(population)
    known = list(population)
    for loop in range(1, -(-evaluations // size)):
        predict = _linas_predictor(_genes_one_hot(np.array(known)), costs[:, 0])

        def judge(genomes: np.ndarray, predict: Callable[[np.ndarray], np.ndarray] = predict) -> tuple:
            found = np.stack([predict(_genes_one_hot(genomes)), task.predict(genomes).mean_ms], axis=1)
            return found, np.full(len(genomes), -1.0)

        start = _random_genomes(task, sizes.linas_population, seed, loop)
        settings = _settings(sizes.linas_population, sizes.linas_judged * size // sizes.linas_population)
        evolved = evolve(task.space, judge, start, settings, n_objectives=2, seed=[seed, loop, 2])
        old = {genome.tobytes() for genome in known}
        new = np.array([row for row, genome in enumerate(evolved.genomes) if genome.tobytes() not in old])
        everyone = Population.new("X", new[:, None].astype(float), "F", evolved.costs[new])
        rng = np.random.default_rng([seed, loop, 3])
        left = RankAndCrowding().do(Problem(n_var=1, n_obj=2), everyone, n_survive=size, random_state=rng)
        population = evolved.genomes[np.asarray(left.get("X"))[:, 0].astype(int)]
        costs = np.vstack([costs, task.costs(population)])
        known.extend(population)


def ours_in_large_rounds(task: Task, evaluations: int, seed: int, sizes: Sizes) -> None:
    """Natdeploy's search with as many evaluations each round, and before the first, as LINAS has."""
    ours(task, evaluations, seed, replace(sizes, initial=sizes.linas_population, candidates=sizes.linas_population))


def linas_in_small_rounds(task: Task, evaluations: int, seed: int, sizes: Sizes) -> None:
    """LINAS that learns as often as natdeploy's search does."""
    linas(task, evaluations, seed, sizes, in_round=sizes.candidates)


def random(task: Task, evaluations: int, seed: int, sizes: Sizes) -> None:
    """Random architectures."""
    from natdeploy.search.random_baseline import draw_random

    for estimate in draw_random(task.estimator, evaluations, seed=[seed, 4]):
        task.evaluate(estimate.arch)


SEARCHES: dict[str, Callable[[Task, int, int, Sizes], None]] = {
    "ours": ours,
    "ours_in_large_rounds": ours_in_large_rounds,
    "linas": linas,
    "linas_in_small_rounds": linas_in_small_rounds,
    "nsga2": nsga2,
    "random": random,
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
