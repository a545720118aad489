"""Which architectures ship: the budget loop of each pick; what one builds, measures and learns serves the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from natdeploy.deploy.budget import Met, Missed, meet_budget
from natdeploy.deploy.built_run import BuiltRun
from natdeploy.deploy.candidate import Candidate, Workshop
from natdeploy.deploy.pick import RULES, rank
from natdeploy.ground.errors import BadInput, BudgetNotMet
from natdeploy.latency import LatencyModel, fit_device_model
from natdeploy.latency.transferred.other_devices import Place, other_knowledge
from natdeploy.measure import Measurement
from natdeploy.runs import ArchiveEntry
from natdeploy.spaces import get_space

Progress = Callable[[str, float], None]
#: The pick that means all of the run's front.
FRONT = "front"
#: Share of the whole build that is choosing; the rest is packing.
CHOOSING = 0.8


@dataclass(frozen=True, eq=False)
class Chosen:
    """An architecture that ships.

    Attributes:
        met: the entry, its candidate and its timing in the run's runtime, None for a device that is not here.
        picks: names of the picks that chose it, sorted.
    """

    met: Met[tuple[Candidate, Measurement | None]]
    picks: tuple[str, ...]


class Chooser:
    """Chooses, builds and measures for one run.

    Attributes:
        model: the latency model, refitted after each miss.
    """

    def __init__(self, run: BuiltRun, model: LatencyModel, workshop: Workshop, attempts: int, tell: Progress) -> None:
        self.model = model
        self._run = run
        self._config = run.config()
        self._workshop = workshop
        self._attempts = attempts
        self._tell = tell
        self._entries: Sequence[ArchiveEntry] = run.archive()
        self._missed: list[Missed] = []
        self._built: dict[str, tuple[Candidate, Measurement]] = {}

    def choose(self, picks: Sequence[str]) -> list[Chosen]:
        """The architecture of each pick, in order; picks of one architecture together."""
        if not picks:
            raise BadInput(f"pick: nothing asked for; expected {', '.join(RULES)}, {FRONT} or an id")
        for pick in {*picks} - {*RULES, FRONT}:  # a wrong id is an error before anything is built
            rank(self._entries, pick, self._config.latency_ms)
        chosen: dict[str, Chosen] = {}
        for number, pick in enumerate(picks):
            self._fraction = 0.05 + (CHOOSING - 0.05) * number / len(picks)
            for met in self._front() if pick == FRONT else [self._meet(pick)]:
                before = chosen.get(met.entry.arch.id)
                names = {*(before.picks if before else ()), pick}
                chosen[met.entry.arch.id] = Chosen(before.met if before else met, tuple(sorted(names)))
        return list(chosen.values())

    def _front(self) -> Iterator[Met[tuple[Candidate, Measurement]]]:
        found, last = 0, None
        for entry in self._run.front():
            try:
                yield self._meet(entry.arch.id)
                found += 1
            except BudgetNotMet as error:
                last = error
        if not found:
            raise last or BudgetNotMet(f"{self._run.path}: the run's front is empty: nothing met the budget")

    def _meet(self, pick: str) -> Met[tuple[Candidate, Measurement]]:
        return meet_budget(
            self._entries,
            pick,
            self._config.latency_ms,
            attempt=self._attempt,
            predict_again=self._predict_again,
            known=tuple(self._missed),
            most_attempts=self._attempts,
        )

    def _attempt(self, entry: ArchiveEntry) -> tuple[tuple[Candidate, Measurement], float]:
        arch = entry.arch
        if arch.id not in self._built:
            self._tell(f"compiling and verifying {arch.id}", self._fraction)
            candidate = self._workshop.make(arch)
            self._tell(f"measuring {arch.id}", self._fraction)
            self._built[arch.id] = candidate, self._workshop.time(candidate, self._config.runtime)
        built = self._built[arch.id]
        measured_ms = built[1].latency_ms
        if measured_ms > self._config.latency_ms:
            self._missed.append(Missed(arch.id, entry.latency_ms, measured_ms))
        return built, measured_ms

    def _predict_again(self) -> Sequence[ArchiveEntry]:
        """Refit the latency model, the miss included, and predict the archive's latencies anew."""
        self._tell("fitting the latency model again", self._fraction)
        config, threads = self._config, self._workshop.profile.timing.threads
        stored = self._workshop.store.query(
            device_fingerprint=self.model.device_fingerprint, runtime=config.runtime, space=config.space
        )
        measurements = [timing for timing in stored if timing.protocol["threads"] == threads]
        space, coverage = get_space(config.space), self.model.coverage
        place = Place(self.model.device_fingerprint, config.runtime, self.model.toolchain)
        self.model = fit_device_model(
            measurements,
            space,
            lambda: other_knowledge(space, self._workshop.store, place),
            coverage=coverage,
            seed=config.seed,
        )
        self._entries = self._run.with_model(self.model).archive()
        return self._entries
