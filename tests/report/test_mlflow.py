"""Runs and bundles in MLflow, against a database in a file."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from natdeploy.cli.main import app
from natdeploy.compiler import build_onnx
from natdeploy.deploy.bundle import Reference, write_bundle
from natdeploy.ground.errors import BadInput, VerificationFailed
from natdeploy.spaces import random_network
from natdeploy.verbs import mlflow as log
from tests.deploy.stand_ins import CLASSES, PREPROCESSING, SPACE, archs, manifest_of, timing
from tests.report.made_run import make_run

pytest.importorskip("mlflow", reason="MLflow is not installed; pip install natdeploy[mlflow]")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(tmp_path / "not-this-one"))
    monkeypatch.chdir(tmp_path)  # beside which such a store keeps the files of runs
    return f"sqlite:///{tmp_path}/mlflow.db"


def client(store: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store)


def bundle_of(run: Path) -> Path:
    """A bundle whose ONNX form is one: a network of random weights."""
    arch = archs(1)[0]
    folder = run.parent / "artifacts"
    (folder / "native").mkdir(parents=True)
    (folder / "native" / "libmodel.so").write_bytes(b"\0")
    network = random_network(SPACE.layers(arch, len(CLASSES)))
    build_onnx(network, folder)
    images = np.zeros((1, arch.r, arch.r, 3), np.uint8)
    reference = Reference(images, PREPROCESSING(images), np.zeros((1, len(CLASSES)), np.float32))
    path = run / "bundles" / f"host-{arch.id}"
    write_bundle(
        path,
        manifest_of(arch, 1.5, folder),
        artifacts=folder,
        arch=arch,
        labels=CLASSES,
        preprocessing=PREPROCESSING,
        reference=reference,
        measurements=[timing(arch, 1.5)],
    )
    return path


def test_a_run_is_logged_once(tmp_path: Path, store: str) -> None:
    made = make_run(tmp_path / "digits", count=40, bundles=0)
    first = log(made.run.path, tracking_uri=store)
    assert (first.iterations, first.bundles) == (6, {})
    again = log(made.run.path, tracking_uri=store)
    assert (again.run_id, again.iterations) == (first.run_id, 0)
    run = client(store).get_run(first.run_id)
    assert (run.info.run_name, run.info.status) == ("digits", "FINISHED")
    assert run.data.params["latency_ms"] == "0.5" and run.data.params["search.iterations"] == "5"
    assert run.data.metrics["hypervolume_random"] == 0.71
    hypervolumes = client(store).get_metric_history(first.run_id, "hypervolume")
    assert [(one.step, one.value) for one in hypervolumes] == [
        (step.iteration, step.hypervolume) for step in made.run.history()
    ]
    taus = client(store).get_metric_history(first.run_id, "surrogate_tau_top1")
    assert [(one.step, one.value) for one in taus] == [(step, pytest.approx(0.8 + 0.01 * step)) for step in range(1, 6)]
    assert {file.path for file in client(store).list_artifacts(first.run_id)} == {
        "run.json",
        "latency_model.json",
        "report.html",
    }


def test_a_search_that_goes_on_is_completed(tmp_path: Path, store: str) -> None:
    made = make_run(tmp_path / "digits", count=40, bundles=0, finished=False)
    history = made.run.state_path / "history.json"
    whole = json.loads(history.read_text())
    history.write_text(json.dumps(whole[:3]))
    first = log(made.run.path, tracking_uri=store)
    assert first.iterations == 3 and client(store).get_run(first.run_id).info.status == "RUNNING"
    history.write_text(json.dumps(whole))
    again = log(made.run.path, tracking_uri=store)
    assert (again.run_id, again.iterations) == (first.run_id, 3)


def test_a_bundles_model_is_loaded_by_mlflow(tmp_path: Path, store: str) -> None:
    import mlflow.pyfunc

    made = make_run(tmp_path / "digits", count=40, bundles=0)
    bundle = bundle_of(made.run.path)
    logged = log(made.run.path, tracking_uri=store)
    assert logged.added == (bundle.name,) and log(made.run.path, tracking_uri=store).added == ()
    nested = client(store).get_run(logged.bundles[bundle.name])
    assert nested.data.tags["mlflow.parentRunId"] == logged.run_id
    assert nested.data.metrics["measured_ms"] == 1.5 and nested.data.params["device"] == "host"
    folder = Path(client(store).download_artifacts(nested.info.run_id, "", str(tmp_path)))
    assert (folder / "bundle" / "SHA256SUMS").read_bytes() == (bundle / "SHA256SUMS").read_bytes()
    model = mlflow.pyfunc.load_model(str(folder / "model"))
    assert model.metadata.metadata["labels"] == list(CLASSES)
    r = archs(1)[0].r
    (name,) = model.metadata.signature.inputs.input_names()
    (logits,) = model.predict({name: np.zeros((1, 3, r, r), np.float32)}).values()
    assert logits.shape == (1, len(CLASSES))


def test_a_bundle_that_was_half_logged_is_logged_again(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_run(tmp_path / "digits", count=40, bundles=0)
    bundle = bundle_of(made.run.path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("mlflow.MlflowClient.log_artifacts", raise_interrupt)
        log(made.run.path, tracking_uri=store)
    found = log(made.run.path, tracking_uri=store)
    assert found.added == (bundle.name,)
    assert {file.path for file in client(store).list_artifacts(found.bundles[bundle.name])} == {"model", "bundle"}


def raise_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_damaged_bundle_is_not_logged(tmp_path: Path, store: str) -> None:
    made = make_run(tmp_path / "digits", count=40, bundles=0)
    bundle = bundle_of(made.run.path)
    (bundle / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(VerificationFailed, match=r"model\.onnx: its content was changed"):
        log(made.run.path, tracking_uri=store)
    (bundle / "SHA256SUMS").unlink()
    with pytest.raises(VerificationFailed, match="SHA256SUMS: missing"):
        log(made.run.path, tracking_uri=store)


def test_what_mlflow_refuses_is_one_line(tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_run(tmp_path / "digits", count=40, bundles=0)
    with pytest.raises(BadInput, match=r"^MLflow at nonsense://x: [^\n]+$"):
        log(made.run.path, tracking_uri="nonsense://x")
    with pytest.raises(BadInput, match="no such run folder"):
        log(tmp_path / "nowhere", tracking_uri=store)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    done = CliRunner().invoke(app, ["mlflow", str(made.run.path)])
    assert done.exit_code == 2 and "pip install 'natdeploy[mlflow]'" in done.stderr
    shutil.rmtree(made.run.path)
