import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from natdeploy.ground.errors import BadInput
from natdeploy.runs import SearchSettings
from natdeploy.search.algorithms import ALGORITHMS, algorithm_name, reference_directions
from natdeploy.search.evolution import evolve
from natdeploy.search.hypervolume import dominated_share
from natdeploy.spaces import SPACES, get_space
from tests.search.synthetic import SPACE, true_accuracy, true_latency_ms

QUICK = SearchSettings(population=12, surrogate_evaluations=100)


def judge(genomes: np.ndarray, limit_ms: float = 5.0, objectives: int = 2) -> tuple[np.ndarray, np.ndarray]:
    archs = [SPACE.decode(genome) for genome in genomes]
    ms = np.array([true_latency_ms(arch) for arch in archs])
    error = np.array([1 - true_accuracy(arch) for arch in archs])
    size = np.array([sum(arch.e) for arch in archs], float)
    return np.stack([error, ms, size], axis=1)[:, :objectives], ms / limit_ms - 1


START = [SPACE.encode(SPACE.smallest())]


@settings(max_examples=18, deadline=None)
@given(
    st.integers(0, 2**31),
    st.sampled_from(SPACES.names()),
    st.floats(0.1, 50),
    st.sampled_from([1, 2, 3]),
)
def test_operators_never_leave_the_space(seed: int, name: str, eta: float, objectives: int) -> None:
    space, calls = get_space(name), []

    def watch(genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        for genome in genomes:
            space.decode(genome)  # raises for a genome that is not canonical
            calls.append(genome.tobytes())
        rng = np.random.default_rng(len(calls))
        return rng.random((len(genomes), objectives)), rng.random(len(genomes)) - 0.5

    settings_ = QUICK.model_copy(update={"mutation_eta": eta})
    start = [space.encode(space.largest())]
    evolved = evolve(space, watch, start, settings_, n_objectives=objectives, seed=[seed])
    assert len(set(calls)) == len(calls) == len(evolved.genomes) >= 100


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_equal_seeds_evolve_equally_even_among_the_infeasible(objectives: int) -> None:
    """pymoo's NSGA-III breaks ties among infeasible ones without a seed."""

    def hopeless(genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return judge(genomes, objectives=objectives)[0], np.ones(len(genomes))

    runs = [evolve(SPACE, hopeless, START, QUICK, n_objectives=objectives, seed=[5, 1]) for _ in range(2)]
    assert np.array_equal(runs[0].genomes, runs[1].genomes)
    other = evolve(SPACE, hopeless, START, QUICK, n_objectives=objectives, seed=[5, 2])
    assert not np.array_equal(runs[0].genomes, other.genomes)


def test_the_limit_is_found_from_infeasible_starts() -> None:
    start = [SPACE.encode(SPACE.largest())]
    evolved = evolve(SPACE, judge, start, QUICK, n_objectives=2, seed=[0])
    assert evolved.violations[0] > 0 and (evolved.violations[-12:] <= 0).sum() > (evolved.violations[:12] <= 0).sum()


@pytest.mark.parametrize("feasible", [True, False])
def test_a_space_with_nothing_more_to_give_ends(feasible: bool) -> None:
    """A published code evolved forever when no architecture met the limit."""
    tiny = _Tiny()

    def watch(genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return genomes[:, :2].astype(float), np.full(len(genomes), -1.0 if feasible else 1.0)

    evolved = evolve(tiny, watch, [np.zeros(3, int)], QUICK, n_objectives=2, seed=[0])
    assert 1 <= len(evolved.genomes) <= 6


class _Tiny:
    """A space of six architectures; its architectures are its genomes."""

    name, gene_sizes = "tiny", (2, 3, 1)

    def repair(self, genome: np.ndarray) -> np.ndarray:
        return np.asarray(genome)

    def encode(self, arch: tuple[int, ...]) -> np.ndarray:
        return np.array(arch)

    def sample(self, rng: np.random.Generator, *, uniform: str = "gene") -> tuple[int, ...]:
        return tuple(int(rng.integers(size)) for size in self.gene_sizes)


def test_algorithm_by_number_of_objectives() -> None:
    assert [algorithm_name("auto", count) for count in (1, 2, 3, 12)] == ["nsga2", "nsga2", "nsga3", "nsga3"]
    assert algorithm_name("nsga3", 2) == "nsga3"
    with pytest.raises(BadInput, match="unknown search algorithm 'annealing'"):
        algorithm_name("annealing", 2)
    with pytest.raises(BadInput, match="'rvea' needs at least two objectives"):
        algorithm_name("rvea", 1)


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_every_algorithm_finds_better_ones_than_chance_and_repeats_itself(name: str, objectives: int) -> None:
    settings_ = SearchSettings(population=20, surrogate_evaluations=240, algorithm=name)
    reference = np.array([1.0, 5.0, 120.0])[:objectives]

    def volume(genomes: np.ndarray) -> float:
        costs, over = judge(genomes, objectives=objectives)
        return dominated_share(costs[over <= 0] / reference)

    def watch(genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return judge(genomes, objectives=objectives)

    runs = [evolve(SPACE, watch, START, settings_, n_objectives=objectives, seed=[3, 4]) for _ in range(2)]
    assert np.array_equal(runs[0].genomes, runs[1].genomes)
    rng = np.random.default_rng(0)
    chance = np.array([SPACE.encode(SPACE.sample(rng)) for _ in range(len(runs[0].genomes))])
    assert volume(runs[0].genomes) > 1.05 * volume(chance)


@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_every_algorithm_goes_on_when_nothing_meets_the_limit(name: str) -> None:
    settings_ = SearchSettings(population=12, surrogate_evaluations=60, algorithm=name)

    def hopeless(genomes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return judge(genomes)[0], 1 + judge(genomes)[1] ** 2

    runs = [evolve(SPACE, hopeless, START, settings_, n_objectives=2, seed=[1]) for _ in range(2)]
    assert len(runs[0].genomes) >= 60 and np.array_equal(runs[0].genomes, runs[1].genomes)


@pytest.mark.parametrize("objectives", [1, 2, 3, 5, 12])
def test_reference_directions(objectives: int) -> None:
    found = reference_directions(objectives, 100)
    assert found.shape[1] == objectives and 1 <= len(found) <= 100
    np.testing.assert_allclose(found.sum(1), 1)
    assert (found > 0).all(axis=1).any()
