"""What the archive keeps: feasible before infeasible, front before front, evenly spread along reference directions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from natdeploy.runs import ArchiveEntry, on_task
from natdeploy.runs.certainty import tied_for_best
from natdeploy.runs.quantities import argument_of
from natdeploy.search.algorithms import reference_directions
from natdeploy.search.objectives import ObjectiveSet


def non_dominated(costs: np.ndarray) -> np.ndarray:
    """Indices of points ``[n, m]``, to be minimised, that no other point dominates; of equal ones the first."""
    keep = []
    for index, point in enumerate(costs):
        better = (costs <= point).all(axis=1)
        strictly = better & (costs < point).any(axis=1)
        if not strictly.any() and not better[:index].any():
            keep.append(index)
    return np.array(keep, dtype=np.int64)


def front(entries: Sequence[ArchiveEntry], objectives: ObjectiveSet) -> list[ArchiveEntry]:
    """Feasible entries that no feasible one dominates, by ascending latency."""
    feasible = [entry for entry in entries if entry.feasible]
    chosen = [feasible[index] for index in non_dominated(objectives.costs(feasible))]
    return sorted(chosen, key=lambda entry: (entry.latency_ms, entry.id))


def first_fronts(entries: Sequence[ArchiveEntry], objectives: ObjectiveSet, count: int) -> list[ArchiveEntry]:
    """The feasible entries of the first ``count`` fronts, front by front: each is what remains without those before."""
    found: list[ArchiveEntry] = []
    left = list(entries)
    for _ in range(count):
        best = front(left, objectives)
        found += best
        archs = {entry.arch for entry in best}
        left = [entry for entry in left if entry.arch not in archs]
    return found


def keep(
    entries: Sequence[ArchiveEntry], size: int | None, objectives: ObjectiveSet, *, seed: Sequence[int]
) -> list[ArchiveEntry]:
    """At most ``size`` of the entries (all of them without one), in their order, by reference-direction survival.

    The survival is NSGA-III's (Deb & Jain 2014). The best feasible entry of each objective always stays (as far as
    ``size`` goes), and so does, for each data set and each device, the slowest of those within its budget that
    validation cannot tell from the most accurate one: a few images' chance may make it look dominated, and it is what
    a build spends its budget on.
    Infeasible entries follow the feasible ones, by how far they are over budget or limits.
    """
    if size is None or len(entries) <= size:
        return list(entries)
    costs = objectives.costs(entries)
    feasible = np.array([index for index, entry in enumerate(entries) if entry.feasible], dtype=np.int64)
    infeasible = [index for index, entry in enumerate(entries) if not entry.feasible]
    infeasible.sort(key=lambda index: (objectives.requirements.over(entries[index]), entries[index].id))
    if len(feasible) <= size:
        kept = {*feasible.tolist(), *infeasible[: size - len(feasible)]}
    else:
        values = costs[feasible]  # of equal extremes, the one that is better in all
        extremes = dict.fromkeys(int(feasible[np.lexsort((values.sum(1), column))[0]]) for column in values.T)
        extremes |= dict.fromkeys(_slowest_of_the_best(entries, feasible, objectives))
        survivors = feasible[_survivors(values, size, seed)]
        kept = set(list(dict.fromkeys([*extremes, *survivors.tolist()]))[:size])
    return [entry for index, entry in enumerate(entries) if index in kept]


def _slowest_of_the_best(
    entries: Sequence[ArchiveEntry], feasible: np.ndarray, objectives: ObjectiveSet
) -> Iterator[int]:
    """Indices, one for each data set and device that anything serves."""
    needs = objectives.requirements
    for budget in needs.budgets:
        served = [int(index) for index in feasible if needs.serving([budget], entries[index])]
        for objective in objectives.learned if served else ():
            seen = {on_task(entries[index], argument_of(objective.name)): index for index in served}
            slowest = max(tied_for_best(list(seen)), key=lambda entry: (entry.value(budget), entry.top1))
            yield seen[slowest]


def _survivors(costs: np.ndarray, size: int, seed: Sequence[int]) -> np.ndarray:
    """Indices of the survivors, whole fronts first."""
    from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem

    survival = ReferenceDirectionSurvival(reference_directions(costs.shape[1], size))
    problem = Problem(n_var=1, n_obj=costs.shape[1])
    everyone = Population.new("X", np.arange(len(costs), dtype=float)[:, None], "F", costs)
    left = survival.do(problem, everyone, n_survive=size, random_state=np.random.default_rng(list(seed)))
    return np.asarray(left.get("X"))[:, 0].astype(np.int64)
