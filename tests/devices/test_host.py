import os
from pathlib import Path

import pytest

from natdeploy.devices import device_fingerprint, llvm_target, load_profile, parse_profile, timing_processors
from natdeploy.devices.host import derive_host
from natdeploy.devices.llvm import baseline_cpu, choose_cpu
from natdeploy.devices.processor import read_processor
from natdeploy.ground.errors import BadInput, ChildFailed, DeviceNotReachable

ZEN = (
    "abm",
    "avx",
    "avx2",
    "avx512bw",
    "avx512cd",
    "avx512dq",
    "avx512f",
    "avx512vl",
    "bmi1",
    "bmi2",
    "f16c",
    "fma",
    "movbe",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(home))


def test_this_machine_is_filled_in_and_the_answer_is_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = load_profile("host")
    cluster = profile.timed_cluster
    assert profile.notes == ()
    assert cluster.cores == len(cluster.processors) >= len(os.sched_getaffinity(0))
    assert cluster.llvm_cpu not in ("native", "generic", "")
    assert cluster.peak_gflops_per_core is not None and cluster.peak_gflops_per_core > 1
    assert profile.memory.bandwidth_gb_s is not None and profile.memory.bandwidth_gb_s > 0.1
    assert profile.memory.gib is not None and profile.memory.gib > 0.1
    target = llvm_target(profile)
    assert target["mcpu"] == cluster.llvm_cpu and target["kind"] == "llvm" and target["num-cores"] == cluster.cores

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr("natdeploy.devices.host.host_llvm", fail)
    monkeypatch.setattr("natdeploy.devices.host.measure_peak", fail)
    assert load_profile("host") == profile
    kept = {path: path.read_text() for path in (home / "host").iterdir()}
    for path in kept:
        path.write_text("{ damaged")
    with pytest.raises(AssertionError, match="asked again"):
        load_profile("host")
    for path, text in kept.items():
        path.write_text(text)


def test_without_compilers_the_profile_says_what_it_fell_back_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ChildFailed("not here")

    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path))
    monkeypatch.setattr("natdeploy.devices.host.host_llvm", fail)
    monkeypatch.setattr("natdeploy.devices.host.measure_peak", fail)
    profile = derive_host(load_profile("host", derive=False))
    assert profile.timed_cluster.peak_gflops_per_core is None
    assert any("safe baseline" in note and profile.timed_cluster.llvm_cpu in note for note in profile.notes)
    assert any("peak rates are unknown" in note for note in profile.notes)
    assert not list(tmp_path.rglob("*.json"))


def test_an_unknown_processor_falls_back_and_says_so() -> None:
    answer = {"cpu": "znver99", "known": ["x86-64-v3", "znver4"], "features": [], "llvm_version": "22"}
    chosen = choose_cpu("x86_64-linux-gnu", "x86_64", ("avx2", "fma", "f16c", "bmi1", "bmi2", "movbe"), answer)
    assert chosen.cpu == "x86-64-v3"
    assert "znver99" in chosen.notes[0] and "x86-64-v3" in chosen.notes[0]


def test_features_a_hypervisor_hides_are_switched_off() -> None:
    features = ["avx2", "avx512f", "avx512vnni", "fma", "x87"]
    answer = {"cpu": "znver4", "known": ["znver4"], "features": features, "llvm_version": "22"}
    chosen = choose_cpu("x86_64-linux-gnu", "x86_64", ZEN, answer)
    assert (chosen.cpu, chosen.features, chosen.notes) == ("znver4", ("-avx512vnni",), ())


@pytest.mark.parametrize(
    ("machine", "isa", "expected"),
    [
        ("x86_64", ZEN, "x86-64-v4"),
        ("x86_64", ("avx2", "fma", "f16c", "bmi1", "bmi2", "movbe"), "x86-64-v3"),
        ("x86_64", ("sse4_2", "ssse3", "popcnt", "avx"), "x86-64-v2"),
        ("x86_64", (), "x86-64"),
        ("aarch64", ("asimd",), "generic"),
    ],
)
def test_safe_baseline(machine: str, isa: tuple[str, ...], expected: str) -> None:
    assert baseline_cpu(machine, isa) == expected


def machine(root: Path, model: str = "Test CPU", flags: str = "fpu sse4_2 avx avx2 fma smep") -> Path:
    (root / "proc").mkdir(parents=True, exist_ok=True)
    one = "processor\t: {}\nvendor_id\t: Test\nmodel name\t: {}\nflags\t\t: {}\n\n"
    (root / "proc/cpuinfo").write_text("".join(one.format(number, model, flags) for number in (0, 1)))
    cache = root / "sys/devices/system/cpu/cpu0/cache/index0"
    cache.mkdir(parents=True, exist_ok=True)
    for name, text in (("level", "3"), ("type", "Unified"), ("size", "32M"), ("shared_cpu_list", "0-1,4")):
        (cache / name).write_text(text + "\n")
    return root


def test_processor_is_read_from_the_kernels_files(tmp_path: Path) -> None:
    found = read_processor(machine(tmp_path))
    assert (found.model, found.processors, found.vector_bits) == ("Test CPU", (0, 1), 256)
    assert found.isa == ("avx", "avx2", "fma", "sse4_2")
    assert [(cache.level, cache.kib, cache.shared_by) for cache in found.caches] == [(3, 32768, 3)]


def test_fingerprint_tells_processors_apart(tmp_path: Path) -> None:
    first = read_processor(machine(tmp_path / "a")).fingerprint
    assert read_processor(machine(tmp_path / "b")).fingerprint == first
    assert read_processor(machine(tmp_path / "c", model="Other")).fingerprint != first
    assert read_processor(machine(tmp_path / "d", flags="avx fma")).fingerprint != first
    with pytest.raises(DeviceNotReachable, match="cpuinfo"):
        read_processor(tmp_path / "nothing")


def test_fingerprint_of_a_derived_profile_is_the_machines() -> None:
    host = load_profile("host")
    renamed = parse_profile({**host.model_dump(), "name": "laptop", "title": "Other"}, "test")
    assert device_fingerprint(renamed) == device_fingerprint(host) == device_fingerprint(load_profile("host"))
    written = parse_profile({**host.model_dump(), "derived": False}, "test")
    slower = written.model_copy(update={"soc": "Other"})
    assert len({device_fingerprint(profile) for profile in (host, written, slower)}) == 3


def test_processors_to_pin_to() -> None:
    host = load_profile("host")
    allowed = sorted(os.sched_getaffinity(0))
    assert timing_processors(host, 1) == (allowed[-1],)
    assert timing_processors(host, len(allowed)) == tuple(allowed)
    with pytest.raises(BadInput, match="threads asked for"):
        timing_processors(host, len(allowed) + 1)
