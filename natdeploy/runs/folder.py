"""The run folder: everything a search was asked, has reached and has found, as plain files.

::

    RUN/run.json             the configuration
    RUN/latency_model.json   the latency model that holds the budget, copied in at the start
    RUN/elsewhere/           latency models of further devices and runtimes, and of energies the power figures
    RUN/state/               the last completed step, replaced as a whole
    RUN/result/              what a finished search found
    RUN/bundles/             where natdeploy build puts bundles, unless told otherwise
    RUN/bundles_elsewhere/   where it put the others
    RUN/report.html          written by the report
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import atomic_folder, read_json, readable_disk_errors, restore_folder, write_json
from natdeploy.ground.lock import LOCK, only_process_in
from natdeploy.ground.validation import validate
from natdeploy.runs.config import RunConfig
from natdeploy.runs.entry import ArchiveEntry
from natdeploy.runs.history import HistoryStep
from natdeploy.runs.quantities import Place

CONFIG = "run.json"
LATENCY_MODEL = "latency_model.json"
ELSEWHERE = "elsewhere"
POWER = "power.json"
ARCHIVE = "archive.json"
FRONT = "front.json"
HISTORY = "history.json"
RANDOM = "random.json"
SUMMARY = "summary.json"
STATE = "state.json"
SUPERNET = "supernet.safetensors"
#: Folder of the further data sets' weights, beside those of the run's own.
TASKS = "tasks"
#: In place of a supernet where accuracies are predicted.
ACCURACY_PREDICTOR = "accuracy_predictor.json"

Item = TypeVar("Item")


class RunFolder:
    """An existing run. Raises BadInput when ``path`` is not the folder of one."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise BadInput(f"{self.path}: no such run folder; natdeploy search --out makes one")
        if not (self.path / CONFIG).is_file():
            raise BadInput(f"{self.path}: not a run folder: it has no {CONFIG}")

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether a run has been started in this folder."""
        return (Path(path) / CONFIG).is_file()

    @staticmethod
    def create(
        path: str | Path,
        config: RunConfig,
        save_latency_model: Callable[[Path], object],
        save_elsewhere: Callable[[Path], object] | None = None,
    ) -> RunFolder:
        """Start a run: the configuration is written last, and a folder is a run from then on.

        ``save_elsewhere`` writes into the new folder ``elsewhere/``.

        Raises BadInput when ``path`` holds something already, or another process starts a run there.
        """
        path = Path(path)
        refuse_foreign(path)
        with readable_disk_errors(path):
            is_new = not path.exists()
            path.mkdir(parents=True, exist_ok=True)
        try:
            with only_process_in(path):
                if RunFolder.exists(path):
                    raise BadInput(f"{path}: another natdeploy process has started a run in this folder")
                try:
                    save_latency_model(path / LATENCY_MODEL)
                    if save_elsewhere is not None:
                        with atomic_folder(path / ELSEWHERE) as folder:
                            save_elsewhere(folder)
                    write_json(path / CONFIG, config.model_dump(mode="json"))
                except BaseException:
                    for name in (LATENCY_MODEL, LOCK):
                        (path / name).unlink(missing_ok=True)
                    shutil.rmtree(path / ELSEWHERE, ignore_errors=True)
                    raise
        except BaseException:
            if is_new:
                with contextlib.suppress(OSError):  # it holds what another process has put there
                    path.rmdir()
            raise
        return RunFolder(path)

    def config(self) -> RunConfig:
        """The configuration the run was started with."""
        path = self.path / CONFIG
        value = read_json(path, "run configuration")
        if isinstance(value, dict) and isinstance(adapt := value.get("adapt"), dict):
            adapt.setdefault("calibrate_on", "plain")  # what runs did before they could say it
        return validate(RunConfig, value, path)

    def check_same(self, config: RunConfig) -> None:
        """Raise BadInput naming the field when this folder's run is another than ``config``'s."""
        mine = self.config()
        if field := mine.first_difference(config):
            raise BadInput(
                f"{self.path / CONFIG}: field {field!r} is {_at(mine, field)!r} in this run folder, but "
                f"{_at(config, field)!r} was asked for; choose another folder, or remove this one to start over"
            )

    @property
    def state_path(self) -> Path:
        """Folder of the last completed step."""
        return self.path / "state"

    @property
    def result_path(self) -> Path:
        """Folder of a finished search's findings."""
        return self.path / "result"

    @property
    def latency_model_path(self) -> Path:
        """The latency model that holds the budget."""
        return self.path / LATENCY_MODEL

    def latency_model_of(self, place: Place) -> Path:
        """The latency model of a device and runtime that the search knows of."""
        if place == self.config().home:
            return self.latency_model_path
        return self.path / ELSEWHERE / file_of(place)

    def power(self) -> dict[str, dict[str, Any]]:
        """``watts`` and ``about`` of each place with an energy, by its key; the run's own has the empty one."""
        path = self.path / ELSEWHERE / POWER
        if not path.is_file():
            return {}
        value = read_json(path, "power figures")
        if not isinstance(value, dict) or not all(
            isinstance(one, dict) and isinstance(one.get("watts"), float) for one in value.values()
        ):
            raise BadInput(f"{path}: expected watts by device; remove {self.path} to start over")
        return value

    def power_of(self, place: Place) -> dict[str, Any]:
        """Of a place whose energy the run asks for. Raises BadInput where it is gone."""
        found = self.power().get("" if place == self.config().home else place.key)
        if found is None:
            raise BadInput(f"{self.path}: the power figures of {place.key} are gone; remove it to start over")
        return found

    @property
    def report_path(self) -> Path:
        """Where the report goes."""
        return self.path / "report.html"

    @property
    def is_finished(self) -> bool:
        """Whether the search has ended and ``result/`` is there."""
        return (self.result_path / SUMMARY).is_file()

    @property
    def latest_path(self) -> Path:
        """``result/`` of a finished run, else ``state/``."""
        return self.result_path if self.is_finished else self.state_path

    @property
    def supernet_path(self) -> Path:
        """The adapted supernet's weights. Raises BadInput while there are none."""
        return self._file(SUPERNET)

    @property
    def data_fingerprint(self) -> str:
        """Digest of the images that the search was made with."""
        return self.fingerprint_of("")

    def fingerprint_of(self, task: str) -> str:
        """Of the run's own data set, or of a further one. Raises BadInput where the summary does not say it."""
        summary = self.summary()
        known = summary.get("data_fingerprints") if self.config().further_data else {"": summary["data_fingerprint"]}
        if known is None:
            raise BadInput(
                f"{self.result_path / SUMMARY}: written before runs of several data sets could be built; remove "
                f"{self.result_path} and run natdeploy search again, which writes it anew from the finished state"
            )
        return str(known[task])

    def archive(self) -> list[ArchiveEntry]:
        """All entries of the archive. Raises BadInput before the first ones are evaluated."""
        return self._items(ARCHIVE, ArchiveEntry.from_json)

    def front(self) -> list[ArchiveEntry]:
        """Feasible entries that no other feasible one dominates, by ascending latency."""
        return self._items(FRONT, ArchiveEntry.from_json)

    def history(self) -> list[HistoryStep]:
        """One step per finished iteration."""
        return self._items(HISTORY, HistoryStep.from_json)

    def random(self) -> list[ArchiveEntry]:
        """The feasible ones of the random architectures a finished search was compared with (none if it was not)."""
        return self._items(RANDOM, ArchiveEntry.from_json) if (self.latest_path / RANDOM).is_file() else []

    def summary(self) -> dict[str, Any]:
        """Figures of a finished search: ``hypervolume_first``, ``_last``, ``_random``, evaluations, data's digest."""
        path = self._file(SUMMARY)
        value = read_json(path, "search summary")
        if not isinstance(value, dict):
            raise BadInput(f"{path}: expected a JSON object, not {value!r:.60}")
        return value

    def _file(self, name: str) -> Path:
        path = self.latest_path / name
        if not path.is_file():
            raise BadInput(f"{self.path}: the search has not reached {name} yet; run natdeploy search again")
        return path

    def _items(self, name: str, read: Callable[[Any], Item]) -> list[Item]:
        path = self._file(name)
        values = read_json(path, name.removesuffix(".json"))
        if not isinstance(values, list):
            raise BadInput(f"{path}: expected a list")
        try:
            return [read(value) for value in values]
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from working in this folder, and undo what a killed one left half-done.

        Raises BadInput when another process holds it. The system frees the lock of a killed process.
        """
        with only_process_in(self.path):
            for folder in (self.state_path, self.result_path):
                restore_folder(folder)
            yield


def file_of(place: Place) -> str:
    """Name of a place's latency model in ``elsewhere/``."""
    return f"{Path(place.device).stem}-{place.runtime}.json"


