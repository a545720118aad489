"""A bundle's executable on its device: the stand-in for adb, whose processor is qemu-aarch64."""

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import build_artifacts, make_network_plan
from natdeploy.deploy import verify_bundle
from natdeploy.deploy.bench import SERIES
from natdeploy.deploy.bundle import REFERENCE, Reference, write_bundle
from natdeploy.deploy.manifest import Manifest
from natdeploy.devices import charge, llvm_target, load_profile
from natdeploy.devices.qemu import QemuRunner
from natdeploy.ground.errors import BadInput, DeviceNotReachable, TimingNotPossible, VerificationFailed
from natdeploy.ground.files import read_json
from natdeploy.spaces import random_network
from natdeploy.verbs import bench
from tests.deploy.stand_ins import CLASSES, PREPROCESSING, SPACE, make_bundle, manifest_of
from tests.devices.boards import emulator
from tests.devices.phones import Phone, make_phone
from tests.devices.test_charge import hasten, say
from tests.devices.test_meter import BATTERY, tree
from tests.measure.phones import use_stand_in

PROFILE = """
name: stand-in
title: Stand-in for a phone
llvm_triple: aarch64-linux-android
clusters: [{name: big, core: A76, cores: 1, processors: [0], vector_bits: 128, llvm_cpu: cortex-a76}]
runtimes: [tvm]
reach: {via: [adb, qemu], models: ["Stand-in 4"]}
"""


REPEATS = 3


@pytest.fixture(autouse=True)
def _few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are an emulator's, which takes its time, and what they took is a test's to say."""
    monkeypatch.setattr(import_module("natdeploy.deploy.bench"), "REPEATS", REPEATS)


@pytest.fixture
def device(tmp_path: Path) -> str:
    (tmp_path / "stand-in.yaml").write_text(PROFILE)
    return str(tmp_path / "stand-in.yaml")


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    return make_phone(use_stand_in(tmp_path / "phones", monkeypatch), "R58M123")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    emulator("aarch64")
    folder = tmp_path_factory.mktemp("artifacts")
    (folder / "stand-in.yaml").write_text(PROFILE)
    target = llvm_target(load_profile(str(folder / "stand-in.yaml")))
    plan = make_network_plan(random_network(SPACE.layers(SPACE.smallest(), len(CLASSES)), seed=1), target=target)
    build_artifacts(plan, folder / "built" / "native", kinds=("executable",))
    return folder / "built"


@pytest.fixture
def make(artifacts: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a bundle with an executable, as ``build --device`` would."""

    def bundle(
        *, predicted: tuple[float, float] | None = None, budget_ms: float | None = None, error: float = 0.0
    ) -> Path:
        arch, path = SPACE.smallest(), tmp_path / "bundle"
        preprocessing = type(PREPROCESSING)(arch.r, PREPROCESSING.mean, PREPROCESSING.std)
        images = np.random.default_rng(0).integers(0, 256, (2, arch.r, arch.r, 3), np.uint8)
        inputs = preprocessing(images)
        found = manifest_of(arch).to_json()
        run = artifacts / "native" / "model_run"
        from natdeploy.ground.files import sha256_file

        found["device"].update(name="stand-in", machine="aarch64")
        found["artifacts"] = [
            {
                "kind": "executable",
                "runtime": "tvm",
                "path": "native/model_run",
                "digest": sha256_file(run),
                "toolchain": {},
            }
        ]
        found["preprocessing"] = preprocessing.to_json()
        found["latency"] |= {"budget_ms": budget_ms, "measured": None, "predicted": None}
        if predicted:
            ends = {"lower_ms": predicted[0], "upper_ms": predicted[1]}
            found["latency"]["predicted"] = {"mean_ms": predicted[1], "coverage": 0.9, "source": "prior", **ends}
        checks = [{"path": "native/model_run", "runtime": "tvm", "images": 2, "max_abs_error": 0, "allowed": 1}]
        found["verification"] |= {"checks": checks, "verified": "emulated (qemu-aarch64)", "reference": REFERENCE}
        manifest = Manifest.model_validate(found)
        from natdeploy.deploy.artifacts import RunnableFile

        shapes = tuple(manifest.model.input_shape), tuple(manifest.model.output_shape)
        session = QemuRunner("aarch64").open(RunnableFile("executable", run, sha256_file(run), *shapes))
        outputs = np.concatenate([session.run(image[None]) for image in inputs]) + np.float32(error)
        write_bundle(
            path,
            manifest,
            artifacts=artifacts,
            arch=arch,
            labels=CLASSES,
            preprocessing=preprocessing,
            reference=Reference(images, inputs, outputs),
            measurements=[],
        )
        return path

    return bundle


def clock(ms: float) -> Callable[[int], list[float]]:
    return lambda repeats: [ms] * repeats


