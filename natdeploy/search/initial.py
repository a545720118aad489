"""Where a search starts: the fastest architecture there is, and an archive that covers latencies up to the budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from natdeploy.ground.errors import BudgetNotMet
from natdeploy.search.estimates import Estimate, Estimator
from natdeploy.spaces import Arch

#: Candidates drawn per feasible architecture wanted, from which an even spread of latencies is taken.
_POOL = 40
_SWEEPS = 5


def fastest(estimator: Estimator) -> Estimate:
    """The architecture with the lowest upper end of latency: from the smallest, gene by gene, until none helps.

    The smallest architecture is not always predicted to be the fastest.
    """
    space = estimator.space
    best = estimator([space.smallest()])[0]
    for _ in range(_SWEEPS):
        before = best
        for gene, size in enumerate(space.gene_sizes):
            genome = space.encode(best.arch)
            changed = [np.concatenate([genome[:gene], [value], genome[gene + 1 :]]) for value in range(size)]
            found = estimator([space.decode(space.repair(other)) for other in changed])
            best = min([best, *found], key=lambda item: item.latency_upper_ms)
        if best is before:
            break
    return best


def check_budget(estimator: Estimator, where: str) -> Estimate:
    """The fastest architecture, when it meets the budget. Raises BudgetNotMet naming its latency otherwise."""
    best = fastest(estimator)
    if not best.feasible:
        raise BudgetNotMet(
            f"no architecture of {estimator.space.name} meets {estimator.budget_ms:g} ms on {where}: the fastest one "
            f"({best.arch.id}) is predicted at {best.latency_ms:.3g} ms, at most {best.latency_upper_ms:.3g} ms; "
            f"a budget of {_rounded_up(best.latency_upper_ms):g} ms can be met"
        )
    return best


def initial_archive(
    estimator: Estimator,
    start: Estimate,
    count: int,
    feasible_share: float,
    *,
    seed: Sequence[int],
    sampling: str = "phenotype",
) -> list[Arch]:
    """Distinct architectures to evaluate first.

    The smallest, the largest and the fastest; random samples; and ``feasible_share`` of them within the
    budget, spread evenly over the latencies from the fastest to the budget's edge. Fewer than ``count`` where the space
    has no more.

    Args:
        estimator: of space and budget.
        start: a feasible architecture, the fastest known.
        count: how many.
        feasible_share: 0 to 1.
        seed: key of the random generator.
        sampling: what random architectures are uniform over, see :meth:`natdeploy.spaces.Space.sample`.
    """
    space, rng = estimator.space, np.random.default_rng(list(seed))
    wanted = max(1, round(count * feasible_share))
    chosen = dict.fromkeys([space.smallest(), space.largest(), start.arch])
    pool = [*chosen, *_mixtures(estimator, start.arch, _POOL * wanted, rng, sampling)]
    feasible = [item for item in estimator(list(dict.fromkeys(pool))) if item.feasible]
    had = sum(item.feasible for item in estimator(list(chosen)))
    chosen.update(dict.fromkeys(_spread(feasible, chosen, max(0, wanted - had), rng)))
    for _ in range(20 * count):
        if len(chosen) >= count:
            break
        chosen.setdefault(space.sample(rng, uniform=sampling))
    return list(chosen)[:count]


def _mixtures(estimator: Estimator, fast: Arch, count: int, rng: np.random.Generator, sampling: str) -> list[Arch]:
    """Random architectures whose genes are the fastest's with probabilities from 0 to 1: from random to fastest."""
    space = estimator.space
    base = space.encode(fast)
    mixed = []
    for share in np.linspace(0, 0.95, count):
        other = space.encode(space.sample(rng, uniform=sampling))
        mixed.append(space.decode(space.repair(np.where(rng.random(len(base)) < share, base, other))))
    return mixed


def _spread(feasible: Sequence[Estimate], taken: dict[Arch, None], count: int, rng: np.random.Generator) -> list[Arch]:
    """``count`` of the feasible architectures not taken yet, in turn from equal ranges of latency."""
    left = [item for item in feasible if item.arch not in taken]
    if not left or count <= 0:
        return []
    latencies = np.array([item.latency_ms for item in left])
    edges = np.linspace(latencies.min(), latencies.max(), count + 1)[1:-1]
    ranges = np.searchsorted(edges, latencies)
    groups = [list(rng.permutation(np.flatnonzero(ranges == index))) for index in range(count)]
    picked: list[Arch] = []
    while len(picked) < count and any(groups):
        for group in groups:
            if group and len(picked) < count:
                picked.append(left[int(group.pop())].arch)
    return picked


def _rounded_up(value: float) -> float:
    """Two significant digits, never less than ``value``."""
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{np.ceil(value / step) * step:.6g}")
