"""``mlflow``: a run and its bundles, logged to MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from natdeploy.verbs.result import Result


@dataclass(frozen=True)
class MlflowResult(Result):
    """What MLflow has of a run now.

    Attributes:
        run: the run's folder.
        tracking_uri, experiment: where it is logged.
        run_id: MLflow's id of the search.
        iterations: how many of its iterations were added.
        bundles: name of each bundle to MLflow's id of its nested run.
        added: names of the bundles that were not logged before.
    """

    run: Path
    tracking_uri: str
    experiment: str
    run_id: str
    iterations: int
    bundles: Mapping[str, str]
    added: tuple[str, ...]


def mlflow(run: str | Path, *, tracking_uri: str | None = None, experiment: str = "natdeploy") -> MlflowResult:
    """Log a run's settings, progress, report and bundles with their models; again, only what is new.

    Needs ``pip install 'natdeploy[mlflow]'``.

    Args:
        run: a run's folder.
        tracking_uri: MLflow's server or store; None takes MLflow's own setting, ``MLFLOW_TRACKING_URI``.
        experiment: its name; made where there is none.

    Raises BadInput where MLflow is not installed or refuses, and for no run; VerificationFailed for a damaged bundle.
    """
    from natdeploy.report.mlflow_run import log_to_mlflow
    from natdeploy.runs import RunFolder

    folder = RunFolder(run)
    logged = log_to_mlflow(folder, tracking_uri=tracking_uri, experiment=experiment)
    return MlflowResult(folder.path, **vars(logged))
