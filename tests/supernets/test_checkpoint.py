import json
import pickle
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import get_space
from natdeploy.supernets import PUBLISHED, build_supernet, load_supernet, read_supernet_header, save_supernet

SPACE = get_space("mbv3-micro")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "supernet.safetensors"
    save_supernet(path, build_supernet(SPACE, 3), {"why": "test"})
    return path


def rewritten(checkpoint, path, change):
    """A copy of the checkpoint with changed tensors and the same header."""
    from safetensors import safe_open

    with safe_open(checkpoint, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(checkpoint)
    change(tensors)
    save_file(tensors, path, metadata)
    return path


def test_round_trip(checkpoint) -> None:
    supernet = load_supernet(checkpoint)
    saved = load_file(checkpoint)
    assert supernet.num_classes == 3
    assert all(torch.equal(value, saved[name]) for name, value in supernet.state_dict().items())
    assert read_supernet_header(checkpoint) == {"space": "mbv3-micro", "num_classes": 3, "meta": {"why": "test"}}


def test_another_number_of_classes_starts_a_new_classifier(checkpoint) -> None:
    supernet = load_supernet(checkpoint, num_classes=5)
    assert supernet(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    assert torch.equal(supernet.first_conv.conv.weight, load_file(checkpoint)["first_conv.conv.weight"])


def test_saving_twice_gives_identical_bytes(checkpoint, tmp_path) -> None:
    save_supernet(tmp_path / "again.safetensors", load_supernet(checkpoint), {"why": "test"})
    assert (tmp_path / "again.safetensors").read_bytes() == checkpoint.read_bytes()


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.safetensors: no such supernet"):
        load_supernet(tmp_path / "nowhere.safetensors")


def test_of_a_missing_original_the_address_is_named(tmp_path) -> None:
    for space, address in PUBLISHED.items():
        name = address.rpartition("/")[2]
        with pytest.raises(
            BadInput, match=f"{re.escape(name)}: no such .*; fetch it from {re.escape(address)}, or give"
        ):
            load_supernet(tmp_path / name)
        with pytest.raises(
            BadInput, match=rf"or Once-for-All's, as a file or by its address .*{space} {re.escape(address)}"
        ):
            read_supernet_header(tmp_path)


def test_a_truncated_file_is_named(checkpoint, tmp_path) -> None:
    path = tmp_path / "cut.safetensors"
    path.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(BadInput, match=r"cut\.safetensors: not a readable safetensors"):
        load_supernet(path)


def test_a_pickle_is_refused_and_not_run(tmp_path) -> None:
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(
        BadInput, match=r"weights\.safetensors: neither a safetensors file nor a torch file of tensors only"
    ):
        load_supernet(path)
    assert not (tmp_path / "ran").exists()


def test_foreign_safetensors_are_refused(tmp_path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(BadInput, match=r"other\.safetensors: a safetensors file, but not"):
        load_supernet(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("classifier.bias"), "tensor 'classifier.bias' is missing"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "tensor 'extra' does not belong"),
        (lambda tensors: tensors.update({"classifier.bias": torch.zeros(4)}), r"shape \[4\], expected \[3\]"),
        (lambda tensors: tensors["classifier.bias"].fill_(float("nan")), "'classifier.bias' holds values that are not"),
    ],
)
def test_tensors_that_do_not_fit_are_named(checkpoint, tmp_path, change, message) -> None:
    with pytest.raises(BadInput, match=message):
        load_supernet(rewritten(checkpoint, tmp_path / "changed.safetensors", change))


def test_a_damaged_header_is_refused(tmp_path) -> None:
    path = tmp_path / "header.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"natdeploy": json.dumps([1])})
    with pytest.raises(BadInput, match="header is damaged"):
        load_supernet(path)


@pytest.mark.parametrize(
    ("field", "value"), [("space", "moon"), ("space", [1]), ("num_classes", "3"), ("num_classes", 0), ("format", 2)]
)
def test_a_header_that_makes_no_sense_is_named(tmp_path, field, value) -> None:
    header = {"format": "natdeploy supernet 1", "space": "mbv3-micro", "num_classes": 3, "meta": {}, field: value}
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors", {"natdeploy": json.dumps(header)})
    for read in (read_supernet_header, load_supernet):
        with pytest.raises(BadInput, match=rf"odd\.safetensors: .*{field}"):
            read(tmp_path / "odd.safetensors")


def test_a_supernet_is_used_at_the_resolutions_asked_for() -> None:
    supernet = load_supernet(resolutions=[24])
    assert supernet.space.resolutions == (24,) and supernet.space.largest().r == 24
    supernet.set_active(supernet.space.largest())
    with pytest.raises(BadInput, match="field 'r' is 32"):
        supernet.set_active(get_space("mbv3-micro").largest())
    with pytest.raises(BadInput, match="no resolution 100"):
        load_supernet(resolutions=[100])
