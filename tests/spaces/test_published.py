"""Architectures in OFA's and NAT's own files, with the 14 subnets that NAT's authors released."""

import copy
import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import Arch, costs, get_space
from natdeploy.spaces.published import (
    PublishedNet,
    arch_of_encoding,
    arch_of_subnet,
    config_form,
    encoding_form,
    net_of_config,
    read_config,
    read_encoding,
    read_subnet,
    subnet_form,
    write_config,
    write_encoding,
    write_subnet,
)

DATA = Path(__file__).parents[2].parent / "shared" / "data"
RELEASED = DATA / "nat_subnets" / "nat_subnets.json"
SPECIALISED = DATA / "latency" / "ofa_specialized_nets.csv"
NAMES = ("mbv3-micro", "ofa-mbv3-w1.0", "ofa-mbv3-w1.2")
ARCHS = st.builds(
    lambda name, seed: get_space(name).sample(np.random.default_rng(seed)),
    st.sampled_from(NAMES),
    st.integers(0, 2**32),
)


def released() -> list[dict]:
    if not RELEASED.exists():
        pytest.skip("the released subnets are not beside the checkout")
    nets = json.loads(RELEASED.read_text())
    assert len(nets) == 14
    return nets


def released_subnet(net: dict) -> tuple[dict, str]:
    """``net.subnet`` as NAT wrote it, and the space that its supernet's width says."""
    width = {16: 1.0, 24: 1.2}[net["stem_c"]]
    given = {} if net["width_mult"] is None else {"w": net["width_mult"]}
    return {field: net[field] for field in ("ks", "e", "d", "r")} | given, f"ofa-mbv3-w{width}"


@given(ARCHS, st.booleans())
def test_subnets_survive_a_round_trip(arch: Arch, every_place: bool) -> None:
    form = json.loads(json.dumps(subnet_form(arch, every_place=every_place)))
    assert set(form) == {"ks", "e", "d", "r", "w"}
    assert not every_place or (len(form["ks"]), len(form["e"])) == (20, 20)
    assert arch_of_subnet(form, arch.space) == arch
    if arch.space != "mbv3-micro":
        assert arch_of_subnet(form) == arch


@given(st.builds(PublishedNet, ARCHS, st.integers(1, 2000), st.floats(0, 0.9), st.sampled_from([None, "mish"])))
def test_configs_survive_a_round_trip_and_say_their_space(net: PublishedNet) -> None:
    assert net_of_config(json.loads(json.dumps(config_form(net)))) == net


@given(ARCHS)
def test_encodings_survive_a_round_trip(arch: Arch) -> None:
    text = encoding_form(arch)
    assert len(text) == 23 and get_space(arch.space).from_text(f" {text[:2]} {text[2]}  {text[3:]}\n").tolist() == [
        int(text[:2]),
        *map(int, text[2:]),
    ]
    if arch.space != "mbv3-micro":
        assert arch_of_encoding(text) == arch


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected digits, the third of them 0 or 1"),
        ("08 2 11001440551052208877", "third of them 0 or 1"),
        ("08 0 1100144055105220887", "is not 23 digits"),
        ("99011001440551052208877", "gene 0 is 99, expected 0 to 16"),
        ("08011011440551052208877", "is not canonical"),
    ],
)
def test_encodings_that_are_none_say_what_is_expected(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "net.encoding").write_text(text)
    with pytest.raises(BadInput, match=f"net.encoding: .*{message}"):
        read_encoding(tmp_path / "net.encoding")


def test_released_subnets_are_read_and_written_as_they_are() -> None:
    for net in released():
        form, space = released_subnet(net)
        arch = arch_of_subnet(form, space)
        assert subnet_form(arch) == form | {"w": get_space(space).width}
        if "w" in form:
            assert arch_of_subnet(form) == arch
        genome = get_space(space).encode(arch)
        assert get_space(space).decode(genome) == arch
        assert np.array_equal(get_space(space).from_text(encoding_form(arch)), genome)
        if "encoding" in net:
            assert encoding_form(arch) == net["encoding"] and arch_of_encoding(net["encoding"]) == arch


