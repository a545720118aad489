import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from natdeploy.compiler import Artifact, KernelCache, build_native
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


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the session's own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("NATDEPLOY_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def cache(home: Path) -> KernelCache:
    return KernelCache()


@pytest.fixture(scope="session")
def tiny() -> Network:
    return random_network(tiny_layers(), seed=3)


@pytest.fixture(scope="session")
def tiny_native(tiny: Network, cache: KernelCache, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return build_native(tiny, target=TARGET, folder=tmp_path_factory.mktemp("tiny") / "native", cache=cache)
