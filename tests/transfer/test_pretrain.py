import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import sha256_file
from natdeploy.ground.lock import only_process_in
from natdeploy.spaces import get_space
from natdeploy.supernets import load_supernet
from natdeploy.transfer import PretrainConfig, epoch, pretrain
from natdeploy.transfer.batches import TrainingBatches, mirrored, resize, shifted
from natdeploy.transfer.optimizer import cosine
from natdeploy.transfer.step import TrainingDiverged

SPACE = get_space("mbv3-micro")
CONFIG = PretrainConfig(epochs_largest=1, epochs_elastic=1, batch_size=80, lr=0.02)


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def straight(stripes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of an undisturbed training, to be read only."""
    return pretrain(SPACE, stripes, CONFIG, tmp_path_factory.mktemp("straight"))


@pytest.fixture
def finished(straight: Path, tmp_path: Path) -> Path:
    """A folder in which that training has ended."""
    return shutil.copytree(straight.parent, tmp_path / "finished")


def test_stopped_and_started_again_it_ends_with_the_same_weights(stripes, straight, tmp_path) -> None:
    def stop(stage: str, fraction: float) -> None:
        if stage.startswith("epoch 2"):
            raise Stopped

    with pytest.raises(Stopped):
        pretrain(SPACE, stripes, CONFIG, tmp_path / "stopped", progress=stop)
    assert not (tmp_path / "stopped" / "supernet.safetensors").exists()
    continued = pretrain(SPACE, stripes, CONFIG, tmp_path / "stopped")
    one, two = load_file(straight), load_file(continued)
    assert all(torch.equal(one[name], two[name]) for name in one)
    written = json.loads(straight.with_name("training.json").read_text())
    assert [entry["phase"] for entry in written["log"]] == ["largest", "elastic"]
    assert written["test"]["smallest"]["images"] == 40
    assert load_supernet(straight).num_classes == 2


def test_out_of_memory_halves_the_batch_and_a_continued_run_keeps_to_it(
    stripes, straight, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for twice the batch that fits, it ends with the weights of a training that was asked for what fits."""
    real, sizes, stages = epoch.elastic_step, [], []

    def step(replicas, optimizer, images, *rest, **more) -> float:
        sizes.append(len(images))
        if len(images) > CONFIG.batch_size:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return real(replicas, optimizer, images, *rest, **more)

    def stop(stage: str, fraction: float) -> None:
        stages.append(stage)
        if stage.startswith("epoch 2"):
            raise Stopped

    monkeypatch.setattr(epoch, "elastic_step", step)
    config = CONFIG.model_copy(update={"batch_size": 160})
    with pytest.raises(Stopped):
        pretrain(SPACE, stripes, config, tmp_path, progress=stop)
    assert sizes[:2] == [160, 80]
    assert stages[0] == "epoch 1/2, out of memory while training: on with batches of 80 images"
    sizes.clear()
    short = pretrain(SPACE, stripes, config, tmp_path)
    assert set(sizes) == {80}
    one, two = load_file(straight), load_file(short)
    assert all(torch.equal(one[name], two[name]) for name in one)
    written = json.loads((tmp_path / "training.json").read_text())
    assert [entry["batch_size"] for entry in written["log"]] == [80, 80] and written["config"]["batch_size"] == 160


def test_a_teacher_is_trained_once_and_its_accuracy_told(stripes, tmp_path) -> None:
    config = CONFIG.model_copy(update={"teacher_epochs": 3})
    stages: list[str] = []

    def stop(stage: str, fraction: float) -> None:
        stages.append(stage)
        if stage.startswith("epoch 2"):
            raise Stopped

    with pytest.raises(Stopped):
        pretrain(SPACE, stripes, config, tmp_path, progress=stop)
    assert stages[0].startswith("teacher: epoch 1/3")
    taught = (tmp_path / "teacher.safetensors").read_bytes()
    stages.clear()
    pretrain(SPACE, stripes, config, tmp_path, progress=lambda stage, _: stages.append(stage))
    assert stages[0].startswith("epoch 2/2")
    assert (tmp_path / "teacher.safetensors").read_bytes() == taught
    written = json.loads((tmp_path / "training.json").read_text())
    assert written["teacher"]["split"] == "val"
    assert written["teacher"]["top1"] > 0.9


def test_trained_further_it_starts_from_the_checkpoint(stripes, straight, tmp_path) -> None:
    standing = CONFIG.model_copy(update={"epochs_largest": 0, "lr": 1e-12})
    further = pretrain(SPACE, stripes, standing, tmp_path / "further", start=straight)
    one, two = load_file(straight), load_file(further)
    weights = [name for name in one if "running" not in name and "batches" not in name]
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in weights)
    written = json.loads((tmp_path / "further" / "training.json").read_text())
    assert [entry["phase"] for entry in written["log"]] == ["elastic"]
    assert written["started_from"] == sha256_file(straight)
    with pytest.raises(BadInput, match="another space, data set or configuration"):
        pretrain(SPACE, stripes, standing, tmp_path / "further", start=further)
    with pytest.raises(BadInput, match="missing"):
        pretrain(SPACE, stripes, standing, tmp_path / "none", start=tmp_path / "missing.safetensors")
    with pytest.raises(BadInput, match=r"a supernet of space mbv3-micro, expected ofa-mbv3-w1\.0"):
        pretrain(get_space("ofa-mbv3-w1.0"), stripes, standing, tmp_path / "none", start=straight)
    assert not (tmp_path / "none").exists()


