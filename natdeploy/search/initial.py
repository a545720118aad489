"""Where a search starts: the fastest architecture there is, and an archive that covers latencies up to the budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from natdeploy.ground.errors import BudgetNotMet
from natdeploy.runs.quantities import edge, in_words
from natdeploy.search.estimates import Estimate, Estimator
from natdeploy.spaces import Arch

#: Candidates drawn per feasible architecture wanted, from which an even spread of latencies is taken.
_POOL = 40
_SWEEPS = 5
#: Random starts of the search for what keeps all limits.
_TRIALS = 10


def fastest(estimator: Estimator, name: str = "latency_ms") -> Estimate:
    """The architecture with the lowest upper end of latency: from the smallest, gene by gene, until none helps.

    The smallest architecture is not always predicted to be the fastest. ``name`` is that of a latency on a device.
    """
    upper = edge(name, upper=True)
    return _descend(estimator, estimator.space.smallest(), lambda item: item.value(upper))


def start_of(estimator: Estimator) -> Estimate:
    """What meets budgets and limits, as far as that is known before an evaluation, or comes nearest.

    The fastest architecture; where that breaks a limit, what a descent over the breaches finds from it, from the
    largest architecture, and from random ones.
    """
    best = fastest(estimator)
    if best.feasible:
        return best
    space, over = estimator.space, estimator.requirements.over
    rng = np.random.default_rng(0)
    starts = [best.arch, space.largest(), *(space.sample(rng) for _ in range(_TRIALS))]
    for arch in starts:
        found = _descend(estimator, arch, lambda item: over(item, learned=False))
        best = min(best, found, key=lambda item: over(item, learned=False))
        if best.feasible:
            break
    return best


def _descend(estimator: Estimator, start: Arch, cost: Callable[[Estimate], float]) -> Estimate:
    """Change gene by gene what lowers the cost most, until nothing does."""
    space = estimator.space
    best = estimator([start])[0]
    for _ in range(_SWEEPS):
        before = best
        for gene, size in enumerate(space.gene_sizes):
            genome = space.encode(best.arch)
            changed = [np.concatenate([genome[:gene], [value], genome[gene + 1 :]]) for value in range(size)]
            found = estimator([space.decode(space.repair(other)) for other in changed])
            best = min([best, *found], key=cost)
        if best is before:
            break
    return best


def check_budget(estimator: Estimator, where: str) -> Estimate:
    """An architecture that meets every device's budget on its own, and all limits that need no evaluation.

    Raises BudgetNotMet naming the fastest one's latency, or the limit that is broken most by what comes nearest.
    """
    for name in estimator.requirements.budgets:
        _check_device(estimator, name, where if name == "latency_ms" else " with ".join(name.split(":")[1:]))
    best = start_of(estimator)
    if not best.feasible:
        limits = [limit for limit in estimator.requirements.limits if not limit.is_learned]
        worst = max(limits, key=lambda limit: limit.excess(best.value(limit.bounded)))
        raise BudgetNotMet(
            f"no architecture of {estimator.space.name} was found that keeps {', '.join(map(str, limits))} within the "
            f"budget of {estimator.budget_ms:g} ms on {where}: the nearest one ({best.arch.id}) has {worst.name} "
            f"{in_words(best.value(worst.bounded))}, and {worst} was asked for"
        )
    return best


def _check_device(estimator: Estimator, name: str, where: str) -> None:
    best, budget = fastest(estimator, name), estimator.requirements.budget(name)
    upper_ms = best.value(edge(name, upper=True))
    if budget.excess(upper_ms) > 0:
        raise BudgetNotMet(
            f"no architecture of {estimator.space.name} meets {budget.value:g} ms on {where}: the fastest one "
            f"({best.arch.id}) is predicted at {best.value(name):.3g} ms, at most {upper_ms:.3g} ms; "
            f"a budget of {_rounded_up(upper_ms):g} ms can be met"
        )


def initial_archive(
    estimator: Estimator,
    start: Estimate,
    count: int,
    feasible_share: float,
    *,
    seed: Sequence[int],
    sampling: str = "phenotype",
    prefilter: int = 1,
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
        prefilter: of so many of about one latency, within the budget, the one with the most multiply-adds is taken.
    """
    space, rng = estimator.space, np.random.default_rng(list(seed))
    wanted = max(1, round(count * feasible_share))
    chosen = dict.fromkeys([space.smallest(), space.largest(), start.arch])
    pool = [*chosen, *_mixtures(estimator, start.arch, _POOL * wanted, rng, sampling)]
    feasible = [item for item in estimator(list(dict.fromkeys(pool))) if item.feasible]
    had = sum(item.feasible for item in estimator(list(chosen)))
    chosen.update(dict.fromkeys(_spread(feasible, chosen, max(0, wanted - had), rng, prefilter)))
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


def _spread(
    feasible: Sequence[Estimate], taken: dict[Arch, None], count: int, rng: np.random.Generator, prefilter: int
) -> list[Arch]:
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
                drawn = group[-prefilter:]
                best = int(drawn[-1]) if prefilter == 1 else max(map(int, drawn), key=lambda index: left[index].macs)
                group.remove(best)
                picked.append(left[best].arch)
    return picked


def _rounded_up(value: float) -> float:
    """Two significant digits, never less than ``value``."""
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{np.ceil(value / step) * step:.6g}")
