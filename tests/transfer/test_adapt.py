import json

import numpy as np
import pytest
import torch

from natdeploy.ground.errors import BadInput
from natdeploy.supernets import build_supernet
from natdeploy.transfer import Adaptation, AdaptConfig, Calibration, adapt, evaluate_arch
from tests.transfer.make import CONFIG, SPACE, fresh, same, smallest, weights


def test_a_run_continued_from_disk_takes_the_same_steps(stripes, tmp_path) -> None:
    straight = fresh(stripes)
    straight.warm_up()
    straight.save(tmp_path)
    straight.adapt(1, smallest)
    torch.manual_seed(12345)  # torch's own generator must not matter
    continued = Adaptation.load(tmp_path, stripes)
    continued.adapt(1, smallest)
    assert same(straight.supernet, continued.supernet)
    assert continued.epochs_done == straight.epochs_done == 2


def test_another_seed_takes_other_steps(stripes) -> None:
    one, two = fresh(stripes, 0), fresh(stripes, 1)
    one.adapt(1, smallest)
    two.adapt(1, smallest)
    assert not same(one.supernet, two.supernet)


def test_adaptation_learns_the_task(stripes) -> None:
    adaptation = fresh(stripes, warm_up_epochs=3, batch_size=16)
    before = evaluate_arch(adaptation.supernet, SPACE.smallest(), stripes, Calibration())
    adaptation.warm_up()
    after = evaluate_arch(adaptation.supernet, SPACE.smallest(), stripes, Calibration())
    assert after.loss < before.loss
    assert after.top1 > 0.85
    assert after.images == 40


def test_the_largest_subnet_is_trained_alone_first(stripes, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    real = adapt.train_epoch

    def train_epoch(*given, students, **more) -> float:
        drawn.append(len(students(np.random.default_rng(0))))
        return real(*given, students=students, **more)

    monkeypatch.setattr(adapt, "train_epoch", train_epoch)
    adaptation = fresh(stripes, largest_epochs=2)
    adaptation.warm_up()
    assert drawn == [0, 0, 1] and adaptation.epochs_done == 3 and adaptation.config.epochs == 5
    adaptation = fresh(stripes, largest_epochs=2, warm_up_epochs=0)
    before = weights(adaptation.supernet)
    adaptation.warm_up()
    changed = {name for name, value in weights(adaptation.supernet).items() if not torch.equal(value, before[name])}
    assert changed and not any("transforms" in name for name in changed)  # the largest has no smaller kernels


def test_evaluation_leaves_the_supernet_as_it_was(stripes) -> None:
    adaptation = fresh(stripes)
    before = weights(adaptation.supernet)
    first = evaluate_arch(adaptation.supernet, SPACE.smallest(), stripes, Calibration())
    assert same(adaptation.supernet, before)
    assert first == evaluate_arch(adaptation.supernet, SPACE.smallest(), stripes, Calibration())


def test_the_head_must_fit_the_task(stripes) -> None:
    with pytest.raises(BadInput, match="the supernet has 10 classes, data set stripes has 2"):
        Adaptation(build_supernet(SPACE, 10), stripes, AdaptConfig(**CONFIG), 0)


def test_iterations_outside_the_plan_are_refused(stripes) -> None:
    with pytest.raises(BadInput, match="iteration 3 is outside 1 to 2"):
        fresh(stripes).adapt(3, smallest)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "other"}, "other images"),
        ({"config": {"x": 1}}, r"adaptation\.json: unknown field 'config\.x'"),
        ({"config": {"lr": "much"}}, r"adaptation\.json: field 'config\.lr'"),
        ({"epochs_done": -1}, r"adaptation\.json: field 'epochs_done'"),
        ({"seed": None}, r"adaptation\.json: field 'seed'"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(stripes, tmp_path, change, message) -> None:
    fresh(stripes).save(tmp_path)
    path = tmp_path / "adaptation.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadInput, match=message):
        Adaptation.load(tmp_path, stripes)


def test_a_continued_run_keeps_to_its_resolutions(stripes, tmp_path) -> None:
    fresh(stripes).save(tmp_path)
    continued = Adaptation.load(tmp_path, stripes, resolutions=[24])
    assert continued.supernet.space.resolutions == (24,)
    drawn = [continued.supernet.space.sample(np.random.default_rng(seed)).r for seed in range(20)]
    assert set(drawn) == {24}
    continued.warm_up()  # the largest of that resolution teaches, on images of that size
    assert continued.supernet.active.r == 24
