"""The predictors that natdeploy ships, made from published measurements."""

from pathlib import Path

import numpy as np
import pytest

import natdeploy.latency
from natdeploy.devices import device_fingerprint, list_profiles, load_profile
from natdeploy.latency import LatencyModel, shipped_latency_model
from natdeploy.latency.hardware.prior import PriorPredictor
from natdeploy.measure.publications import read_published
from natdeploy.runs import load_job
from natdeploy.search import LocalSurroundings
from natdeploy.spaces import Arch, get_space
from natdeploy.verbs.job import ensure_latency_model

FOLDER = Path(natdeploy.latency.__file__).parent / "shipped"
HELP = Path(__file__).parents[2].parent / "shared" / "data" / "latency" / "help_fbnet.csv.gz"
FILES = sorted(FOLDER.glob("*/*.json"))
#: Once-for-All's network for the Note10 whose name says 16 ms.
OFA_NOTE10_16MS = Arch(
    "ofa-mbv3-w1.0",
    ks=(3, 3, 5, 5, 3, 3, 5, 5, 3, 5, 5, 3, 3, 7, 5, 3),
    e=(3, 3, 3, 4, 4, 3, 4, 4, 3, 4, 4, 3, 6, 4, 4, 3),
    d=(2, 4, 3, 3, 4),
    r=192,
    w=1.0,
)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_shipped_predictor_is_small_sound_and_says_where_it_comes_from(path: Path) -> None:
    assert path.stat().st_size <= 2_000_000
    model = LatencyModel.load(path, path.stem)
    assert (model.device, model.source) == (path.parent.name, "table")
    assert all(model.origin[field] for field in ("source", "licence", "published", "runtime"))
    assert model.quality.networks >= 30
    assert model.quality.coverage >= 0.85
    assert model.device in model.caution
    assert model.runtime in model.caution
    assert f"| {model.device} | {model.space} |" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("device", ["pixel3", "pixel4", "pixel4-gpu", "galaxy-s10", "mi8se", "note10", "rpi4"])
def test_a_device_that_was_not_profiled_has_a_predictor(device: str) -> None:
    profile, space = load_profile(device), get_space("ofa-mbv3-w1.0")
    model = shipped_latency_model(profile, space)
    assert model is not None
    assert model.device_fingerprint == device_fingerprint(profile)
    found = model.predict([space.smallest(), space.largest()], num_classes=10)
    assert 0 < found.lower_ms[0] < found.mean_ms[0] < found.upper_ms[0]
    assert found.upper_ms[0] < found.mean_ms[1]


def test_shipped_predictors_are_of_known_devices() -> None:
    names = {profile.name for profile in list_profiles()} | {"i7-8700k"}
    assert {path.parent.name for path in FILES} <= names


def test_a_released_network_of_a_width_that_the_table_lacks() -> None:
    model = shipped_latency_model(load_profile("note10"), "ofa-mbv3-w1.0")
    assert model is not None
    found = model.predict([OFA_NOTE10_16MS])
    assert found.mean_ms[0] == pytest.approx(16, rel=0.05)
    assert found.lower_ms[0] < 16 < found.upper_ms[0]


def test_a_search_for_a_phone_starts_from_published_measurements() -> None:
    job = load_job(None, {"device": "pixel4", "space": "ofa-mbv3-w1.0", "latency_ms": 40, "runtime": "tvm"})
    said: list[str] = []
    model = ensure_latency_model(job, load_profile("pixel4"), lambda stage, fraction: said.append(stage))
    assert said == [model.caution]
    assert "published measurements, not from this device (runtime: TFLite, one large core, float32" in model.caution
    assert "natdeploy profile --device pixel4" in model.caution
    searched = LocalSurroundings().latency_model(job.run_config(40.0))
    arch = [get_space("ofa-mbv3-w1.0").smallest()]
    assert np.array_equal(searched.predict(arch).upper_ms, model.predict(arch).upper_ms)


@pytest.mark.parametrize(("device", "said"), [("rpi4", "unverified on this device"), ("pixel3", "seven for 224")])
@pytest.mark.parametrize("space", ["ofa-mbv3-w1.0", "mbv3-micro"])
def test_a_device_of_which_little_was_published_says_so(device: str, said: str, space: str) -> None:
    model = shipped_latency_model(load_profile(device), space)
    assert model is not None
    assert said in model.caution
    assert "HW-NAS-Bench" in model.origin["source"]
    found = model.predict([get_space(space).largest()])
    assert found.upper_ms[0] / found.lower_ms[0] > 1.3


@pytest.mark.skipif(not HELP.is_file(), reason="needs HELP's table in shared/data/latency beside the checkout")
@pytest.mark.parametrize(("device", "named"), [("rpi4", "raspi4"), ("pixel3", "pixel3")])
def test_small_images_of_a_little_known_device_lie_in_its_intervals(device: str, named: str) -> None:
    space = get_space("fbnet")
    rows = [row for row in read_published("help", HELP) if (row.device, row.setting) == (named, "batch 1")][:200]
    plain = [row for row in rows if sum(name.endswith("g2") for name in row.what["ops"]) <= 3]
    assert len(plain) >= 40
    model = shipped_latency_model(load_profile(device), "mbv3-micro")
    assert model is not None
    assert isinstance(model.predictor, PriorPredictor)
    held, errors = [], []
    for row in plain:
        layers = space.layers(Arch.from_json(dict(row.what), space="fbnet"))
        _, found = model.predictor.of_layers(layers, 0.9)
        held.append(found.lower_ms[0] <= row.latency_ms <= found.upper_ms[0])
        errors.append(np.log(found.mean_ms[0] / row.latency_ms))
    assert np.std(errors) < 0.1
    # A Pixel 3's scale is that of its large networks, which went a third faster than HW-NAS-Bench's sums.
    assert np.mean(held) > 0.9 if device == "rpi4" else abs(np.mean(errors)) < 0.4


def test_a_search_of_small_images_for_a_board_starts_from_published_measurements() -> None:
    job = load_job(None, {"device": "rpi4", "space": "mbv3-micro", "latency_ms": 9, "runtime": "tvm"})
    said: list[str] = []
    model = ensure_latency_model(job, load_profile("rpi4"), lambda stage, fraction: said.append(stage))
    assert (model.source, said) == ("table", [model.caution])
    assert "natdeploy profile --device rpi4" in model.caution


def test_a_device_or_space_without_published_measurements_has_none() -> None:
    assert shipped_latency_model(load_profile("host", derive=False), "ofa-mbv3-w1.0") is None
    assert shipped_latency_model(load_profile("pixel4"), "mbv3-micro") is None
