"""``export``: one subnet of a checkpoint as a checked ONNX file, or one line and nothing written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

from natdeploy import verbs
from natdeploy.cli.main import app
from natdeploy.data import Preprocessing, load_dataset
from natdeploy.deploy import export as exporting
from natdeploy.ground.errors import BadInput, VerificationFailed
from natdeploy.ground.files import write_json
from natdeploy.spaces import costs, get_space
from natdeploy.spaces.published import read_config
from natdeploy.supernets import build_supernet, load_supernet, read_supernet_header, save_supernet
from natdeploy.transfer import Calibration, calibrated_subnet
from natdeploy.verbs.export import ExportResult

SPACE = get_space("mbv3-micro")
CLASSES = tuple(read_supernet_header("box")["meta"]["classes"])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures of noise, under the names of the shipped weights' classes."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("images") / "noise.npz"
    np.savez(
        path,
        images=rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8),
        label=np.arange(60) % 10,
        split=np.repeat(["train", "val", "test"], 20),
        classes=np.array(CLASSES),
    )
    return path


@pytest.fixture(scope="module")
def result(images: Path) -> ExportResult:
    return verbs.export("smallest", data=str(images), out=images.parent / "out", calibration_images=40)


def test_the_file_is_the_calibrated_subnet_of_the_checkpoint(result, images: Path) -> None:
    arch, meta = SPACE.smallest(), read_supernet_header("box")["meta"]
    assert result.arch == arch.to_json() and result.arch_id == arch.id
    about = costs(SPACE.layers(arch, 10))
    assert (result.exported.macs, result.exported.params, result.exported.num_classes) == (about.macs, about.params, 10)
    assert result.exported.max_abs_error <= result.exported.allowed and result.exported.images == 16
    preprocessing = Preprocessing.from_json(json.loads((result.out / "preprocess.json").read_text()))
    assert result.exported.normalised_as == "the checkpoint's"
    assert (list(preprocessing.mean), list(preprocessing.std)) == (meta["mean"], meta["std"])
    dataset = load_dataset(str(images))
    inputs = preprocessing(list(dataset.test.images))
    dataset = dataclasses.replace(dataset, mean=preprocessing.mean, std=preprocessing.std)
    subnet = calibrated_subnet(load_supernet(), arch, dataset, Calibration(40, "crop-flip"))  # as its training
    with torch.inference_mode():
        wanted = subnet(torch.from_numpy(inputs)).numpy()
    session = onnxruntime.InferenceSession(str(result.out / "model.onnx"))
    name = session.get_inputs()[0].name
    found = np.concatenate([session.run(None, {name: one[None]})[0] for one in inputs])
    assert np.abs(found - wanted).max() < 1e-4 * max(1, np.abs(wanted).max())
    assert result.exported.test_images == 20 and 0 < result.exported.test_standard_error < 0.2
    assert result.exported.test_top1 == pytest.approx((wanted.argmax(1) == dataset.test.labels).mean())


def test_what_lies_beside_it_leads_back(result, images: Path) -> None:
    assert sorted(result.exported.files) == sorted(exporting.FILES)
    assert json.loads((result.out / "labels.json").read_text()) == list(CLASSES)
    assert read_config(result.out / "net.config").arch == SPACE.smallest()
    before = (result.out / "model.onnx").read_bytes()
    for form in ("subnet.json", "net.config"):
        again = verbs.export(result.out / form, data=str(images), out=images.parent / "again", calibration_images=40)
        assert (again.out / "model.onnx").read_bytes() == before


def test_it_tells_how_far_it_is(images: Path, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    verbs.export(
        "smallest",
        data=str(images),
        out=tmp_path / "out",
        progress=lambda what, fraction: told.append((what, fraction)),
    )
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(set(fractions)) and (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert [what for what, _ in told][1:4] == [
        "reading the weights",
        f"calibrating {SPACE.smallest().id}",
        "writing the ONNX file",
    ]


def test_images_of_other_classes_calibrate_and_do_not_judge(tmp_path: Path) -> None:
    found = verbs.export("smallest", data="digits", out=tmp_path / "out", calibration_images=40, resolution=32)
    assert found.exported.test_top1 is None and found.exported.num_classes == 10 and found.arch["r"] == 32
    assert json.loads((found.out / "labels.json").read_text()) == list(CLASSES)


def test_a_checkpoint_that_names_neither_classes_nor_statistics(images: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    bare = tmp_path / "bare.safetensors"
    save_supernet(bare, build_supernet(SPACE, 7), {})
    found = verbs.export("smallest", supernet=str(bare), data=str(images), out=tmp_path / "out")
    about = found.exported
    assert about.normalised_as == "these images'" and about.test_top1 is None and about.num_classes == 7
    assert json.loads((found.out / "labels.json").read_text()) == [*"0123456"]


def test_the_command(images: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "net", SPACE.largest().to_json())
    args = ["export", str(tmp_path / "net"), "--data", str(images), "--out", str(tmp_path / "out")]
    shown = CliRunner().invoke(app, args)
    assert shown.exit_code == 0, shown.output
    for words in (SPACE.largest().id, "differ from PyTorch's", "of 20 test images", "model.onnx"):
        assert words in " ".join(shown.stdout.split())
    found = json.loads(CliRunner().invoke(app, [*args, "--json"]).stdout)
    assert found["arch"] == SPACE.largest().to_json() and found["exported"]["test_images"] == 20


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"net": "nope"}, "nope: no readable architecture"),
        ({"supernet": "nope.safetensors"}, "nope.safetensors: no such supernet checkpoint"),
        ({"data": "nope"}, "no such file, folder or data set"),
        ({"resolution": 100}, "no resolution 100"),
        ({"calibration_images": 1}, "calibration_images: expected at least 2, not 1"),
    ],
)
def test_bad_input_writes_nothing(options: dict, words: str, images: Path, tmp_path: Path) -> None:
    given = {"net": "smallest", "data": str(images), "out": tmp_path / "out", **options}
    with pytest.raises(BadInput, match=words):
        verbs.export(given.pop("net"), **given)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(images: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(BadInput, match="not a folder"):
        verbs.export("smallest", data=str(images), out=tmp_path / "thesis.tex")
    for name in ("thesis.tex", "model.onnx", "net.config"):
        (tmp_path / name).write_text("all of it")
        with pytest.raises(BadInput, match="holds something else than an export"):
            verbs.export("smallest", data=str(images), out=tmp_path)
        assert (tmp_path / name).read_text() == "all of it"
        (tmp_path / name).unlink()


def test_the_working_directory_is_no_place(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="not a folder that can be replaced"):
        verbs.export("smallest", data=str(images), out=".")


def test_an_architecture_of_another_space(images: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "net", get_space("ofa-mbv3-w1.0").smallest().to_json())
    with pytest.raises(BadInput, match=r"of space ofa-mbv3-w1.0, expected one of mbv3-micro"):
        verbs.export(tmp_path / "net", data=str(images), out=tmp_path / "out")


def test_whether_the_weights_have_met_the_test_images(images: Path, tmp_path: Path) -> None:
    """The shipped ones were trained on other images, these on the division that seed 0 gives."""
    dataset, path = load_dataset(str(images)), tmp_path / "known.safetensors"
    about = {"classes": list(CLASSES), "fingerprint": dataset.fingerprint, "augmentation": "none"}
    save_supernet(path, build_supernet(SPACE, 10), about)
    given = {"data": str(images), "calibration_images": 20}
    assert verbs.export("smallest", supernet=str(path), out=tmp_path / "a", **given).exported.same_division is True
    assert verbs.export("smallest", out=tmp_path / "b", **given).exported.same_division is False


@pytest.mark.parametrize(("field", "value"), [("mean", [1, 2]), ("std", "abc"), ("classes", ["one"])])
def test_a_header_that_cannot_be_true(field: str, value: object, images: Path, tmp_path: Path) -> None:
    about = {"mean": [0.5] * 3, "std": [0.5] * 3, field: value}
    save_supernet(tmp_path / "odd.safetensors", build_supernet(SPACE, 10), about)
    with pytest.raises(BadInput, match=f"odd.safetensors.*'{field}'"):
        verbs.export("smallest", supernet=str(tmp_path / "odd.safetensors"), data=str(images), out=tmp_path / "out")


def test_a_file_that_computes_something_else_is_not_written(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = exporting.run_in_child
    monkeypatch.setattr(exporting, "run_in_child", lambda *given: real(*given) + 0.1)
    with pytest.raises(VerificationFailed, match=r"model.onnx: outputs differ from the torch module's"):
        verbs.export("smallest", data=str(images), out=tmp_path / "out", calibration_images=40)
    assert not (tmp_path / "out").exists()