def test_released_configs_are_written_block_by_block() -> None:
    for net in released():
        form, space = released_subnet(net)
        arch = arch_of_subnet(form, space)
        mish = "mish" if net["blocks"][0]["act"] == "mish" else None
        config = config_form(PublishedNet(arch, net["num_classes"], net["dropout"], mish))
        assert net_of_config(config) == PublishedNet(arch, net["num_classes"], net["dropout"], mish)
        assert config["img_size"] == net["image_size"] and config["first_conv"]["out_channels"] == net["stem_c"]
        assert config["final_expand_layer"]["out_channels"] == net["final_expand_c"]
        assert config["feature_mix_layer"]["out_channels"] == net["feature_mix_c"]
        assert len(config["blocks"]) == len(net["blocks"])
        for block, known in zip(config["blocks"], net["blocks"]):
            conv = block["mobile_inverted_conv"]
            assert (conv["mid_channels"] or conv["in_channels"]) == known["mid_c"]
            assert (block["shortcut"] is not None) == known["shortcut"]
            for ours, theirs in (
                ("in_channels", "in_c"),
                ("out_channels", "out_c"),
                ("kernel_size", "kernel"),
                ("stride", "stride"),
                ("expand_ratio", "expand"),
                ("act_func", "act"),
                ("use_se", "se"),
            ):
                assert conv[ours] == known[theirs]


def test_networks_that_once_for_all_released_are_read_and_have_their_published_size(tmp_path: Path) -> None:
    """Their ``net.config`` has no resolution, ``run.config`` has it; most have fewer pixels than NAT's space."""
    if not SPECIALISED.is_file():
        pytest.skip("the table of released networks is not beside the checkout")
    rows = [row for row in csv.DictReader(SPECIALISED.open()) if row["family"] == "MobileNetV3"]
    assert len(rows) == 22
    for row in rows:
        blocks = []
        for block in json.loads(row["blocks"]):
            conv = {"in_channels": block["in_c"], "out_channels": block["out_c"], "kernel_size": block["k"]}
            conv |= {"stride": block["s"], "expand_ratio": block["e"], "act_func": block["act"]}
            conv |= {"mid_channels": block["mid"] if block["e"] > 1 else None, "use_se": bool(block["se"])}
            shortcut = {"name": "IdentityLayer"} if block["id"] else None
            blocks.append({"name": "MobileInvertedResidualBlock", "mobile_inverted_conv": conv, "shortcut": shortcut})
        config = {
            "name": "MobileNetV3",
            "first_conv": {"kernel_size": 3, "stride": 2, "out_channels": int(row["stem_c"]), "act_func": "h_swish"},
            "blocks": blocks,
            "final_expand_layer": {"kernel_size": 1, "act_func": "h_swish", "use_bn": True},
            "feature_mix_layer": {"out_channels": int(row["last_c"]), "bias": False, "use_bn": False},
            "classifier": {"in_features": int(row["last_c"]), "out_features": 1000, "dropout_rate": 0},
        }
        (tmp_path / "net.config").write_text(json.dumps(config))
        (tmp_path / "run.config").write_text(json.dumps({"image_size": int(row["image_size"])}))
        net = read_config(tmp_path / "net.config")
        assert ["-".join(map(str, part)) for part in ((1, *net.arch.e), net.arch.d)] == [row["expands"], row["depths"]]
        found = costs(net.layers())
        wide = row["net"].startswith("note10_lat-8ms")  # published as 79 M at 160 pixels, where its layers have 75.8 M
        assert found.macs / 1e6 == pytest.approx(float(row["madds_m"]), rel=0.05 if wide else 0.01)
        assert found.params / 1e6 == pytest.approx(float(row["params_m"]), abs=0.06)
        assert net_of_config(config_form(net)) == net
        space = get_space(net.arch.space)
        if net.arch.r in space.resolutions:
            assert space.decode(space.encode(net.arch)) == net.arch
        else:
            with pytest.raises(BadInput, match=f"field 'r' is {net.arch.r}"):
                space.encode(net.arch)
    for wrong in ("{}", "[]", '{"image_size": "224"}'):
        (tmp_path / "run.config").write_text(wrong)
        with pytest.raises(BadInput, match=r"run\.config: .*field 'image_size'"):
            read_config(tmp_path / "net.config")


def test_subnets_as_once_for_all_samples_them_need_a_resolution() -> None:
    arch = get_space("ofa-mbv3-w1.0").smallest()
    form = subnet_form(arch, every_place=True)
    del form["r"], form["w"]
    assert arch_of_subnet(form, arch.space, resolution=192) == arch
    with pytest.raises(BadInput, match="field 'r' is missing; say the resolution"):
        arch_of_subnet(form, arch.space)


