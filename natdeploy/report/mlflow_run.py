"""A run and its bundles, logged to MLflow: settings, metrics after each iteration, files, and models.

::

    run of MLflow            the search: parameters, metrics by iteration, run.json, latency_model.json, report.html
      nested run             a bundle: its figures as metrics, its folder, the model in MLflow's form

Both carry what they were made from as a tag (``natdeploy.run``, ``natdeploy.bundle``): what is logged already is found
again, and only what is new is added.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from natdeploy import __version__
from natdeploy.deploy.integrity import SUMS
from natdeploy.deploy.manifest import Manifest
from natdeploy.deploy.mlflow_model import save_mlflow_model
from natdeploy.deploy.size import artifact_bytes
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key, sha256_file
from natdeploy.report.report import write_report
from natdeploy.runs import HistoryStep, RunFolder, bundles_of
from natdeploy.runs.folder import CONFIG

EXPERIMENT = "natdeploy"
RUN, BUNDLE, PARENT = "natdeploy.run", "natdeploy.bundle", "mlflow.parentRunId"
#: The metric that tells which iterations are logged already.
_STEPS = "evaluations"


@dataclass(frozen=True)
class LoggedRun:
    """What MLflow has of a run now.

    Attributes:
        tracking_uri, experiment: where.
        run_id: MLflow's id of the search.
        iterations: how many were added.
        bundles: name of each bundle to MLflow's id of its nested run.
        added: names of the bundles that were not logged before.
    """

    tracking_uri: str
    experiment: str
    run_id: str
    iterations: int
    bundles: Mapping[str, str]
    added: tuple[str, ...]


def log_to_mlflow(run: RunFolder, *, tracking_uri: str | None = None, experiment: str = EXPERIMENT) -> LoggedRun:
    """Log a run, finished or after its first step; what is logged already is completed.

    Args:
        run: the run.
        tracking_uri: MLflow's server or store; None takes MLflow's own setting (``MLFLOW_TRACKING_URI``).
        experiment: its name; made where there is none.

    Raises BadInput where MLflow is not installed or refuses, and while the run has nothing to tell; VerificationFailed
    for a damaged bundle.
    """
    with _readable_errors(tracking_uri):
        client = _client(tracking_uri)
        found = client.get_experiment_by_name(experiment)
        where = found.experiment_id if found is not None else client.create_experiment(experiment)
        history, config = run.history(), run.config().model_dump(mode="json")
        run_id = _run_of(client, where, RUN, content_key(config), run.path.resolve().name, {}).run_id
        client.log_batch(run_id, params=_params(config))  # the same again changes nothing
        iterations = _log_history(client, run_id, history)
        if run.is_finished and (random := run.summary().get("hypervolume_random")) is not None:
            client.log_metric(run_id, "hypervolume_random", random)
        with tempfile.TemporaryDirectory() as folder:
            report = write_report(run, out=Path(folder) / "report.html")
            for path in (run.path / CONFIG, run.latency_model_path, report):
                client.log_artifact(run_id, str(path))
        bundles, added = {}, []
        for path in bundles_of(run).there:
            bundles[path.name], is_new = _log_bundle(client, where, run_id, path)
            added += [path.name] if is_new else []
        if run.is_finished:
            client.set_terminated(run_id)
        return LoggedRun(client.tracking_uri, experiment, run_id, iterations, bundles, tuple(added))


def _client(tracking_uri: str | None) -> Any:
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise BadInput("MLflow is not installed; run: pip install 'natdeploy[mlflow]'") from None
    return MlflowClient(tracking_uri=tracking_uri)


@contextlib.contextmanager
def _readable_errors(tracking_uri: str | None) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "mlflow":
            raise
        where = tracking_uri or "its own setting, MLFLOW_TRACKING_URI"
        raise BadInput(f"MLflow at {where}: {' '.join(str(error).split())}") from None


def _run_of(client: Any, where: str, tag: str, key: str, name: str, tags: Mapping[str, str]) -> Any:
    """Id and status of the run of MLflow that has this tag; made where there is none."""
    if found := client.search_runs([where], filter_string=f"tags.`{tag}` = '{key}'", max_results=1):
        return found[0].info
    return client.create_run(where, run_name=name, tags={tag: key, "natdeploy.version": __version__, **tags}).info


def _params(config: Mapping[str, Any]) -> list[Any]:
    from mlflow.entities import Param

    return [Param(name, str(value)) for name, value in _flat(config)]


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _log_history(client: Any, run_id: str, history: list[HistoryStep]) -> int:
    """Log the iterations that are not logged yet; how many."""
    last = max((metric.step for metric in client.get_metric_history(run_id, _STEPS)), default=-1)
    new = [step for step in history if step.iteration > last]
    for step in new:
        figures = {
            "hypervolume": step.hypervolume,
            "best_top1": step.best_top1,
            "front_size": step.front_size,
            "archive_size": step.archive_size,
            "feasible": step.feasible,
            **{f"seconds_{stage}": seconds for stage, seconds in step.seconds.items()},
            **{
                f"surrogate_tau_{name.replace(':', '_')}": quality["cv_kendall"]
                for name, quality in step.surrogate.get("of", {}).items()
            },
            _STEPS: step.evaluations,
        }
        client.log_batch(run_id, metrics=_metrics(figures, step.iteration))
    return len(new)


def _metrics(figures: Mapping[str, float | None], step: int = 0) -> list[Any]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(name, float(value), now, step) for name, value in figures.items() if value is not None]


def _log_bundle(client: Any, where: str, parent: str, bundle: Path) -> tuple[str, bool]:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        manifest = save_mlflow_model(bundle, model)
        key = sha256_file(bundle / SUMS)
        found = _run_of(client, where, BUNDLE, key, bundle.name, {PARENT: parent})
        run_id, is_new = found.run_id, found.status != "FINISHED"  # one that was interrupted is logged again
        if is_new:
            client.log_batch(run_id, metrics=_metrics(_figures(manifest)), params=_params(_about(manifest)))
            client.log_artifacts(run_id, str(model), "model")
            client.log_artifacts(run_id, str(bundle), "bundle")
            client.set_terminated(run_id)
    return run_id, is_new


def _figures(manifest: Manifest) -> dict[str, float | None]:
    measured, predicted = manifest.measured_for_budget(), manifest.latency.predicted
    return {
        **{f"{one.split}_top1": one.top1 for one in manifest.accuracy},
        **{f"{one.split}_top1_standard_error": one.standard_error for one in manifest.accuracy},
        "measured_ms": measured.latency_ms if measured else None,
        "predicted_ms": predicted.mean_ms if predicted else None,
        "predicted_lower_ms": predicted.lower_ms if predicted else None,
        "predicted_upper_ms": predicted.upper_ms if predicted else None,
        "budget_ms": manifest.latency.budget_ms,
        "macs": manifest.model.macs,
        "params": manifest.model.params,
        "model_bytes": artifact_bytes(manifest),
    }


def _about(manifest: Manifest) -> dict[str, Any]:
    return {
        "device": manifest.device.name,
        "runtime": manifest.latency.runtime,
        "arch_id": manifest.model.arch_id,
        "space": manifest.model.space,
        "data": manifest.provenance.task or manifest.provenance.data,
        "picked_as": ", ".join(manifest.provenance.picked_as),
        "verified": manifest.verification.verified,
        "latency_source": manifest.latency.predicted.source if manifest.latency.predicted else "none",
    }