def test_a_second_process_is_kept_out_and_a_half_replaced_state_comes_back(stripes, finished) -> None:
    with only_process_in(finished), pytest.raises(BadInput, match="another natdeploy process"):
        pretrain(SPACE, stripes, CONFIG, finished)
    weights = (finished / "supernet.safetensors").read_bytes()
    aside = finished / ".state.old.killed"
    aside.mkdir()
    (finished / "state").rename(aside / "state")
    stages: list[str] = []
    pretrain(SPACE, stripes, CONFIG, finished, progress=lambda stage, _: stages.append(stage))
    assert stages == []  # nothing was trained again
    assert (finished / "supernet.safetensors").read_bytes() == weights


def test_a_folder_of_another_configuration_is_refused(stripes, finished) -> None:
    with pytest.raises(BadInput, match="another space, data set or configuration"):
        pretrain(SPACE, stripes, CONFIG.model_copy(update={"lr": 0.01}), finished)


def test_divergence_is_an_error(stripes, tmp_path) -> None:
    with pytest.raises(TrainingDiverged, match="lower learning rate"):
        pretrain(
            SPACE, stripes, CONFIG.model_copy(update={"lr": 1e30, "epochs_largest": 5, "batch_size": 16}), tmp_path
        )


def test_cosine_rises_falls_and_ends_at_zero() -> None:
    values = [cosine(progress, 1.0, warm_up=0.1) for progress in np.linspace(0, 1, 101)]
    assert values[0] == 0 and values[10] == pytest.approx(1) and values[-1] == pytest.approx(0)
    assert values[:11] == sorted(values[:11]) and values[10:] == sorted(values[10:], reverse=True)


def test_augmentation_moves_and_mirrors_and_nothing_else() -> None:
    image = np.zeros((64, 16, 16, 3), np.uint8)
    image[:, 8, 8] = 200
    moved = shifted(image, np.random.default_rng(0))
    assert moved.shape == image.shape and (moved.reshape(64, -1).sum(1) == 600).all()
    places = np.argwhere(moved[..., 0])[:, 1:]
    assert places.min() == 6 and places.max() == 10
    image[:, 8, 3] = 100
    flipped = mirrored(image, np.random.default_rng(0))
    share = (flipped[:, 8, 12, 0] == 100).mean()
    assert 0.3 < share < 0.7
    assert ((flipped == image).all((1, 2, 3)) | (flipped == image[:, :, ::-1]).all((1, 2, 3))).all()


def test_batches_cover_an_epoch_once_and_are_normalised(stripes) -> None:
    batches = TrainingBatches(stripes.train, 32, 50, mean=stripes.mean, std=stripes.std, augmentation="none")
    seen = list(batches.epoch(np.random.default_rng(0), torch.device("cpu")))
    assert len(seen) == len(batches) == 3
    assert seen[0][0].shape == (50, 3, 32, 32)
    assert seen[0][0].is_contiguous(memory_format=torch.channels_last)
    assert min(x.min().item() for x, _ in seen) > -1.01 and max(x.max().item() for x, _ in seen) < 1.01
    with pytest.raises(BadInput, match="augmentation must be one of"):
        TrainingBatches(stripes.train, 32, 50, mean=stripes.mean, std=stripes.std, augmentation="mixup")


def test_resizing_averages_when_it_reduces() -> None:
    batch = torch.zeros(1, 3, 32, 32)
    batch[:, :, ::2] = 1
    assert resize(batch, 8).sub(0.5).abs().max() < 0.2
    assert resize(batch, 32) is batch
