"""The loop with a real supernet, real images and real training, as small as they come."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from natdeploy.ground.errors import BadInput
from natdeploy.runs import RunConfig, RunFolder
from natdeploy.search import LocalSurroundings, search, steps
from natdeploy.supernets import load_supernet, save_supernet
from tests.search.small_run import small_run
from tests.search.synthetic import Latency


class Here(LocalSurroundings):
    """This machine with a made-up latency model, so that nothing has to be timed."""

    def latency_model(self, config: RunConfig) -> Latency:
        return Latency()

    def load_latency_model(self, path: Path, config: RunConfig) -> Latency:
        return Latency()


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> RunConfig:
    return small_run(tmp_path_factory.mktemp("task"), images=60, classes=10, initial=4, candidates=1, archive=4)


def test_equal_seeds_and_a_continued_run_give_equal_archives(config, tmp_path, monkeypatch) -> None:
    whole = search(config, tmp_path / "whole", surroundings=Here())
    real, done = steps.NatSteps.run, []

    def stopping(self, step, state, progress):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(step)
        return real(self, step, state, progress)

    with monkeypatch.context() as patch:
        patch.setattr(steps.NatSteps, "run", stopping)
        with pytest.raises(KeyboardInterrupt):
            search(config, tmp_path / "broken", surroundings=Here())
    continued = search(config, tmp_path / "broken", surroundings=Here())
    assert continued.archive() == whole.archive() and continued.front() == whole.front()
    assert continued.supernet_path.read_bytes() == whole.supernet_path.read_bytes()
    assert all(entry.generation == 1 and entry.val_images == 9 for entry in whole.archive())
    assert load_supernet(whole.supernet_path).num_classes == 3


def test_a_supernet_of_another_space_and_a_missing_one(config, tmp_path) -> None:
    with pytest.raises(BadInput, match="is of space mbv3-micro, not ofa-mbv3-w1"):
        search(config.model_copy(update={"space": "ofa-mbv3-w1.0"}), tmp_path / "run", surroundings=Here())
    with pytest.raises(BadInput, match="nowhere"):
        search(config.model_copy(update={"supernet": str(tmp_path / "nowhere")}), tmp_path / "run", surroundings=Here())
    with pytest.raises(BadInput, match="nothing"):
        search(config.model_copy(update={"data": str(tmp_path / "nothing")}), tmp_path / "run", surroundings=Here())
    assert not RunFolder.exists(tmp_path / "run") and not (tmp_path / "run").exists()


def test_images_that_training_does_not_mirror_stop_a_search_before_it_trains(config, tmp_path) -> None:
    mirrored = config.model_copy(update={"adapt": config.adapt.model_copy(update={"validate_on": "mirrored"})})
    with pytest.raises(BadInput, match=r"adapt\.validate_on is 'mirrored', .*\(augmentation crop\)"):
        search(mirrored, tmp_path / "run", surroundings=Here())
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_stops_the_search_and_leaves_what_was_done(config, tmp_path) -> None:
    """The weights are so large that the first step overflows."""
    supernet = load_supernet(config.supernet, num_classes=3)
    with torch.no_grad():
        supernet.classifier.weight.fill_(3e38)
    save_supernet(tmp_path / "huge.safetensors", supernet, {})
    wild = config.model_copy(update={"supernet": str(tmp_path / "huge.safetensors")})
    with pytest.raises(BadInput, match=r"training diverged: loss \w+, .*lower learning rate \(adapt\.lr"):
        search(wild, tmp_path / "run", surroundings=Here())
    assert RunFolder.exists(tmp_path / "run") and not RunFolder(tmp_path / "run").is_finished


def test_a_runtime_that_the_device_lacks_has_no_latency_model(config, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    profile = SimpleNamespace(name="host", runtimes=("elsewhere",))
    monkeypatch.setattr("natdeploy.devices.load_profile", lambda name: profile)
    with pytest.raises(BadInput, match=f"no runtime '{config.runtime}'; its runtimes are elsewhere"):
        search(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