def test_a_measured_latency_is_filled_in(make: Callable[..., Path], phone: Phone, device: str) -> None:
    path = make()
    before = (path / "native" / "model_run").read_bytes()
    result = bench(path, device=device, test_only_clock=clock(7.5))
    assert (result.latency_ms, result.unit, result.via, result.inside) == (7.5, "R58M123", "adb", None)
    assert not result.trusted  # the clock was a test's
    assert result.peak_rss_kib and 1024 * result.peak_rss_kib > len(before)  # its weights, at least
    manifest = verify_bundle(path).manifest  # whole, and checksums hold
    (timing,) = manifest.latency.measured or ()
    assert (timing.latency_ms, timing.samples, timing.trusted) == (7.5, SERIES * REPEATS, False)
    assert manifest.verification.verified == "on the device (adb R58M123)"
    stored = read_json(path / "profile.json", "profile")["measurements"][0]
    assert stored["conditions"]["clock"] == stored["toolchain"]["clock"] == "test-only"
    assert (path / "native" / "model_run").read_bytes() == before and not phone.left()
    again = bench(path, device=device, test_only_clock=clock(8.5))
    assert again.latency_ms == 8.5 and len(verify_bundle(path).manifest.latency.measured or ()) == 1


@pytest.mark.parametrize(
    ("counter", "source", "words"),
    [
        ("900000000 - 100 * (t / 10)", "measured", r"charge counter \(dumpsys battery\), known to \d+ %"),
        (
            "900000000",
            None,
            r"charge counter \(dumpsys battery\) moved not at all in \d+ s, .*'power'.*",
        ),
    ],
)
def test_energy_is_measured_by_the_charge_counter_where_that_tells_it(
    make: Callable[..., Path],
    phone: Phone,
    device: str,
    monkeypatch: pytest.MonkeyPatch,
    counter: str,
    source: str | None,
    words: str,
) -> None:
    hasten(monkeypatch)
    if source is None:
        monkeypatch.setattr(charge, "CHARGE_S", 1.0)  # it stands still however long one looks
    say(phone, counter=counter)
    found = bench(make(), device=device, test_only_clock=clock(7.5)).energy
    assert found.source == source and re.fullmatch(words, found.meter or found.reason) and not phone.left()
    assert (found.watts is None) == (source is None) and found.idle_watts is None


def test_energy_is_measured_where_the_phone_has_a_gauge(
    make: Callable[..., Path], phone: Phone, device: str, tmp_path: Path
) -> None:
    path = make()
    tree(phone.folder, BATTERY)
    found = bench(path, device=device, test_only_clock=clock(7.5)).energy
    assert (found.source, found.watts, found.meter) == ("measured", pytest.approx(2.0), "battery gauge")
    (timing,) = verify_bundle(path).manifest.latency.measured or ()
    assert timing.energy is not None and timing.energy.model_dump() == found.to_json()
    stored = read_json(path / "profile.json", "profile")["measurements"][0]
    assert stored["conditions"]["energy"] == found.to_json()


@pytest.mark.parametrize(
    ("lines", "source", "millijoules", "reason"),
    [
        ("power: {core_w: 2}", "modelled", 15.0, "no meter is readable"),
        ("", None, None, "no meter is readable .*; hardware profile 'stand-in': no energy without the field 'power'"),
    ],
)
def test_energy_is_modelled_or_absent_with_a_reason(
    make: Callable[..., Path], phone: Phone, device: str, lines: str, source: str, millijoules: float, reason: str
) -> None:
    Path(device).write_text(f"{PROFILE}{lines}\n")
    found = bench(make(), device=device, test_only_clock=clock(7.5)).energy
    assert (found.source, found.millijoules) == (source, millijoules) and re.match(reason, found.reason)


@pytest.mark.parametrize(("ms", "inside"), [(7.5, True), (9.5, False)])
def test_says_whether_the_prediction_held(
    make: Callable[..., Path], phone: Phone, device: str, ms: float, inside: bool
) -> None:
    assert bench(make(predicted=(7.0, 9.0)), device=device, test_only_clock=clock(ms)).inside is inside


@pytest.mark.parametrize(("budget_ms", "within"), [(None, None), (7.5, True), (7.4, False)])
def test_says_whether_the_budget_is_met(
    make: Callable[..., Path], phone: Phone, device: str, budget_ms: float | None, within: bool | None
) -> None:
    result = bench(make(budget_ms=budget_ms), device=device, test_only_clock=clock(7.5))
    assert (result.budget_ms, result.within_budget) == (budget_ms, within)


def test_an_emulator_is_not_timed_and_nothing_is_written(make: Callable[..., Path], phone: Phone, device: str) -> None:
    path = make()
    before = (path / "manifest.json").read_bytes()
    for via in (None, "qemu"):
        with pytest.raises(TimingNotPossible, match="emulat"):
            bench(path, device=device, via=via)
    with pytest.raises(DeviceNotReachable, match="adb sees 'R58M123'"):
        bench(path, device=device, unit="other")
    assert (path / "manifest.json").read_bytes() == before and not phone.left()


def test_a_device_that_computes_something_else_is_told(make: Callable[..., Path], phone: Phone, device: str) -> None:
    path = make(error=0.5)
    with pytest.raises(VerificationFailed, match=r"native/model_run on the device: outputs differ"):
        bench(path, device=device, test_only_clock=clock(7.5))
    assert read_json(path / "manifest.json", "manifest")["latency"]["measured"] is None and not phone.left()


def test_bundles_for_something_else(make: Callable[..., Path], device: str, tmp_path: Path) -> None:
    make_bundle(tmp_path / "host")
    with pytest.raises(BadInput, match=r"holds no executable; build it with: natdeploy build RUN --device stand-in"):
        bench(tmp_path / "host", device=device)
    with pytest.raises(BadInput, match=r"was built for stand-in, not for pixel4"):
        bench(make(), device="pixel4")
