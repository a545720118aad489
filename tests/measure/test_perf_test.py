"""ONNX Runtime on a phone by the user's own ``onnxruntime_perf_test``: a stand-in for that behind the one for adb."""

from pathlib import Path

import pytest

from natdeploy import verbs
from natdeploy.devices.units import Access
from natdeploy.ground.errors import DeviceNotReachable, TimingNotPossible, VerificationFailed
from natdeploy.measure import Measurement, MeasurementStore, time_archs
from natdeploy.measure.energy import stored_energy
from tests.devices.phones import Phone, make_phone
from tests.devices.stand_in_perf_test import make_perf_test
from tests.devices.test_adb import silicon
from tests.measure.phones import PROFILE, QUICK, own_home, phone_profile, use_stand_in
from tests.measure.test_remote_timing import SPACE, small


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_perf_test(tmp_path_factory.mktemp("perf_test"))


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    own_home(tmp_path / "home", monkeypatch)
    phone = make_phone(use_stand_in(tmp_path / "phones", monkeypatch), "R58M123")
    phone.program("taskset", '#!/bin/sh\n[ "$1" = 1 ] || exit 9\nshift\nexec "$@"\n')
    silicon(phone)  # the stand-in's times are what it writes down, whoever runs it
    return phone


def timed(program: Path | None, store: MeasurementStore, count: int = 2) -> list[Measurement]:
    timing = {"cooldown_s": 0, "onnxruntime_perf_test": program and str(program)}
    return time_archs(
        small(count),
        space=SPACE,
        profile=phone_profile(runtimes=["tvm", "onnxruntime"], timing=timing),
        runtime="onnxruntime",
        protocol=QUICK,
        store=store,
        access=Access(),
    )


@pytest.fixture
def store(tmp_path: Path) -> MeasurementStore:
    return MeasurementStore(tmp_path / "store.sqlite")


def test_a_phone_is_timed_with_onnx_runtime(phone: Phone, program: Path, store: MeasurementStore) -> None:
    found = timed(program, store)
    assert store.query() == found and not phone.left() and not phone.processes()
    for one in found:
        assert one.runtime == "onnxruntime" and len(one.visits) == 3
        assert set(one.samples_ms) == {one.latency_ms} and one.latency_ms > 1  # the slow first runs are warm-up
        assert one.trusted and one.conditions["unit"] == "R58M123" and one.conditions["peak_rss_kib"] == 40960
        assert "onnxruntime" not in one.toolchain and len(one.toolchain["onnxruntime_perf_test"]) == 16
        assert "runs of onnxruntime_perf_test are not metered" in stored_energy(one, phone_profile()).reason
    assert found[0].latency_ms != found[1].latency_ms


def test_its_libraries_travel_with_it(phone: Phone, program: Path, store: MeasurementStore, tmp_path: Path) -> None:
    copy = tmp_path / "mine" / "my perf test"
    copy.parent.mkdir()
    copy.write_bytes(program.read_bytes())
    (copy.parent / "libonnxruntime.so").write_text("library")
    (copy.parent / "secret").write_text("stays here")
    phone.program("chmod", f'#!/bin/sh\nls > {tmp_path}/pushed\nexec /bin/chmod "$@"\n')
    timed(copy, store, 1)
    pushed = (tmp_path / "pushed").read_text().split()
    assert {"onnxruntime_perf_test", "libonnxruntime.so"} <= set(pushed) and "secret" not in pushed


def test_without_it_advice_and_nothing_is_touched(phone: Phone, store: MeasurementStore, tmp_path: Path) -> None:
    advice = r"build ONNX Runtime's onnxruntime_perf_test for it .*field 'timing\.onnxruntime_perf_test'$"
    text = tmp_path / "text"
    text.write_text("#!/bin/sh\n")
    for program, why in (
        (None, "ONNX Runtime is not on it"),
        (tmp_path / "none", "no such file"),
        (text, "not an exec"),
    ):
        with pytest.raises(DeviceNotReachable, match=rf"{why}.*{advice}") as caught:
            timed(program, store)
        assert caught.value.exit_code == 3 and "\n" not in str(caught.value)
    assert not (phone.folder / "pids").exists()


def test_one_for_another_machine_is_refused(phone: Phone, store: MeasurementStore, tmp_path: Path) -> None:
    program = make_perf_test(tmp_path / "other", "x86_64-linux-musl")
    with pytest.raises(DeviceNotReachable, match=r"built for x86_64, device 'stand-in' is aarch64; build ONNX"):
        timed(program, store)


def test_the_command_line_says_so_too(phone: Phone, tmp_path: Path) -> None:
    import yaml

    device = tmp_path / "stand-in.yaml"
    device.write_text(yaml.safe_dump(PROFILE))
    with pytest.raises(DeviceNotReachable, match="device 'stand-in': ONNX Runtime is not on it; build ONNX"):
        verbs.profile(str(device), runtimes=["onnxruntime"])


def test_an_emulated_processor_is_not_timed(
    phone: Phone, program: Path, store: MeasurementStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (phone.folder / "bin" / "cat").unlink()  # /proc/cpuinfo is this machine's again
    with pytest.raises(TimingNotPossible, match="its processor is emulated"):
        timed(program, store)


def test_results_that_are_none_and_a_program_that_dies(
    phone: Phone, program: Path, store: MeasurementStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD", "1")
    with pytest.raises(DeviceNotReachable, match=r"file of results .*, found 'nonsense"):
        timed(program, store)
    monkeypatch.delenv("ODD")
    phone.program("fails", "#!/bin/sh\necho 'Unknown option -I'\nexit 1\n")
    monkeypatch.setenv("QEMU", "fails")
    with pytest.raises(DeviceNotReachable, match="ended with status 1: Unknown option -I; it has to know option -I"):
        timed(program, store)
    phone.program("fails", "#!/bin/sh\nkill -SEGV $$\n")
    with pytest.raises(VerificationFailed, match="onnxruntime_perf_test: cannot be run; it died by signal 11"):
        timed(program, store)
    assert not store.query() and not phone.left()
