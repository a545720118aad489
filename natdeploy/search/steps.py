"""The steps of a NAT search: each takes a state to the next one, and all it needs beside is the weights."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from natdeploy.runs import HistoryStep, RunConfig
from natdeploy.search.accuracy import AccuracyPredictor, PredictedEvaluator
from natdeploy.search.archive import first_fronts, front, keep
from natdeploy.search.distribution import ArchiveDistribution, Members
from natdeploy.search.estimates import Estimator
from natdeploy.search.evaluation import evaluate_all
from natdeploy.search.evaluator import Evaluator, Progress, Sampler
from natdeploy.search.hypervolume import hypervolume
from natdeploy.search.initial import initial_archive, start_of
from natdeploy.search.objectives import ObjectiveSet
from natdeploy.search.proposal import in_words, judged, propose
from natdeploy.search.random_baseline import draw_random
from natdeploy.search.seeds import Purpose, key
from natdeploy.search.state import State

#: Rough cost of a training epoch and of a round of evolution, in evaluations; for progress only.
_EPOCH_COST, _EVOLUTION_COST = 20, 12

#: Of the distributions that draw members: of how many of the archive's fronts.
_FRONTS = {"front": 1, "fronts": 3}


@dataclass(frozen=True)
class Step:
    """One step: ``run`` takes the state before to the state after; ``cost`` is its share of the progress."""

    stage: str
    iteration: int
    cost: float
    run: Callable[[State, Progress | None], State]


class NatSteps:
    """All steps of one search (Lu et al. 2021, algorithm 1).

    Args:
        config: the run's.
        estimator: of its space, latency model and budget.
        evaluator: its weights and data.
    """

    def __init__(self, config: RunConfig, estimator: Estimator, evaluator: Evaluator) -> None:
        self.config, self.estimator, self.evaluator = config, estimator, evaluator
        self.objectives = ObjectiveSet(config.objectives, estimator)
        #: Where accuracies are predicted, the predictor needs no surrogate, and there are no weights to train.
        self._exact = evaluator if isinstance(evaluator, PredictedEvaluator) else None

    @property
    def predictor(self) -> AccuracyPredictor | None:
        """What predicts the accuracies; None where they are measured."""
        return None if self._exact is None else self._exact.predictor

    @property
    def _adapts(self) -> bool:
        return self._exact is None and self.config.adapt.epochs_per_iteration > 0

    def plan(self) -> list[Step]:
        """The steps in order; the state is saved after each."""
        search, adapt = self.config.search, self.config.adapt
        steps = []
        if adapt.epochs_before_search and self._exact is None:
            steps.append(Step("warm-up", 0, adapt.epochs_before_search * _EPOCH_COST, self._warm_up))
        steps.append(Step("initial archive", 0, search.initial, self._initial))
        for i in range(1, search.iterations + 1):
            steps.append(Step("candidates", i, search.candidates + _EVOLUTION_COST, self._candidates))
            if self._adapts:
                steps.append(Step("adaptation", i, adapt.epochs_per_iteration * _EPOCH_COST, self._adapt))
            grown = search.initial + i * search.candidates
            size = grown if search.archive is None else min(search.archive, grown)
            steps.append(Step("archive", i, size if self._adapts else 1, self._archive))
        if search.random_baseline:
            count = (search.initial + search.iterations * search.candidates) / 3
            steps.append(Step("random architectures", search.iterations, count, self._random))
        return steps

    def run(self, step: Step, state: State, progress: Progress | None) -> State:
        """Do one step, and time it."""
        started = time.monotonic()
        self.estimator.forget()
        state = step.run(replace(state, iteration=step.iteration), progress)
        state = state.timed(step.stage, time.monotonic() - started)
        if step.stage in ("initial archive", "archive"):
            state = self._recorded(state)
        return replace(state, steps_done=state.steps_done + 1)

    def _warm_up(self, state: State, progress: Progress | None) -> State:
        self.evaluator.warm_up(progress)
        return state

    def _initial(self, state: State, progress: Progress | None) -> State:
        search = self.config.search
        archs = initial_archive(
            self.estimator,
            start_of(self.estimator),
            search.initial,
            search.feasible_share,
            seed=key(self.config.seed, 0, Purpose.INITIAL),
            sampling=search.sampling,
            prefilter=search.prefilter,
        )
        entries, failures = evaluate_all(
            self.evaluator,
            self.estimator(archs),
            generation=state.generation,
            stage="evaluating the initial archive",
            progress=progress,
        )
        return replace(state, archive=tuple(entries), failed=tuple(failures), evaluations=len(archs))

    def _candidates(self, state: State, progress: Progress | None) -> State:
        if progress:
            progress(f"iteration {state.iteration}: evolving", 0.0)
        # Matrices are small: one thread is quicker than several that wait for each other.
        with threadpool_limits(1, user_api="blas"):
            proposal = propose(
                state.archive,
                state.tried,
                self.estimator,
                self.objectives,
                self.config.search,
                seed=self.config.seed,
                iteration=state.iteration,
                exact=self._exact,
            )
        if progress and (learned := in_words(proposal.surrogate)):
            progress(f"surrogates of iteration {state.iteration}: {learned}", 0.0)
        entries, failures = evaluate_all(
            self.evaluator,
            proposal.estimates,
            generation=state.generation,
            stage=f"iteration {state.iteration}: evaluating candidates",
            progress=progress,
        )
        return replace(
            state,
            archive=(*state.archive, *entries),
            failed=(*state.failed, *failures),
            evaluations=state.evaluations + len(proposal.estimates),
            surrogate=judged(proposal, entries, self.objectives),
        )

    def _adapt(self, state: State, progress: Progress | None) -> State:
        """Train what the archive holds, as far as it can be shipped, or the whole space."""
        space, asked = self.estimator.space, self.config.adapt.distribution
        best = first_fronts(state.archive, self.objectives, _FRONTS.get(asked, 0))
        sample: Sampler = space.sample
        if best:
            sample = Members([entry.arch for entry in best]).sample
        elif asked != "uniform":
            feasible = [entry.arch for entry in state.archive if entry.feasible]
            sample = ArchiveDistribution(space, feasible or [entry.arch for entry in state.archive]).sample
        self.evaluator.adapt(state.iteration, sample, progress)
        return replace(state, generation=state.generation + 1)

    def _archive(self, state: State, progress: Progress | None) -> State:
        """The weights have moved: evaluate everything again, then keep what is worth keeping."""
        entries, failures = list(state.archive), list(state.failed)
        if any(entry.generation != state.generation for entry in entries):
            entries, new_failures = evaluate_all(
                self.evaluator,
                self.estimator([entry.arch for entry in entries]),
                generation=state.generation,
                stage=f"iteration {state.iteration}: evaluating the archive",
                progress=progress,
            )
            failures += new_failures
        kept = keep(
            entries,
            self.config.search.archive,
            self.objectives,
            seed=key(self.config.seed, state.iteration, Purpose.SURVIVAL),
        )
        staying = {entry.arch for entry in kept}
        dropped = [entry.arch for entry in entries if entry.arch not in staying]
        return replace(state, archive=tuple(kept), failed=tuple(failures), dropped=(*state.dropped, *dropped))

    def _random(self, state: State, progress: Progress | None) -> State:
        """Only feasible ones are evaluated: the others add nothing to the hypervolume."""
        drawn = draw_random(
            self.estimator, state.evaluations, seed=key(self.config.seed, state.iteration, Purpose.RANDOM)
        )
        entries, _ = evaluate_all(
            self.evaluator,
            [estimate for estimate in drawn if estimate.feasible],
            generation=state.generation,
            stage="evaluating random architectures",
            progress=progress,
        )
        return replace(state, random=tuple(entries), random_drawn=len(drawn))

    def _recorded(self, state: State) -> State:
        """The iteration's line in the history."""
        feasible = [entry for entry in state.archive if entry.feasible]
        step = HistoryStep(
            iteration=state.iteration,
            generation=state.generation,
            hypervolume=hypervolume(state.archive, self.objectives),
            archive_size=len(state.archive),
            feasible=len(feasible),
            front_size=len(front(state.archive, self.objectives)),
            evaluations=state.evaluations,
            failed=len(state.failed),
            best_top1=max((entry.top1 for entry in feasible), default=None),
            surrogate=state.surrogate,
            seconds=state.seconds,
        )
        return replace(state, history=(*state.history, step), surrogate={}, seconds={})
