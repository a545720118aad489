from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from natdeploy.deploy import predict_images
from natdeploy.ground.errors import BadInput, VerificationFailed
from tests.deploy.stand_ins import CLASSES, PREPROCESSING, make_bundle, run_matrix


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "bundle"
    make_bundle(path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_names_and_probabilities_are_those_of_the_compiled_model(bundle: Path, picture: Path) -> None:
    (found,) = predict_images(bundle, [picture], top=len(CLASSES), run=run_matrix)
    matrix = np.frombuffer((bundle / "native/libmodel.so").read_bytes(), np.float32).reshape(3, -1)
    logits = PREPROCESSING([np.asarray(Image.open(picture))]).mean(axis=(2, 3))[0] @ matrix
    assert [name for name, _ in found.classes] == [CLASSES[index] for index in np.argsort(-logits)]
    probabilities = [probability for _, probability in found.classes]
    assert sum(probabilities) == pytest.approx(1)
    assert probabilities[0] / probabilities[1] == pytest.approx(
        np.exp(np.sort(logits)[-1] - np.sort(logits)[-2]), rel=1e-5
    )
    assert found.to_json()["image"] == str(picture)


def test_top_and_several_pictures(bundle: Path, picture: Path, tmp_path: Path) -> None:
    Image.new("L", (10, 10), 255).save(tmp_path / "grey.jpg")
    found = predict_images(bundle, [picture, str(tmp_path / "grey.jpg"), picture], top=2, run=run_matrix)
    assert [len(prediction.classes) for prediction in found] == [2, 2, 2]
    assert found[0].classes == found[2].classes
    assert len(predict_images(bundle, [picture], run=run_matrix)[0].classes) == 5


def test_a_truncated_jpeg_and_other_files_are_named(bundle: Path, picture: Path, tmp_path: Path) -> None:
    Image.open(picture).save(tmp_path / "cut.jpg")
    data = (tmp_path / "cut.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "notes.txt").write_text("not a picture")
    for name in ("cut.jpg", "notes.txt", "absent.png"):
        with pytest.raises(BadInput, match=name):
            predict_images(bundle, [picture, tmp_path / name], run=run_matrix)


def test_bad_arguments(bundle: Path, picture: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a bundle"):
        predict_images(tmp_path, [picture], run=run_matrix)
    with pytest.raises(BadInput, match="at least 1"):
        predict_images(bundle, [picture], top=0, run=run_matrix)
    with pytest.raises(BadInput, match="no image"):
        predict_images(bundle, [], run=run_matrix)
    with pytest.raises(BadInput, match=r"'cuda'; it has onnxruntime, tvm"):
        predict_images(bundle, [picture], runtime="cuda", run=run_matrix)


def test_a_damaged_bundle_is_not_run(bundle: Path, picture: Path) -> None:
    path = bundle / "native/libmodel.so"
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    try:
        with pytest.raises(VerificationFailed, match=r"native/libmodel.so"):
            predict_images(bundle, [picture], run=run_matrix)
    finally:
        path.write_bytes(data)
