"""Whatever form an architecture was published in, the file alone tells which."""

from pathlib import Path

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import write_json
from natdeploy.spaces import Arch, get_space
from natdeploy.spaces.arch_file import read_arch
from natdeploy.spaces.published import PublishedNet, config_form, write_config, write_encoding, write_subnet

SPACE = get_space("ofa-mbv3-w1.2")


@pytest.fixture
def arch() -> Arch:
    return SPACE.sample(np.random.default_rng(3))


def test_every_form_is_read(arch: Arch, tmp_path: Path) -> None:
    write_config(tmp_path / "a", PublishedNet(arch, 102))
    write_subnet(tmp_path / "b", arch)
    write_subnet(tmp_path / "c", arch, every_place=True)
    write_encoding(tmp_path / "d", arch)
    write_json(tmp_path / "e", arch.to_json())
    assert {name: read_arch(tmp_path / name) for name in "abcde"} == dict.fromkeys("abcde", arch)


def test_an_activation_that_the_space_lacks_is_told(arch: Arch, tmp_path: Path) -> None:
    said: list[str] = []
    for activation in (None, "mish"):
        write_config(tmp_path / "net", PublishedNet(arch, 10, activation=activation))
        assert read_arch(tmp_path / "net", say=said.append) == arch
    assert said == [f"{tmp_path / 'net'}: its activation mish gives way to those of the space"]


def test_what_a_file_does_not_say_can_be_given(arch: Arch, tmp_path: Path) -> None:
    config = config_form(PublishedNet(arch, 10))
    del config["img_size"]
    write_json(tmp_path / "config", config)
    write_json(tmp_path / "subnet", {"ks": list(arch.ks), "e": list(arch.e), "d": list(arch.d)})
    assert read_arch(tmp_path / "config", resolution=arch.r) == arch
    assert read_arch(tmp_path / "subnet", SPACE.name, resolution=arch.r) == arch
    with pytest.raises(BadInput, match="'img_size' is missing"):
        read_arch(tmp_path / "config")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe", "no readable architecture: not text"),
        (b"layers: 3", "expected a net.config, a net.subnet, a net.encoding or a subnet.json"),
        (b"[" * 100_000, "expected a net.config, a net.subnet"),
        (b"[1, 2]", "expected a JSON object"),
        (b"123", "net.encoding"),
        (b'{"space": "nope", "ks": [], "e": [], "d": [], "r": 1}', "nope"),
        (b'{"blocks": []}', "'first_conv"),
    ],
)
def test_what_is_none_of_them_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "net"
    path.write_bytes(content)
    with pytest.raises(BadInput) as error:
        read_arch(path)
    assert str(error.value).startswith(str(path)) and words in str(error.value)


def test_what_a_file_says_is_not_overruled(arch: Arch, tmp_path: Path) -> None:
    write_config(tmp_path / "net", PublishedNet(arch, 10))
    assert read_arch(tmp_path / "net", SPACE.name, resolution=arch.r) == arch
    with pytest.raises(BadInput, match=f"at {arch.r} pixels, expected one at 512"):
        read_arch(tmp_path / "net", resolution=512)
    with pytest.raises(BadInput, match=r"of space ofa-mbv3-w1.2, expected one of mbv3-micro"):
        read_arch(tmp_path / "net", "mbv3-micro")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no readable architecture: No such file"):
        read_arch(tmp_path / "nope")
    with pytest.raises(BadInput, match="no readable architecture: Is a directory"):
        read_arch(tmp_path)
