"""Several data sets in one search: one architecture for all, and for each a supernet that adapts to it.

The many-objective study of Lu et al. (2021) searches for eleven data sets at once in this way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from natdeploy.ground.files import content_key
from natdeploy.runs.folder import TASKS
from natdeploy.search.evaluator import Accuracy, Evaluator, Prepared, Progress, Sampler, Say, Telling
from natdeploy.spaces import Arch


@dataclass(frozen=True)
class SeveralAccuracies:
    """Accuracy on the first data set, and on the others by name."""

    top1: float
    loss: float
    images: int
    tasks: Mapping[str, Accuracy]


class SeveralTasks:
    """Evaluators of several data sets as one.

    Args:
        first: of the run's own data set.
        others: of the further ones, by name.
    """

    def __init__(self, first: Evaluator, others: Mapping[str, Evaluator]) -> None:
        self._first, self._others = first, dict(others)

    @property
    def num_classes(self) -> int:
        """The most that any data set has: a budget or limit that holds then holds for the network of each."""
        return max(one.num_classes for one in (self._first, *self._others.values()))

    @property
    def data_fingerprint(self) -> str:
        """Digest of all."""
        others = self.data_fingerprints
        return content_key({"data": others.pop(""), "further": others})

    @property
    def data_fingerprints(self) -> dict[str, str]:
        """Digest of each, the first one's under the empty name."""
        others = {name: other.data_fingerprint for name, other in self._others.items()}
        return {"": self._first.data_fingerprint, **others}

    def prepare(self, archs: Sequence[Arch]) -> None:
        """On every data set at once."""
        for one in (self._first, *self._others.values()):
            if isinstance(one, Prepared):
                one.prepare(archs)

    def tell(self, say: Say) -> None:
        """What is said of a further data set begins with its name."""
        for name, one in ({"": self._first} | self._others).items():

            def told(what: str, name: str = name) -> None:
                say(f"{name}: {what}" if name else what)

            if isinstance(one, Telling):
                one.tell(told)

    def evaluate(self, arch: Arch) -> SeveralAccuracies:
        """On every data set."""
        found = self._first.evaluate(arch)
        others = {name: other.evaluate(arch) for name, other in self._others.items()}
        return SeveralAccuracies(found.top1, found.loss, found.images, others)

    def warm_up(self, progress: Progress | None) -> None:
        """One after the other."""
        self._each(progress, lambda one, told: one.warm_up(told))

    def adapt(self, iteration: int, sample: Sampler, progress: Progress | None) -> None:
        """One after the other, with subnets of one distribution."""
        self._each(progress, lambda one, told: one.adapt(iteration, sample, told))

    def save(self, folder: Path) -> None:
        """The first one's files as if it were alone, the others' in ``tasks/NAME``."""
        self._first.save(folder)
        for name, other in self._others.items():
            (folder / TASKS / name).mkdir(parents=True)
            other.save(folder / TASKS / name)

    def _each(self, progress: Progress | None, do: Callable[[Evaluator, Progress | None], object]) -> None:
        everyone = {"": self._first, **self._others}
        for number, (name, one) in enumerate(everyone.items()):

            def told(stage: str, fraction: float, number: int = number, name: str = name) -> None:
                if progress:
                    progress(f"{name}: {stage}" if name else stage, (number + fraction) / len(everyone))

            do(one, told)
