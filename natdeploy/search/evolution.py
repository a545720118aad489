"""Evolution over integer genomes by pymoo's ask-and-tell; the caller judges, nothing is trained or run here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from natdeploy.runs import SearchSettings
from natdeploy.search.algorithms import ALGORITHMS, algorithm_name
from natdeploy.spaces import Space

#: Takes distinct canonical genomes ``[n, genes]``; gives costs ``[n, objectives]`` to be minimised and by how much each
#: breaks the constraint, ``[n]``, at most 0 where it is met.
Judge = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Evolved:
    """Every distinct genome that was judged, with costs and violations, in order of appearance."""

    genomes: np.ndarray
    costs: np.ndarray
    violations: np.ndarray


def evolve(
    space: Space,
    judge: Judge,
    start: Sequence[np.ndarray] | np.ndarray,
    settings: SearchSettings,
    *,
    n_objectives: int,
    seed: Sequence[int],
) -> Evolved:
    """Evolve from ``start`` (canonical genomes, at least one) until the judgements are spent.

    Two-point crossover and polynomial mutation over whole numbers; every offspring is repaired to its canonical genome,
    and a genome that is there already is not judged again, so equal phenotypes are never judged twice. Ends early when
    the space has no further offspring to give, whether anything meets the constraint or not.
    """
    from pymoo.core.evaluator import Evaluator
    from pymoo.core.problem import Problem
    from pymoo.operators.crossover.pntx import TwoPointCrossover
    from pymoo.operators.mutation.pm import PM
    from pymoo.problems.static import StaticProblem
    from pymoo.termination.max_gen import MaximumGenerationTermination

    sizes = np.array(space.gene_sizes)
    problem = Problem(n_var=len(sizes), n_obj=n_objectives, n_ieq_constr=1, xl=np.zeros(len(sizes)), xu=sizes - 1.0)
    name = algorithm_name(settings.algorithm, n_objectives)
    generations = -(-settings.surrogate_evaluations // settings.population)  # as many as there are without repeats
    algorithm = ALGORITHMS.get(name)(
        n_objectives,
        settings.population,
        generations,
        sampling=_population(space, start, settings, seed),
        crossover=TwoPointCrossover(prob=settings.crossover_probability),
        mutation=PM(prob=1.0, eta=settings.mutation_eta),
        repair=_canonical(space),
    )
    algorithm.setup(problem, termination=MaximumGenerationTermination(generations), seed=list(seed), verbose=False)
    seen: dict[bytes, int] = {}
    genomes: list[np.ndarray] = []
    costs: list[np.ndarray] = []
    violations: list[float] = []
    barren = 0
    while len(genomes) < settings.surrogate_evaluations and barren < 10:
        offspring = algorithm.ask()
        if offspring is None or not len(offspring):
            break
        asked = np.asarray(offspring.get("X")).astype(np.int64)
        new = [genome for genome in asked if genome.tobytes() not in seen]
        barren = 0 if new else barren + 1
        if new:
            new_costs, new_violations = judge(np.array(new))
            for genome, cost, violation in zip(new, new_costs, new_violations):
                seen[genome.tobytes()] = len(genomes)
                genomes.append(genome)
                costs.append(cost)
                violations.append(float(violation))
        rows = [seen[genome.tobytes()] for genome in asked]
        found = StaticProblem(problem, F=np.array([costs[row] for row in rows]), G=np.array(violations)[rows][:, None])
        Evaluator().eval(found, offspring)
        algorithm.tell(infills=offspring)
    return Evolved(np.array(genomes), np.array(costs), np.array(violations))


def _population(
    space: Space, start: Sequence[np.ndarray] | np.ndarray, settings: SearchSettings, seed: Sequence[int]
) -> np.ndarray:
    """A population's distinct genomes: the start's first, then random ones (fewer where the space has no more)."""
    size = settings.population
    rng = np.random.default_rng([*seed, 1])
    chosen = {np.asarray(genome, np.int64).tobytes(): np.asarray(genome, np.int64) for genome in start}
    for _ in range(20 * size):
        if len(chosen) >= size:
            break
        genome = space.encode(space.sample(rng, uniform=settings.sampling))
        chosen.setdefault(genome.tobytes(), genome)
    return np.array(list(chosen.values())[:size])


def _canonical(space: Space) -> Any:
    """pymoo's repair: round to whole numbers, then to the canonical genome."""
    from pymoo.core.repair import Repair

    class Canonical(Repair):
        """Every individual becomes a canonical genome."""

        def _do(self, problem: Any, X: np.ndarray, **kwargs: Any) -> np.ndarray:
            whole = np.clip(np.around(np.asarray(X, float)), problem.xl, problem.xu).astype(np.int64)
            return np.array([space.repair(genome) for genome in whole])

    return Canonical()
