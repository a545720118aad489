import argparse
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import get_space
from natdeploy.supernets import MobileNetV3Supernet, build_supernet, load_supernet, read_supernet_header


@pytest.fixture(scope="module")
def supernet() -> MobileNetV3Supernet:
    torch.manual_seed(0)
    return build_supernet(get_space("mbv3-micro"), 7)


def once_for_all_name(ours: str, *, published: bool) -> str:
    """The name that ``ofa.OFAMobileNetV3`` gives a tensor: as in its PyPI package, or as in the published files."""
    ours = re.sub(r"^classifier\.", "classifier.linear.", ours)
    if not ours.startswith("blocks."):
        return ours
    theirs = re.sub(r"^(blocks\.\d+)\.", rf"\1.{'mobile_inverted_conv' if published else 'conv'}.", ours)
    theirs = re.sub(r"depth_conv\.transforms\.(\w+)", r"depth_conv.conv.\1_matrix", theirs)
    theirs = re.sub(r"\.se\.", ".depth_conv.se.fc.", theirs)
    if not theirs.startswith("blocks.0."):
        theirs = re.sub(r"\.bn\.", ".bn.bn.", theirs)
        theirs = re.sub(r"\.conv\.weight$", ".conv.conv.weight", theirs)
    return theirs


def their_state(supernet: MobileNetV3Supernet, *, published: bool) -> dict[str, Tensor]:
    return {once_for_all_name(name, published=published): value for name, value in supernet.state_dict().items()}


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_both_generations_of_names_load(
    supernet: MobileNetV3Supernet, tmp_path: Path, published: bool, wrapped: bool
) -> None:
    state = their_state(supernet, published=published)
    path = tmp_path / "ofa_mbv3"
    torch.save({"state_dict": state, "epoch": 180} if wrapped else state, path)
    loaded = load_supernet(path)
    assert loaded.num_classes == 7
    for name, value in supernet.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert read_supernet_header(path)["space"] == "mbv3-micro"


def test_other_peoples_ways_of_saving_load(supernet: MobileNetV3Supernet, tmp_path: Path) -> None:
    """Files of torch before 1.6, of a whole training, of ``DataParallel``, in half precision, without counters."""
    state = their_state(supernet, published=True)
    plain = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    half = {name: value.half() if value.is_floating_point() else value for name, value in plain.items()}
    for saved, of_today in (
        ({"epoch": 3, "model_state_dict": state, "optimizer": {"lr": 0.1}}, False),
        ({"model": {f"module.{name}": value for name, value in half.items()}}, True),
    ):
        torch.save(saved, tmp_path / "ofa.pth", _use_new_zipfile_serialization=of_today)
        loaded = load_supernet(tmp_path / "ofa.pth").state_dict()
        for name, value in supernet.state_dict().items():
            torch.testing.assert_close(loaded[name], value, atol=1e-3, rtol=1e-3)


def test_names_are_those_of_the_published_package() -> None:
    names = {
        "first_conv.bn.running_mean",
        "blocks.0.conv.point_linear.conv.weight",
        "blocks.1.conv.depth_conv.conv.7to5_matrix",
        "blocks.1.conv.depth_conv.conv.conv.weight",
        "blocks.1.conv.inverted_bottleneck.bn.bn.num_batches_tracked",
        "blocks.5.conv.depth_conv.se.fc.reduce.bias",
        "classifier.linear.weight",
    }
    with torch.device("meta"):
        supernet = build_supernet(get_space("ofa-mbv3-w1.0"))
    state = their_state(supernet, published=False)
    assert names <= state.keys()
    assert len(state) == 475


def test_another_number_of_classes_starts_a_new_classifier(supernet: MobileNetV3Supernet, tmp_path: Path) -> None:
    path = tmp_path / "ofa.pth"
    torch.save(their_state(supernet, published=True), path)
    assert load_supernet(path, num_classes=3).classifier.weight.shape == (3, 640)


def changed(state: dict[str, Tensor], change: Callable[[Tensor], Tensor]) -> None:
    state["first_conv.conv.weight"] = change(state["first_conv.conv.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("classifier.linear.bias"), "'classifier.bias' is missing"),
        (lambda state: state.update(extra=torch.zeros(1)), "'extra' does not belong"),
        (lambda state: state.pop("first_conv.conv.weight"), "no checkpoint of OFA-MobileNetV3"),
        (lambda state: state.update({"first_conv.conv.weight": torch.zeros(9, 3, 3, 3)}), "those of no space"),
        (lambda state: state.update({"first_conv.conv.weight": torch.zeros(())}), "no checkpoint of OFA-MobileNetV3"),
        (lambda state: state.update({"blocks.1.conv.point_linear.bn.bn.bias": torch.zeros(16)}), "is there twice"),
        (lambda state: state.update(epoch=3), "entry 'epoch' of the state dict is not a tensor"),
        (lambda state: state.clear(), "without a state dict"),
        (lambda state: state["first_conv.bn.bias"].fill_(float("inf")), "values that are not finite"),
        (lambda state: state.update({"classifier.linear.bias": torch.zeros(())}), r"shape \[\], expected \[10\]"),
        (lambda state: state.update({"classifier.linear.bias": torch.zeros(0)}), "a classifier of no classes"),
        (lambda state: changed(state, lambda value: value.to_sparse()), r"sparse_coo.*expected dense torch\.float32"),
        (lambda state: changed(state, lambda value: value.to("meta")), r"on meta\), expected dense torch\.float32"),
        (lambda state: changed(state, lambda value: value > 0), r"is torch\.bool .*expected dense torch\.float32"),
    ],
)
def test_what_does_not_fit_is_named(supernet: MobileNetV3Supernet, tmp_path: Path, change, message: str) -> None:
    state = {name: value.clone() for name, value in their_state(supernet, published=True).items()}
    change(state)
    path = tmp_path / "changed.pth"
    torch.save(state, path)
    with pytest.raises(BadInput, match=message) as caught:
        load_supernet(path)
    assert "changed.pth" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_whole_pickled_network_and_a_cut_file_are_refused(supernet: MobileNetV3Supernet, tmp_path: Path) -> None:
    whole = tmp_path / "whole.pth"
    torch.save(supernet, whole)
    with pytest.raises(BadInput, match=r"whole\.pth: neither a safetensors file nor a torch file of tensors only"):
        load_supernet(whole)
    cut = tmp_path / "cut.pth"
    torch.save(their_state(supernet, published=True), cut)
    cut.write_bytes(cut.read_bytes()[:5000])
    with pytest.raises(BadInput, match=r"cut\.pth: neither"):
        load_supernet(cut)


def test_what_a_file_asks_for_beside_tensors_is_named(supernet: MobileNetV3Supernet, tmp_path: Path) -> None:
    state = their_state(supernet, published=True)
    torch.save({"state_dict": state, "args": argparse.Namespace(lr=1)}, tmp_path / "training.pth")
    with pytest.raises(BadInput, match=r"\(it asks for argparse\.Namespace; save its state dict alone\)") as error:
        load_supernet(tmp_path / "training.pth")
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value)
