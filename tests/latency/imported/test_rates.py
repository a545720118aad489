"""A processor known by published networks whose operators were published, too."""

from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import onnx_bytes
from natdeploy.compiler.onnx_layers import onnx_layers
from natdeploy.compiler.onnx_model import load_onnx
from natdeploy.devices import load_profile
from natdeploy.latency import published_latency_model
from natdeploy.latency.any_network import onnx_latency
from natdeploy.latency.imported.rates import imported_rates_model
from natdeploy.latency.kernels.tflite import KernelRules, kernels_of_layers
from natdeploy.measure.publications import import_published
from natdeploy.spaces import get_space, random_network
from tests.latency.made_up_gpu import CORE, kernel_ms, write_files

FORMAT = "mobile-ml-benchmark"
SPACE = get_space("ofa-mbv3-w1.0")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))


def test_networks_and_their_operators_make_a_processors_predictor(tmp_path: Path) -> None:
    profile = load_profile("pixel6")
    assert published_latency_model(profile, SPACE) is None
    operators, models = write_files(tmp_path)
    import_published(FORMAT, models, "pixel6")
    assert imported_rates_model(profile, SPACE) is None  # of names alone nothing can be learned
    import_published(FORMAT, operators, "pixel6")
    model = published_latency_model(profile, SPACE)
    assert model is not None
    assert (model.source, model.runtime) == ("table", "tflite, 1large float")
    assert "mobile-ml-benchmark @" in model.caution
    arch = SPACE.smallest()
    kernels = kernels_of_layers(SPACE.layers(arch), KernelRules(None, copies=False))
    true_ms = CORE * sum(kernel_ms(kernel.what) for kernel in kernels)
    found = model.predict([arch])
    assert found.mean_ms[0] == pytest.approx(true_ms, rel=0.3)
    np.testing.assert_array_equal(found.upper_ms, published_latency_model(profile, SPACE).predict([arch]).upper_ms)
    (tmp_path / "subnet.onnx").write_bytes(onnx_bytes(random_network(SPACE.layers(arch))))
    estimate = onnx_latency(profile, onnx_layers(load_onnx(tmp_path / "subnet.onnx")))
    assert (estimate.source, estimate.runtime) == ("table", "tflite, 1large float")
    assert estimate.mean_ms == pytest.approx(found.mean_ms[0], rel=0.1)


def test_small_images_and_graphics_processors_are_not_predicted_by_them(tmp_path: Path) -> None:
    for path in write_files(tmp_path):
        for device in ("pixel6", "pixel4-gpu"):
            import_published(FORMAT, path, device)
    assert imported_rates_model(load_profile("pixel6"), get_space("mbv3-micro")) is None
    assert imported_rates_model(load_profile("pixel4-gpu"), SPACE) is None
