"""The state of a search between two steps, as it is kept in the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import atomic_folder, read_json, write_json
from natdeploy.runs import ArchiveEntry, HistoryStep, RunFolder
from natdeploy.runs.folder import ARCHIVE, FRONT, HISTORY, RANDOM, STATE, write_items
from natdeploy.search.archive import front
from natdeploy.search.evaluation import Failure
from natdeploy.search.evaluator import Evaluator
from natdeploy.search.objectives import ObjectiveSet
from natdeploy.spaces import Arch

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class State:
    """Everything but weights and optimizer that the next step depends on.

    Attributes:
        steps_done: completed steps.
        iteration: the last step's iteration.
        generation: how often the weights were adapted.
        evaluations: distinct architectures evaluated so far.
        archive: all entries with the present weights' accuracies, or the last ones' right after an adaptation.
        failed: what could not be evaluated.
        dropped: what was evaluated and did not stay in the archive.
        history: finished iterations.
        surrogate: quality of the current iteration's surrogate.
        seconds: of the current iteration's stages.
        random: the random architectures the result is compared with, the feasible ones evaluated.
        random_drawn: how many were drawn.
        data_fingerprint: of the images.
    """

    data_fingerprint: str
    steps_done: int = 0
    iteration: int = 0
    generation: int = 0
    evaluations: int = 0
    archive: tuple[ArchiveEntry, ...] = ()
    failed: tuple[Failure, ...] = ()
    dropped: tuple[Arch, ...] = ()
    history: tuple[HistoryStep, ...] = ()
    surrogate: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    random: tuple[ArchiveEntry, ...] = ()
    random_drawn: int = 0

    @property
    def tried(self) -> set[Arch]:
        """Every architecture that was ever evaluated, well or not."""
        return {*(entry.arch for entry in self.archive), *(failure.arch for failure in self.failed), *self.dropped}

    def timed(self, stage: str, seconds: float) -> State:
        """The same with a stage's seconds added."""
        return replace(self, seconds={**self.seconds, stage: round(self.seconds.get(stage, 0.0) + seconds, 3)})


def write_lists(folder: Path, state: State, objectives: ObjectiveSet) -> None:
    """Write archive, front, history and random architectures, as readers of the run folder expect them."""
    write_items(folder / ARCHIVE, state.archive)
    write_items(folder / FRONT, front(state.archive, objectives))
    write_items(folder / HISTORY, state.history)
    if state.random_drawn:
        write_items(folder / RANDOM, state.random)


def save_state(run: RunFolder, state: State, evaluator: Evaluator, objectives: ObjectiveSet) -> None:
    """Replace the run's state as a whole. Raises BadInput on a full disk; the old state is then still there."""
    with atomic_folder(run.state_path) as folder:
        evaluator.save(folder)
        write_lists(folder, state, objectives)
        write_json(
            folder / STATE,
            {
                "schema_version": SCHEMA_VERSION,
                "steps_done": state.steps_done,
                "iteration": state.iteration,
                "generation": state.generation,
                "evaluations": state.evaluations,
                "failed": [failure.to_json() for failure in state.failed],
                "dropped": [arch.to_json() for arch in state.dropped],
                "surrogate": dict(state.surrogate),
                "seconds": dict(state.seconds),
                "random_drawn": state.random_drawn,
                "data_fingerprint": state.data_fingerprint,
            },
        )


def load_state(run: RunFolder) -> State:
    """The last completed step. Raises BadInput naming the file when it is damaged."""
    path = run.state_path / STATE
    value = read_json(path, "search state")
    try:
        if value["schema_version"] != SCHEMA_VERSION:
            raise BadInput(f"{path}: written by another version of natdeploy; start a new run")
        return State(
            data_fingerprint=str(value["data_fingerprint"]),
            steps_done=int(value["steps_done"]),
            iteration=int(value["iteration"]),
            generation=int(value["generation"]),
            evaluations=int(value["evaluations"]),
            archive=tuple(run.archive()),
            failed=tuple(Failure.from_json(item) for item in value["failed"]),
            dropped=tuple(Arch.from_json(item) for item in value["dropped"]),
            history=tuple(run.history()),
            surrogate=value["surrogate"],
            seconds=value["seconds"],
            random=tuple(run.random()),
            random_drawn=int(value["random_drawn"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path}: damaged search state ({error!r}); remove {run.path} to start over") from None
