import copy

import pytest
import torch

from natdeploy.spaces import get_space
from natdeploy.supernets import build_supernet
from natdeploy.transfer import Calibration, calibrated_subnet, evaluate, fine_tune, finetune, head_epochs
from natdeploy.transfer.step import TrainingDiverged

SPACE = get_space("mbv3-micro")
ARCH = SPACE.smallest()


@pytest.fixture
def subnet(stripes):
    torch.manual_seed(0)
    return calibrated_subnet(build_supernet(SPACE, 2), ARCH, stripes, Calibration(64))


def test_it_learns_and_leaves_the_given_network_as_it_was(subnet, stripes) -> None:
    before = copy.deepcopy(subnet.state_dict())
    said: list[str] = []
    found = fine_tune(subnet, ARCH, stripes, 8, batch_size=20, calibration=Calibration(64), say=said.append)
    assert found.after > found.before and found.epochs == 8 and found.subnet is not subnet
    assert evaluate(found.subnet, ARCH, stripes).top1 == found.after and not found.subnet.training
    assert all(torch.equal(value, before[name]) for name, value in subnet.state_dict().items())
    assert len(said) == head_epochs(8) + 8 and "phase 1 of 2: epoch 2 of 2" in said[1]


def test_the_first_phase_moves_the_classifier_alone(subnet, stripes, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[set[str]] = []
    real = finetune._epoch

    def epoch(network, *rest, **more) -> None:
        before = {name: value.clone() for name, value in network.state_dict().items()}
        real(network, *rest, **more)
        after = network.state_dict().items()
        moved.append({name for name, value in after if not torch.equal(value, before[name])})

    monkeypatch.setattr(finetune, "_epoch", epoch)
    fine_tune(subnet, ARCH, stripes, 1, batch_size=20, calibration=Calibration(64))
    head = {name for name in subnet.state_dict() if name.startswith("classifier")}
    assert head and moved[0] == head and len(moved[1]) > 50


def test_equal_seeds_give_equal_weights(subnet, stripes) -> None:
    one, two = (
        fine_tune(subnet, ARCH, stripes, 1, batch_size=40, calibration=Calibration(64)).subnet for _ in range(2)
    )
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize(("asked", "used"), [("auto", "crop"), ("none", "none"), ("zoom-flip", "zoom-flip")])
def test_images_are_varied_as_asked(subnet, stripes, monkeypatch: pytest.MonkeyPatch, asked: str, used: str) -> None:
    seen: list[str] = []
    monkeypatch.setattr(
        finetune, "_epoch", lambda network, part, optimizer, batches, **_: seen.append(batches.augmentation)
    )
    fine_tune(subnet, ARCH, stripes, 1, calibration=Calibration(64), augmentation=asked)
    assert seen == [used, used] and stripes.augmentation == "crop"


def test_what_does_not_help_is_not_taken(subnet, stripes, monkeypatch: pytest.MonkeyPatch) -> None:
    good = fine_tune(subnet, ARCH, stripes, 8, batch_size=20, calibration=Calibration(64)).subnet

    def spoil(network, *rest, **more) -> None:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()

    monkeypatch.setattr(finetune, "_epoch", spoil)
    found = fine_tune(good, ARCH, stripes, 1, calibration=Calibration(64))
    assert found.subnet is good and found.epochs == 0 and found.after < found.before


def test_a_loss_that_is_no_number_stops(subnet, stripes) -> None:
    with torch.no_grad():
        next(subnet.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingDiverged):
        fine_tune(subnet, ARCH, stripes, 1, calibration=Calibration(64))


def test_weights_that_are_no_numbers_at_last_stop(subnet, stripes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a network that always says class 0 is right about some of the images."""

    def spoil(network, *rest, **more) -> None:
        with torch.no_grad():
            next(network.parameters()).fill_(float("nan"))

    monkeypatch.setattr(finetune, "_epoch", spoil)
    with pytest.raises(TrainingDiverged, match="loss nan of the validation images"):
        fine_tune(subnet, ARCH, stripes, 1, calibration=Calibration(64))
