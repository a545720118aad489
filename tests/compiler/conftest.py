import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from natdeploy.compiler import Artifact, KernelCache, build_native, compile_layers
from natdeploy.spaces import Layer, Network, random_network

#: Runs on every machine of its kind.
TARGET = {
    "kind": "llvm",
    "mtriple": f"{platform.machine()}-linux-gnu",
    "mcpu": "x86-64-v3" if platform.machine() == "x86_64" else "generic",
}


def tiny_layers() -> tuple[Layer, ...]:
    """Every operator once, in 9 x 7 pixels; the first convolution's output is read three times."""
    shape = (8, 5, 4, 8, 5, 4)
    return (
        Layer("stem", "conv", ("input",), 3, 9, 7, 8, 5, 4, kernel=3, stride=2, activation="hswish"),
        Layer("depth", "conv", ("stem",), *shape, kernel=5, groups=8, activation="relu"),
        Layer("se.pool", "pool", ("depth",), 8, 5, 4, 8, 1, 1),
        Layer("se.gate", "conv", ("se.pool",), 8, 1, 1, 8, 1, 1, activation="hsigmoid"),
        Layer("se.scale", "scale", ("depth", "se.gate"), *shape),
        Layer("point", "conv", ("se.scale",), *shape),
        Layer("shortcut", "add", ("point", "stem"), *shape),
        Layer("again", "add", ("shortcut", "stem"), *shape),
        Layer("pool", "pool", ("again",), 8, 5, 4, 8, 1, 1),
        Layer("classifier", "linear", ("pool",), 8, 1, 1, 11, 1, 1),
    )


ODD = {
    "odd channels": Layer("odd", "conv", ("input",), 5, 6, 7, 13, 6, 7, kernel=3, activation="relu"),
    "pixel": Layer("odd", "conv", ("input",), 5, 1, 1, 7, 1, 1, kernel=7, activation="hsigmoid"),
    "strided": Layer("odd", "conv", ("input",), 9, 5, 3, 24, 2, 1, kernel=1, stride=3, activation="hswish"),
    "grouped": Layer("odd", "conv", ("input",), 6, 4, 4, 9, 4, 4, kernel=3, groups=3),
    "odd depthwise": Layer("odd", "conv", ("input",), 11, 13, 1, 11, 7, 1, kernel=7, stride=2, groups=11),
    "multiplier": Layer("odd", "conv", ("input",), 4, 3, 3, 8, 3, 3, kernel=3, groups=4, activation="relu"),
    "one channel": Layer("odd", "conv", ("input",), 1, 17, 5, 16, 17, 5, kernel=5),
}


def odd_network(kind: str) -> Network:
    layer = ODD[kind]
    pool = Layer("pool", "pool", ("odd",), layer.out_c, layer.out_h, layer.out_w, layer.out_c, 1, 1)
    return random_network((layer, pool, Layer("fc", "linear", ("pool",), layer.out_c, 1, 1, 3, 1, 1)), 7)


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the session's own, also for other rooms' tests that import this fixture."""
    folder = tmp_path_factory.getbasetemp() / "compiler-home"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NATDEPLOY_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def cache(home: Path) -> KernelCache:
    """Holds the kernels of the small networks below: one start of TVM for each producer."""
    networks = {kind: odd_network(kind).layers for kind in ODD}
    for producer in ("kernels", "relax"):
        compile_layers([tiny_layers(), *networks.values()], target=TARGET, cache=KernelCache(), producer=producer)
    return KernelCache()


@pytest.fixture(scope="session")
def tiny() -> Network:
    return random_network(tiny_layers(), seed=3)


@pytest.fixture(scope="session")
def tiny_native(tiny: Network, cache: KernelCache, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return build_native(tiny, target=TARGET, folder=tmp_path_factory.mktemp("tiny") / "native", cache=cache)
