"""Kernels that others published of a device's runtime: learned from, kept, and networks predicted from them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from xgboost import DMatrix, train

from natdeploy.compiler import onnx_bytes
from natdeploy.compiler.onnx_layers import onnx_layers
from natdeploy.compiler.onnx_model import load_onnx
from natdeploy.devices import load_profile
from natdeploy.ground.errors import BadInput
from natdeploy.latency import LatencyModel, published_latency_model
from natdeploy.latency.any_network import onnx_latency
from natdeploy.latency.imported.kernels import ImportedKernels, imported_kernels
from natdeploy.latency.imported.uses import imported_uses
from natdeploy.latency.kernels.model import KernelModel
from natdeploy.latency.kernels.published import STATED_HALF, STATED_WHOLE, PublishedKernelsPredictor
from natdeploy.latency.kernels.published_fit import fit_published_kernels
from natdeploy.latency.kernels.tflite import KernelRules, kernels_of_layers
from natdeploy.latency.transferred.other_devices import Place, known_devices
from natdeploy.measure.publications import import_published, read_published
from natdeploy.spaces import Layer, get_space, random_network
from tests.latency.made_up_gpu import CONSTANT_MS, SCALE, kernel_ms, write_files
from tests.latency.shared_tables import rows_with

FORMAT = "mobile-ml-benchmark"
SPACE = get_space("mbv3-micro")
PLAIN = KernelRules(None, copies=False)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_files(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def home_with_all(files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which both files were imported and learned from."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NATDEPLOY_HOME", str(home))
        imported(*files)
    return home


@pytest.fixture
def learned(home_with_all: Path, monkeypatch: pytest.MonkeyPatch) -> ImportedKernels:
    """What was learned from both files; the profile ``pixel4-gpu`` has it."""
    monkeypatch.setenv("NATDEPLOY_HOME", str(home_with_all))
    return imported()


def imported(*paths: Path) -> ImportedKernels:
    for path in paths:
        import_published(FORMAT, path, "pixel4-gpu")
    found = imported_kernels(load_profile("pixel4-gpu"))
    assert found is not None
    return found


@pytest.fixture
def subnet(tmp_path: Path) -> Path:
    path = tmp_path / "subnet.onnx"
    path.write_bytes(onnx_bytes(random_network(SPACE.layers(SPACE.largest()))))
    return path


def true_ms(layers: tuple[Layer, ...], rules: KernelRules) -> float:
    return SCALE * sum(kernel_ms(kernel.what) for kernel in kernels_of_layers(layers, rules)) + CONSTANT_MS


def test_a_model_is_predicted_from_imported_kernels_with_an_interval_of_networks_left_out(
    learned: ImportedKernels, subnet: Path
) -> None:
    found = onnx_latency(load_profile("pixel4-gpu"), onnx_layers(load_onnx(subnet)))
    assert found.mean_ms == pytest.approx(true_ms(SPACE.layers(SPACE.largest()), PLAIN), rel=0.1)
    assert found.lower_ms < found.mean_ms < found.upper_ms < 1.6 * found.mean_ms
    assert (found.source, found.runtime) == ("table", "tflite, gpu float")
    for text in ("published kernels of made-up", "of 36 networks", "mobile-ml-benchmark @", "activations and sums"):
        assert text in found.caution
    assert "learned from 36 whole networks" in found.caution
    assert found.layers_ms.sum() + learned.known.whole.constant_ms == pytest.approx(found.mean_ms)
    assert len(found.layers_ms) == len(found.together)
    assert (found.layers_ms > 0).all()
    listed = [name for names in found.together for name in names]
    assert listed == [layer.name for layer in onnx_layers(load_onnx(subnet))]
    assert learned.quality is not None
    assert learned.quality.mape < 0.1
    assert learned.quality.evaluated_on == "published networks with depthwise convolutions, families left out"
    assert learned.known.whole.scale == pytest.approx(SCALE, rel=0.1)


def test_without_whole_networks_the_interval_is_a_stated_one(files: tuple[Path, Path], subnet: Path) -> None:
    kernels = imported(files[0])
    assert kernels.quality is None
    found = onnx_latency(load_profile("pixel4-gpu"), onnx_layers(load_onnx(subnet)))
    assert "that of phones elsewhere" in found.caution
    assert found.upper_ms / found.mean_ms == pytest.approx(np.exp(STATED_HALF[0.9]))
    with pytest.raises(BadInput, match=r"coverage up to 0\.99, not 0\.995; import whole networks"):
        onnx_latency(load_profile("pixel4-gpu"), onnx_layers(load_onnx(subnet)), coverage=0.995)
    assert published_latency_model(load_profile("pixel4-gpu"), SPACE) is None  # nothing says how good it would be
    assert imported(files[1]).quality is not None  # what is imported later is learned from as well


def strange_model(path: Path) -> None:
    """A convolution, and two operators of which no phone published a kernel."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="square", pads=[1, 1, 1, 1]),
        helper.make_node("Softmax", ["a"], ["b"], name="soft", axis=1),
        helper.make_node("DepthToSpace", ["b"], ["y"], name="spread", blocksize=2),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 16, 16]),
    ]
    constants = [numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")]
    graph = helper.make_graph(nodes, "strange", ends[:1], ends[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


@pytest.mark.usefixtures("learned")
def test_every_layer_without_a_kernel_is_named(tmp_path: Path) -> None:
    strange_model(tmp_path / "strange.onnx")
    with pytest.raises(BadInput) as error:
        onnx_latency(load_profile("pixel4-gpu"), onnx_layers(load_onnx(tmp_path / "strange.onnx")))
    for text in (
        "'soft' (operator Softmax)",
        "'spread' (operator DepthToSpace)",
        "no layer takes 0 ms",
        "--level kernel",
    ):
        assert text in str(error.value)


def test_an_operator_that_was_not_published_is_named(files: tuple[Path, Path], tmp_path: Path, subnet: Path) -> None:
    lines = files[0].read_text().splitlines(keepends=True)
    some = tmp_path / "tflite_some.csv"
    some.write_text("".join(line for line in lines if ",MEAN," not in line))
    imported(some, files[1])
    with pytest.raises(BadInput, match=r"layer 'global_pool' \(kernel MEAN\).*known kernels: CONCATENATION, CONV_2D"):
        onnx_latency(load_profile("pixel4-gpu"), onnx_layers(load_onnx(subnet)))
    assert published_latency_model(load_profile("pixel4-gpu"), SPACE) is None


def test_whole_networks_tell_whether_multiplications_by_gates_take_time(tmp_path: Path) -> None:
    for gates in (False, True):
        paths = write_files(tmp_path, gates=gates)
        timings = [timing for path in paths for timing in read_published(FORMAT, path) if timing.setting == "gpu float"]
        model, quality = fit_published_kernels(timings)
        assert model.rules.copies == gates
        assert quality is not None


@pytest.mark.usefixtures("learned")
def test_a_space_is_predicted_by_the_sum_of_its_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = published_latency_model(load_profile("pixel4-gpu"), SPACE)
    assert model is not None
    assert isinstance(model.predictor, PublishedKernelsPredictor)
    assert (model.source, model.runtime) == ("table", "tflite, gpu float")
    assert "published kernels of made-up" in model.caution
    archs = [SPACE.sample(np.random.default_rng(seed)) for seed in range(3)]
    found = model.predict(archs)
    assert found.mean_ms == pytest.approx([true_ms(SPACE.layers(arch), PLAIN) for arch in archs], rel=0.1)
    many = model.predict_genomes(np.stack([SPACE.encode(arch) for arch in archs]))
    np.testing.assert_array_equal(found.upper_ms, many.upper_ms)
    monkeypatch.setattr("natdeploy.latency.transferred.other_devices.SHIPPED", tmp_path / "nothing shipped")
    others = known_devices(SPACE, None, Place("a device to be profiled", "tvm", {}))
    assert "pixel4-gpu (tflite, gpu float)" in [other.name for other in others if other.kind == "predicted"]
    model.save(tmp_path / "model.json")
    np.testing.assert_array_equal(
        LatencyModel.load(tmp_path / "model.json", SPACE).predict(archs).mean_ms, found.mean_ms
    )


def test_what_was_learned_is_kept_and_read_back(home_with_all: Path, own_home: Path) -> None:
    shutil.copytree(home_with_all, own_home)
    first = imported()
    (path,) = (own_home / "published_models" / "pixel4-gpu").glob("kernels-*.json")
    again = ImportedKernels.load(path)
    assert (again.says, again.quality) == (first.says, first.quality)
    again.save(path.with_name("again.json"))
    assert path.read_bytes() == path.with_name("again.json").read_bytes()
    value = json.loads(path.read_text())
    for damage, message in (
        ({"schema_version": 1}, "this version can read"),
        ({"kind": "other"}, "this version can read"),
        ({"model": {**value["model"], "operators": 1}}, "damaged"),
    ):
        path.write_text(json.dumps({**value, **damage}))
        with pytest.raises(BadInput, match=rf"{path.name}.*{message}"):
            imported_kernels(load_profile("pixel4-gpu"))


def test_models_of_other_versions_are_refused(learned: ImportedKernels) -> None:
    value = learned.known.kernels.to_json()
    tagged = {name: {"array": list(rates.values())} for name, rates in value["rates_ms"].items()}
    booster = train({"nthread": 1}, DMatrix(np.eye(3), label=np.ones(3)), num_boost_round=1)
    for change, message in (
        ({"rates_ms": {"mapping": tagged}}, "rates_ms have no 'launch', so another version made them; remove the file"),
        ({"operations": value["operations"][1:]}, r"booster of \d+ features, expected \d+; remove the file"),
        ({"booster": {"booster": value["booster"]}}, "booster cannot be read by XGBoost"),
        ({"booster": json.loads(booster.save_raw("json"))}, "booster of 3 features"),
    ):
        with pytest.raises(BadInput, match=message):
            KernelModel.from_json({**value, **change})


def test_settings_do_not_mix_and_too_little_is_refused(files: tuple[Path, Path]) -> None:
    operators = read_published(FORMAT, files[0])
    wholes = [timing for timing in read_published(FORMAT, files[1]) if timing.setting == operators[0].setting]
    with pytest.raises(BadInput, match="no timing of an operator"):
        fit_published_kernels(wholes)
    with pytest.raises(BadInput, match="2 settings cannot be mixed"):
        fit_published_kernels([*operators, replace(operators[0], device="another")])


def test_kernels_of_a_graphics_processor_do_not_serve_a_processor(files: tuple[Path, Path], tmp_path: Path) -> None:
    import_published(FORMAT, files[0], "pixel4")
    profile = load_profile("pixel4")
    assert imported_kernels(profile) is None
    timings = read_published(FORMAT, files[0])
    assert "import them for a profile with compute: gpu" in imported_uses(profile, timings)[0]
    assert "estimate and search" in imported_uses(load_profile("pixel4-gpu"), timings)[0]
    torch = tmp_path / "torch_operators.csv"
    torch.write_text(files[0].read_text())
    assert "kept only" in imported_uses(load_profile("pixel4-gpu"), read_published(FORMAT, torch))[0]


def test_published_phones_hold_what_is_promised(tmp_path: Path) -> None:
    operators = rows_with("qed_cnn_gpu_ops.csv.gz", ",tflite,", folder=tmp_path)
    wholes = rows_with("qed_cnn_e2e.csv.gz", ",tflite,", ",gpu,float,", folder=tmp_path)
    rows = [row for path in (operators, wholes) for row in read_published(FORMAT, path)]
    for phone in ("pixel4", "s10", "mi8se", "a03s", "iphone7"):
        own = [row for row in rows if row.device == phone]
        sums: dict[str, float] = {}
        for row in own:
            if row.kind == "operator":
                sums[row.what["model"]] = sums.get(row.what["model"], 0) + row.latency_ms
        whole = {row.what["model"]: row.latency_ms for row in own if row.kind == "model" and row.what["model"] in sums}
        measured, stated = (np.array([found[name] for name in whole]) for found in (whole, sums))
        errors = np.abs(np.log(measured / STATED_WHOLE(stated)))
        for coverage, half in STATED_HALF.items():
            assert np.mean(errors <= half) >= coverage, (phone, coverage)
        if phone == "pixel4":
            model, quality = fit_published_kernels(own)
            assert quality is not None
            assert quality.mape < 0.08
            assert quality.coverage >= 0.85
            assert model.rules.winograd is None
