import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.latency_figures import FEW

CHECKOUT = Path(__file__).parents[2]
SHARED = CHECKOUT.parent / "shared" / "data" / "latency"
published = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there: published measurements are needed")


@pytest.fixture(autouse=True)
def checkout_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(CHECKOUT), *sys.path])


@published
@pytest.mark.slow
def test_devices_are_ranked_without_any_of_their_latencies() -> None:
    from benchmarks.latency_prior import prior_figures

    figures = prior_figures(range(2))
    for target, blocks, networks in (("note10", 0.975, 0.965), ("pixel1", 0.92, 0.92)):
        assert figures[f"{target}_spearman_blocks"] >= blocks
        assert figures[f"{target}_spearman_networks"] >= networks
        assert figures[f"{target}_macs_spearman_blocks"] < figures[f"{target}_spearman_blocks"]
    assert figures["coverage_90"] >= 0.85


@published
@pytest.mark.slow
def test_networks_on_phones_beat_flops_twice() -> None:
    from benchmarks.latency_phones import phone_figures

    figures = phone_figures("pixel4", "1large", range(2))
    assert 3 * figures["mape"] < figures["flops_mape"]
    assert figures["mape"] == figures["pixel4_1large_real_mape_20"] > figures["elsewhere_mape"]
    assert "pixel4_1large_synthetic_mape_20" not in figures
    with pytest.raises(SystemExit, match="no setting 'pixel5_1large'"):
        phone_figures("pixel5", "1large", range(1))


@published
def test_latencies_of_judged_networks_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even on other phones: with these changed, predictions are the same."""
    import numpy as np

    from benchmarks import latency_phones

    networks = latency_phones.read_networks()["real"]
    part = replace(networks, latency_ms=networks.latency_ms.iloc[:, ::6])
    predicted: list[np.ndarray] = []
    spied = latency_phones.predict_counterparts
    monkeypatch.setattr(
        latency_phones, "predict_counterparts", lambda *given: predicted.append(spied(*given)) or given[2][:, 0]
    )
    setting = str(part.latency_ms.columns[0])
    latency_phones._judged(part, [setting], 0)
    judged = np.flatnonzero(np.random.default_rng([0, 83]).permutation(len(part.flops)) % latency_phones.FOLDS == 0)
    changed = part.latency_ms.copy()
    changed.iloc[judged] *= np.linspace(1, 9, len(judged))[:, None]
    first, calls = predicted[: 2 * len(FEW)], len(predicted)
    latency_phones._judged(replace(part, latency_ms=changed), [setting], 0)
    again = predicted[calls : calls + 2 * len(FEW)]
    same = [bool(np.allclose(left, right)) for left, right in zip(first, again)]
    assert same == [False, True] * len(FEW)


@published
@pytest.mark.slow
def test_kernels_add_up_to_networks_within_five_points_of_their_ceiling() -> None:
    from benchmarks.latency_kernels import kernels_figures

    figures = kernels_figures(("pixel4", "mi8se"), range(1))
    for device in ("pixel4", "mi8se"):
        assert figures[f"{device}_within10"] >= figures[f"{device}_ceiling_within10"] - 0.05


def test_unknown_devices_are_named() -> None:
    from benchmarks.latency_kernels import kernels_figures

    with pytest.raises(SystemExit, match="no kernels of device 'pixel5'; there are pixel4"):
        kernels_figures(("pixel5",), range(1))


def test_this_machines_figures_are_its_predictors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import latency_host
    from natdeploy.devices import device_fingerprint, load_profile
    from natdeploy.latency import shipped_latency_model
    from natdeploy.measure import MeasurementStore
    from natdeploy.spaces import get_space
    from tests.latency.timings import measurement

    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "before"))  # what the task sets is undone after the test
    model = shipped_latency_model(load_profile("note10"), "ofa-mbv3-w1.0")
    assert model is not None
    here = {"device_fingerprint": device_fingerprint(load_profile("host")), "space": "mbv3-micro"}
    qualities = {
        name: replace(model.quality, within10=within, repeatability_within5=0.8, repeatability_within10=repeat)
        for name, within, repeat in (("onnxruntime", 0.9, 0.95), ("tvm", 0.97, 1.0))
    }
    asked: dict[str, object] = {}

    def profiled(profile: object, space: str, **settings: object) -> dict[str, object]:
        asked.update(settings, space=space)
        found = get_space(space)
        smallest, largest = found.smallest(), found.largest()
        others = list(dict.fromkeys(found.sample(np.random.default_rng(seed)) for seed in range(2)))
        taken = [
            *(measurement(arch, 2.0, "holdout") for arch in (smallest, largest)),
            *(measurement(arch, ms, "repeat") for arch, ms in ((smallest, 2.2), (largest, 2.1))),
            measurement(others[0], 3.0, "train"),
            measurement(others[1], 9.0, "train", trusted=False),
        ]
        with MeasurementStore() as store:
            store.add_all([replace(one, **here, runtime="tvm") for one in taken])
        return {
            name: replace(model, quality=one, runtime=name, toolchain={}, **here) for name, one in qualities.items()
        }

    monkeypatch.setattr(latency_host, "profile_device", profiled)
    figures = latency_host.host_figures(3, space="mbv3-micro", networks=40, unseen=20, home=tmp_path)
    assert (asked["space"], asked["networks"], asked["holdout"], asked["seed"]) == ("mbv3-micro", 40, 20, 3)
    assert (figures["host_ort_within10"], figures["host_tvm_within10"]) == (0.9, 0.97)
    assert figures["host_repeat_within10"] == 0.95
    assert "host_ort_untrusted" not in figures and figures["host_tvm_untrusted"] == pytest.approx(1 / 6)
    assert figures["host_tvm_repeat_mape"] == pytest.approx((0.1 + 0.05) / 2)
    assert "tvm: 0 timings are stored, 80 to take" in capsys.readouterr().err
    assert (tmp_path / "measurements.sqlite").is_file()


def test_the_complete_task_times_two_hundred_networks_and_judges_by_as_many() -> None:
    from benchmarks.latency_host import NETWORKS, SPACE, UNSEEN

    assert (SPACE, NETWORKS, UNSEEN) == ("ofa-mbv3-w1.0", 200, 200)


def test_without_nn_meter_there_is_no_figure_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import peers
    from benchmarks.latency_speed import nn_meter_figures
    from natdeploy.ground.errors import BadInput
    from natdeploy.spaces import get_space

    def refuse(*_: object, **__: object) -> None:
        raise BadInput("nn-meter==2.0 cannot be installed")

    monkeypatch.setattr(peers, "peer_python", refuse)
    assert nn_meter_figures([get_space("ofa-mbv3-w1.0").smallest()]) == {}
    assert "nn-Meter is left out: nn-meter==2.0 cannot be installed" in capsys.readouterr().err
