"""Pre-training through the verb."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from natdeploy import verbs
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import write_json
from natdeploy.transfer import PretrainConfig


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 0.0},
        {"student_weight": 0.0},
        {"lr": float("nan")},
        {"batch_size": 1},
        {"epochs_largest": -1},
        {"epochs_elastic": -2},
        {"epochs_largest": 0, "epochs_elastic": 0},
        {"epochs_elastic": 1.5},
        {"batch_size": "many"},
        {"lr": 1e9},
        {"val_fraction": 1.0},
        {"seed": -1},
    ],
)
def test_settings_that_make_no_sense_name_their_field(settings: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=next(iter(settings))):
        verbs.pretrain(data="digits", out=tmp_path / "out", **settings)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_the_recipe_is_handed_on_and_its_log_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train(space: Any, dataset: Any, config: Any, out: Path, *, start: Any, progress: Any) -> Path:
        assert start == tmp_path / "mine.safetensors"
        assert (space.name, len(dataset.classes)) == ("mbv3-micro", 10)
        assert (config.epochs_largest, config.lr, config.seed) == (3, 0.01, 5)
        assert config.batch_size == PretrainConfig().batch_size
        write_json(out / "training.json", {"test": {"largest": {"top1": 0.9}}, "log": [{"epoch": 1}]})
        return out / "supernet.safetensors"

    monkeypatch.setattr("natdeploy.transfer.pretrain", train)
    result = verbs.pretrain(
        data="digits", out=tmp_path / "out", epochs_largest=3, lr=0.01, seed=5, supernet=tmp_path / "mine.safetensors"
    )
    assert result.to_json() == {
        "checkpoint": str(tmp_path / "out" / "supernet.safetensors"),
        "space": "mbv3-micro",
        "data": "digits",
        "test": {"largest": {"top1": 0.9}},
        "log": [{"epoch": 1}],
    }
