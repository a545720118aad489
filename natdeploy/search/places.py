"""What a search knows of devices: latency models, and the power figures of energies, kept in the run folder."""

from __future__ import annotations

from pathlib import Path

from natdeploy.devices.power import PowerModel
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import write_json
from natdeploy.runs import Place, RunConfig, RunFolder
from natdeploy.runs.folder import POWER, file_of
from natdeploy.search.estimates import Elsewhere, Estimator, LatencyPredictor
from natdeploy.search.evaluator import Power, Surroundings
from natdeploy.spaces import get_space


class Places:
    """Latency models and power figures of every device and runtime that a search's figures are of.

    Args:
        config: the run's.
        latency: of its own device and runtime.
        elsewhere: of the others, in the order of ``config.places``.
        power: of the places whose energy is asked for.
    """

    def __init__(
        self,
        config: RunConfig,
        latency: LatencyPredictor,
        elsewhere: dict[Place, LatencyPredictor],
        power: dict[Place, Power],
    ) -> None:
        self.config, self.latency = config, latency
        self._elsewhere, self._power = elsewhere, power

    @staticmethod
    def find(config: RunConfig, here: Surroundings) -> Places:
        """As they are found now, for a new run. Raises BadInput where one is missing."""
        others = [place for place in config.places if place != config.home]
        files = [file_of(place) for place in others]
        if twice := next((name for name in files if files.count(name) > 1), None):
            raise BadInput(f"two devices' latency models would both be {twice} in the run folder; rename a profile")
        latency = here.latency_model(config)
        elsewhere = {place: here.latency_model(_at(config, place)) for place in others}
        power = {place: here.power_model(_at(config, place)) for place in config.powered}
        return Places(config, latency, elsewhere, power)

    @staticmethod
    def load(run: RunFolder, here: Surroundings) -> Places:
        """As they were found when the run was started."""
        config = run.config()
        latency = here.load_latency_model(run.latency_model_path, config)
        others = [place for place in config.places if place != config.home]
        elsewhere = {
            place: here.load_latency_model(run.latency_model_of(place), _at(config, place)) for place in others
        }
        kept = {place: run.power_of(place) for place in config.powered}
        power: dict[Place, Power] = {
            place: PowerModel(one["watts"], str(one.get("about", ""))) for place, one in kept.items()
        }
        return Places(config, latency, elsewhere, power)

    def save(self, folder: Path) -> None:
        """Write all but the run's own latency model into an existing folder."""
        for place, model in self._elsewhere.items():
            model.save(folder / file_of(place))
        if self._power:
            write_json(folder / POWER, self.about_energy())

    def about_energy(self) -> dict[str, dict[str, object]]:
        """``watts`` and ``about`` by place; the run's own under the empty name."""
        return {
            _key(self.config, place): {"watts": float(power.watts), "about": power.about}
            for place, power in self._power.items()
        }

    @property
    def more_than_one(self) -> bool:
        """Whether there is anything beside the run's own latency model."""
        return bool(self._elsewhere or self._power)

    def estimator(self, num_classes: int) -> Estimator:
        """Of the run's space, budgets and limits."""
        config, home = self.config, self.config.home
        watts = {place: power.watts for place, power in self._power.items()}
        elsewhere = {place.key: Elsewhere(model, watts.get(place)) for place, model in self._elsewhere.items()}
        if home in watts:
            elsewhere[""] = Elsewhere(None, watts[home])
        return Estimator(
            get_space(config.space).at_resolutions(config.resolutions),
            self.latency,
            config.latency_ms,
            num_classes,
            elsewhere=elsewhere,
            requirements=config.requirements,
        )


def _at(config: RunConfig, place: Place) -> RunConfig:
    """The configuration of a run whose own device this is."""
    return config.model_copy(update={"device": place.device, "runtime": place.runtime})


def _key(config: RunConfig, place: Place) -> str:
    return "" if place == config.home else place.key
