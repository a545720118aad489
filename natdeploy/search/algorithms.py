"""Evolutionary algorithms of pymoo under one interface, chosen by name."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.ground.registry import Registry

#: Name to a callable ``(n_objectives, population, generations, **operators) -> pymoo algorithm``.
ALGORITHMS = Registry(
    "search algorithm",
    {
        "nsga2": "natdeploy.search.algorithms:nsga2",
        "nsga3": "natdeploy.search.algorithms:nsga3",
        "rvea": "natdeploy.search.algorithms:rvea",
        "age-moea": "natdeploy.search.algorithms:age_moea",
    },
)


def algorithm_name(name: str, n_objectives: int) -> str:
    """Resolve ``auto``: NSGA-II for up to two objectives, NSGA-III for more.

    Raises BadInput for an unknown name, and for one that does not do with so few objectives.
    """
    chosen = ("nsga2" if n_objectives <= 2 else "nsga3") if name == "auto" else name
    ALGORITHMS.get(chosen)
    if chosen == "rvea" and n_objectives < 2:
        raise BadInput("search algorithm 'rvea' needs at least two objectives: its directions have no angle otherwise")
    return chosen


def nsga2(n_objectives: int, population: int, generations: int, **operators: Any) -> Any:
    """NSGA-II (Deb et al. 2002)."""
    from pymoo.algorithms.moo.nsga2 import NSGA2

    return NSGA2(pop_size=population, **operators)


def nsga3(n_objectives: int, population: int, generations: int, **operators: Any) -> Any:
    """NSGA-III (Deb & Jain 2014) with a tournament that draws from the algorithm's own random state.

    pymoo's own breaks ties among infeasible ones with an unseeded generator, so that equal seeds give unequal results.
    """
    from pymoo.algorithms.moo.nsga3 import NSGA3
    from pymoo.operators.selection.tournament import TournamentSelection

    directions = reference_directions(n_objectives, population)
    selection = TournamentSelection(func_comp=_less_violation)
    return NSGA3(directions, pop_size=max(population, len(directions)), selection=selection, **operators)


def rvea(n_objectives: int, population: int, generations: int, **operators: Any) -> Any:
    """RVEA (Cheng et al. 2016): the angle to the directions counts more from generation to generation.

    It has to be set up with a termination by ``generations``.
    """
    from pymoo.algorithms.moo.rvea import RVEA

    directions = reference_directions(n_objectives, population)
    return RVEA(directions, pop_size=max(population, len(directions)), **operators)


def age_moea(n_objectives: int, population: int, generations: int, **operators: Any) -> Any:
    """AGE-MOEA (Panichella 2019)."""
    from natdeploy.search.age_moea import AgeMoea

    return AgeMoea(population, **operators)


def reference_directions(n_objectives: int, count: int) -> np.ndarray:
    """About ``count`` evenly spread directions ``[n, objectives]`` that sum to 1 (Das & Dennis 1998).

    With many objectives all of them lie on the simplex's edge; a second layer inside is then added.
    """
    from pymoo.util.ref_dirs import get_reference_directions

    def size(partitions: int) -> int:
        return comb(partitions + n_objectives - 1, n_objectives - 1)

    if n_objectives == 1:
        return np.ones((1, 1))
    partitions = 1
    while size(partitions + 1) <= count:
        partitions += 1
    outer = get_reference_directions("das-dennis", n_objectives, n_partitions=partitions)
    if partitions >= n_objectives or len(outer) + n_objectives > count:
        return outer
    return np.vstack([outer, (np.eye(n_objectives) + 1 / n_objectives) / 2])


def _less_violation(pop: Any, pairs: np.ndarray, random_state: Any, **_: Any) -> np.ndarray:
    """Winner of each pair: the smaller violation of the constraints, else either."""
    violation = pop.get("CV")[:, 0][pairs]
    either = random_state.integers(2, size=len(pairs))
    chosen = np.where(violation[:, 0] == violation[:, 1], either, violation.argmin(axis=1))
    return pairs[np.arange(len(pairs)), chosen][:, None]
