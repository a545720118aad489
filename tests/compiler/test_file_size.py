from pathlib import Path

import numpy as np

from natdeploy.compiler import build_onnx
from natdeploy.spaces import file_bytes, get_space, random_network


def test_the_file_is_as_large_as_was_said(tmp_path: Path) -> None:
    space = get_space("mbv3-micro")
    rng = np.random.default_rng(0)
    for number, arch in enumerate([space.smallest(), space.largest(), space.sample(rng)]):
        folder = tmp_path / str(number)
        build_onnx(random_network(space.layers(arch, 10)), folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert abs(file_bytes(space.layers(arch, 10)) / size - 1) < 0.002