def refuse_foreign(path: str | Path) -> None:
    """Raise BadInput when a new run cannot take this path because something else is there."""
    path = Path(path)
    with readable_disk_errors(path):
        if path.exists() and not path.is_dir():
            raise BadInput(f"{path}: is a file; a run needs a folder")
        if path.is_dir() and not RunFolder.exists(path) and not all(map(_is_of_a_start, path.iterdir())):
            raise BadInput(f"{path}: not a run folder, and not empty; choose another folder")


def _is_of_a_start(path: Path) -> bool:
    """Whether a file can come from a process that was killed while it started a run."""
    starts = (f".{LATENCY_MODEL}.", f".{CONFIG}.", f".{ELSEWHERE}.")
    return path.name in (LATENCY_MODEL, LOCK, ELSEWHERE) or path.name.startswith(starts)


def write_items(path: Path, items: Sequence[ArchiveEntry] | Sequence[HistoryStep]) -> None:
    """Write entries or history steps as a JSON list, atomically."""
    write_json(path, [item.to_json() for item in items])


def _at(config: RunConfig, field: str) -> Any:
    value: Any = config
    while field:
        if isinstance(value, Mapping):  # its names are the user's, dots and all
            return value[field]
        part, _, field = field.partition(".")
        value = getattr(value, part)
    return value