def test_files(tmp_path: Path) -> None:
    arch = get_space("ofa-mbv3-w1.2").largest()
    write_subnet(tmp_path / "net.subnet", arch)
    assert read_subnet(tmp_path / "net.subnet") == arch
    write_config(tmp_path / "net.config", PublishedNet(arch, 10, 0.2))
    assert read_config(tmp_path / "net.config") == PublishedNet(arch, 10, 0.2)
    write_encoding(str(tmp_path / "net.encoding"), arch)
    assert read_encoding(str(tmp_path / "net.encoding")) == arch
    with pytest.raises(BadInput, match=r"missing: not a readable encoding"):
        read_encoding(tmp_path / "missing")
    (tmp_path / "other").write_text('{"ks": 3}')
    for read in (read_subnet, read_config):
        with pytest.raises(BadInput, match=r"^\S+/other: net\.(subnet|config): field"):
            read(tmp_path / "other")
        with pytest.raises(BadInput, match=r"missing: no such"):
            read(tmp_path / "missing")


def test_ofas_own_config_has_no_resolution_and_newer_names() -> None:
    net = PublishedNet(get_space("ofa-mbv3-w1.0").smallest(), 1000)
    config = config_form(net)
    del config["img_size"]
    for block in config["blocks"]:
        block["name"], block["conv"] = "ResidualBlock", block.pop("mobile_inverted_conv")
    assert net_of_config(config, resolution=192) == net
    with pytest.raises(BadInput, match="'img_size' is missing; say the resolution"):
        net_of_config(config)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "expected a JSON object"),
        ({"ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 192}, "field 'w' is None, expected one of 1.0, 1.2"),
        ({"ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 192, "w": 1.1}, "field 'w' is 1.1"),
        ({"ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 190, "w": 1.0}, "field 'r' is 190"),
        ({"ks": [3] * 9, "e": [3] * 10, "d": [2] * 5, "r": 192, "w": 1.0}, "field 'ks' has 9 entries"),
        ({"space": "x", "ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 192}, "unknown space 'x'"),
        ({"space": [1], "ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 192}, "field 'space' is \\[1\\], expected"),
        ({"ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 192, "w": [1.0]}, r"field 'w' is \[1.0\]"),
        ({"ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 160, "w": 1.0}, "field 'r' is 160"),
        ({"ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 192, "w": 1.0, "ops": ["a"]}, "field 'ops' is"),
    ],
)
def test_subnets_that_are_none_name_the_field(value: object, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        arch_of_subnet(value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("first_conv", "out_channels"), 17, "no space has 17 channels in field 'first_conv'"),
        (
            ("blocks", 3, "mobile_inverted_conv", "stride"),
            1,
            r"'blocks\[3\].mobile_inverted_conv.stride' is 1, expected 2",
        ),
        (("blocks", 2, "mobile_inverted_conv", "kernel_size"), 9, "field 'ks'"),
        (("blocks", 2, "mobile_inverted_conv", "mid_channels"), 80, "mid_channels' is 80"),
        (("blocks", 5, "mobile_inverted_conv", "use_se"), True, r"'blocks\[5\].mobile_inverted_conv.use_se' is True"),
        (("blocks", 2, "shortcut"), None, r"'blocks\[2\].shortcut'.*expected an identity shortcut"),
        (("first_conv", "act_func"), "mish", "act_func' is 'h_swish', expected 'mish'"),
        (("first_conv", "act_func"), "relu6", "'first_conv.act_func' is 'relu6'"),
        (("blocks", 4), {}, r"field 'blocks\[4\].mobile_inverted_conv' is missing"),
        (("blocks",), 3, "'blocks' must be a list"),
        (("final_expand_layer", "out_channels"), 1, "'final_expand_layer.out_channels' is 1, expected 960"),
        (("feature_mix_layer",), None, "'feature_mix_layer"),
        (("classifier", "out_features"), 0, "classifier.out_features' is 0"),
        (("classifier", "dropout_rate"), 2, "classifier.dropout_rate' is 2"),
        (("blocks", 2, "shortcut"), {"name": "ZeroLayer"}, r"'blocks\[2\].shortcut'.*expected an identity shortcut"),
        (("classifier", "out_features"), True, "classifier.out_features' is True"),
        (("img_size",), 100, "field 'r' is 100"),
        (("img_size",), 264, "field 'r' is 264"),
    ],
)
def test_configs_that_are_none_name_the_field(path: tuple, value: object, message: str) -> None:
    """Published code met these with an error about tensor sizes."""
    config = copy.deepcopy(config_form(PublishedNet(get_space("ofa-mbv3-w1.0").smallest(), 10)))
    place = config
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(BadInput, match=message):
        net_of_config(config)
