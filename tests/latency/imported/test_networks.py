"""Whole networks that others published of a device become its predictor."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from natdeploy.devices import device_fingerprint, load_profile
from natdeploy.ground.errors import BadInput
from natdeploy.latency import LatencyModel, published_latency_model
from natdeploy.latency.imported.networks import fit_imported_networks, imported_network_models, published_networks
from natdeploy.latency.imported.uses import imported_uses
from natdeploy.latency.published.encoded_predictor import EncodedPredictor, fit_encoded
from natdeploy.measure.publications import import_published
from natdeploy.spaces import Arch, costs, get_space
from tests.latency.shared_tables import rows_with

SPACE = get_space("fbnet")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def made_up_ms(arch: Arch) -> float:
    return 0.2 + 1e-8 * costs(SPACE.layers(arch)).macs


def sampled(count: int, seed: int) -> list[Arch]:
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(SPACE.sample(rng) for _ in range(count)))


def table(path: Path, archs: list[Arch]) -> Path:
    """HELP's table as tidied: batches of one image and of 32, which take twenty times as long."""
    lines = ["arch_id,ops,device,batch,latency_ms"]
    for index, arch in enumerate(archs):
        ops = ",".join(arch.ops)
        for batch, factor in ((1, 1), (32, 20)):
            lines.append(f'{index},"{ops}",gpu,{batch},{factor * made_up_ms(arch)}')
    path.write_text("\n".join(lines) + "\n")
    return path


def test_imported_networks_are_the_devices_predictor(tmp_path: Path, own_home: Path) -> None:
    profile = load_profile("rpi4")
    assert published_latency_model(profile, SPACE) is None
    stored, _ = import_published("help", table(tmp_path / "help.csv", sampled(60, 0)), "rpi4")
    assert {found.setting for found in published_networks("rpi4", SPACE)} == {"batch 1", "batch 32"}
    model = published_latency_model(profile, SPACE)
    assert model is not None
    assert (model.source, model.runtime) == ("table", "unstated runtime, batch 1")
    assert model.device_fingerprint == device_fingerprint(profile)
    assert model.quality.evaluated_on == "cross-validation"
    assert "60 networks of fbnet published as gpu" in model.caution
    assert "HayeonLee/HELP" in model.caution
    unseen = sampled(40, 1)
    found, true_ms = model.predict(unseen), np.array([made_up_ms(arch) for arch in unseen])
    assert np.abs(found.mean_ms / true_ms - 1).mean() < 0.05
    assert np.mean((found.lower_ms <= true_ms) & (true_ms <= found.upper_ms)) >= 0.8
    (kept,) = (own_home / "published_models" / "rpi4" / "fbnet").glob("networks-*.json")
    before = kept.read_bytes()
    (again,) = imported_network_models("rpi4", SPACE)
    np.testing.assert_array_equal(again.predict(unseen).upper_ms, found.upper_ms)
    assert kept.read_bytes() == before
    assert "networks" in imported_uses(profile, stored.timings)[0]


def test_networks_whose_operators_features_do_not_know(tmp_path: Path) -> None:
    cells = get_space("nasbench201")
    rng = np.random.default_rng(0)
    archs = list(dict.fromkeys(cells.sample(rng) for _ in range(220)))
    weight = dict(zip(sorted({op for arch in archs for op in arch.ops}), (0.3, 0.05, 2.0, 5.0, 0.1)))
    true_ms = np.array([8 + sum(weight[op] for op in arch.ops) for arch in archs])
    lines = ["arch_id,arch_str,device,measured_by,latency_ms,valid"]
    text = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
    lines += [
        f"{index},{text.format(*arch.ops)},pi,a paper,{ms},1"
        for index, (arch, ms) in enumerate(zip(archs[:150], true_ms))
    ]
    (tmp_path / "oneproxy.csv").write_text("\n".join(lines) + "\n")
    import_published("oneproxy", tmp_path / "oneproxy.csv", "rpi4")
    model = published_latency_model(load_profile("rpi4"), cells)
    assert model is not None
    assert isinstance(model.predictor, EncodedPredictor)
    assert model.runtime == "unstated runtime, a paper"
    found = model.predict(archs[150:])
    assert np.abs(found.mean_ms / true_ms[150:] - 1).mean() < 0.05
    assert np.mean((found.lower_ms <= true_ms[150:]) & (true_ms[150:] <= found.upper_ms)) >= 0.8
    model.save(tmp_path / "model.json")
    again = LatencyModel.load(tmp_path / "model.json", cells)
    genomes = np.stack([cells.encode(arch) for arch in archs[150:]])
    np.testing.assert_allclose(again.predict_genomes(genomes).upper_ms, found.upper_ms, rtol=1e-12)
    with pytest.raises(BadInput, match="cannot tell what 7 classes take"):
        model.predict(archs[:2], num_classes=7)
    with pytest.raises(BadInput, match="5 of them with positive latencies, at least 30"):
        fit_encoded(dict(zip(archs[:5], true_ms.tolist())), cells)


def test_other_spaces_and_few_networks_are_no_predictor(tmp_path: Path) -> None:
    import_published("help", table(tmp_path / "help.csv", sampled(29, 0)), "rpi4")
    assert published_latency_model(load_profile("rpi4"), SPACE) is None
    import_published("help", table(tmp_path / "more.csv", sampled(40, 0)), "rpi4")
    assert published_latency_model(load_profile("rpi4"), get_space("nasbench201")) is None


def test_a_damaged_predictor_is_refused(tmp_path: Path, own_home: Path) -> None:
    import_published("help", table(tmp_path / "help.csv", sampled(40, 0)), "rpi4")
    imported_network_models("rpi4", SPACE)
    (kept,) = (own_home / "published_models" / "rpi4" / "fbnet").glob("networks-*.json")
    kept.write_text(kept.read_text().replace("cross-validation", "nothing"))
    with pytest.raises(BadInput, match=rf"{kept.name}: damaged latency model"):
        published_latency_model(load_profile("rpi4"), SPACE)


def test_published_networks_of_a_raspberry_pi(tmp_path: Path) -> None:
    table = rows_with("help_fbnet.csv.gz", ",raspi4,", folder=tmp_path)
    some = tmp_path / "some.csv"
    some.write_text("".join(table.read_text().splitlines(keepends=True)[:601]))
    import_published("help", some, "rpi4", named="raspi4")
    (networks,) = published_networks("rpi4", SPACE)
    archs = sorted(networks.latency_ms, key=lambda arch: arch.id)
    known = {arch: networks.latency_ms[arch] for arch in archs[:300]}
    model = fit_imported_networks(replace(networks, latency_ms=known), SPACE, device="rpi4")
    found = model.predict(archs[300:])
    true_ms = np.array([networks.latency_ms[arch] for arch in archs[300:]])
    assert np.abs(found.mean_ms / true_ms - 1).mean() < 0.08
    assert np.mean((found.lower_ms <= true_ms) & (true_ms <= found.upper_ms)) >= 0.82
