"""The shipped profiles: whole, in agreement with each other, with LLVM, and with rates that others measured."""

from typing import Any

import pytest
import yaml

from natdeploy.devices import HardwareProfile, compile_target, llvm_target, read_profile, shipped_profiles_dir
from natdeploy.devices.arm_cores import arm_core_named
from natdeploy.devices.gpu import gpu_target
from natdeploy.devices.llvm import NOT_NEEDED_BY_TVM, query_tvm
from natdeploy.devices.reach import machine_of
from natdeploy.ground.errors import BadInput, DeviceNotReachable
from natdeploy.ground.processes import call_in_child

PROFILES = {path.stem: read_profile(path) for path in sorted(shipped_profiles_dir().glob("*.yaml"))}
WRITTEN = {name: profile for name, profile in PROFILES.items() if not profile.derived}
PROMISED = [
    "host",
    "pixel4",
    "pixel4-gpu",
    "pixel6",
    "pixel8",
    "galaxy-s10",
    "galaxy-s21",
    "galaxy-s23",
    "note10",
    "mi8se",
    "iphone13",
    "iphone15",
    "rpi4",
    "rpi5",
    "jetson-orin-nano",
    "jetson-xavier",
    "rock5b",
    "graviton3",
    "epyc-7763",
    "xeon-8380",
    "dgx-a100",
]


def every_profile() -> Any:
    return pytest.mark.parametrize("profile", WRITTEN.values(), ids=WRITTEN)


def test_the_promised_devices_are_there() -> None:
    assert len(PROFILES) >= 25
    assert set(PROMISED) <= set(PROFILES)


@every_profile()
def test_says_where_its_facts_come_from_and_what_code_is_generated(profile: HardwareProfile) -> None:
    assert profile.sources and profile.soc
    if profile.compute == "cpu":
        target = llvm_target(profile)
        assert (target["mtriple"], target["num-cores"]) == (profile.llvm_triple, profile.timed_cluster.cores)
    assert profile.machine in ("aarch64", "x86_64")
    assert "local" not in profile.reach.via, "only the machine at hand is local"
    assert profile.way() == profile.way(profile.reach.via[0])


@every_profile()
def test_clusters_stand_in_order_and_number_every_core_once(profile: HardwareProfile) -> None:
    clocks = [cluster.clock_mhz or 0 for cluster in profile.clusters]
    assert clocks == sorted(clocks, reverse=True) and min(clocks) >= 1000
    numbers = [number for cluster in profile.clusters for number in cluster.processors]
    assert sorted(numbers) == list(range(len(numbers)))
    assert len(numbers) in (0, sum(cluster.cores for cluster in profile.clusters))
    for cluster in profile.clusters:
        sizes = [(cache.level, cache.kib) for cache in cluster.caches]
        assert [level for level, _ in sizes] == sorted(level for level, _ in sizes)
        levels = sorted({level for level, _ in sizes})
        largest = [max(kib for found, kib in sizes if found == level) for level in levels]
        assert largest == sorted(largest), "a cache is smaller than the one before it"


@every_profile()
def test_phones_are_behind_adb_and_mind_their_batteries(profile: HardwareProfile) -> None:
    android = profile.llvm_triple == "aarch64-linux-android"
    assert android == ("adb" in profile.reach.via)
    if android:
        assert profile.abi == "arm64-v8a" and profile.reach.models
        assert profile.timing.max_celsius and profile.timing.min_battery_percent
    else:
        assert profile.timing.min_battery_percent is None


def test_cores_of_one_name_are_one_thing_everywhere() -> None:
    kinds: dict[str, tuple[str, Any]] = {}
    for profile in WRITTEN.values():
        for cluster in profile.clusters:
            core = cluster.core.partition("(")[2].rstrip(")") or cluster.core
            facts = (cluster.llvm_cpu, cluster.vector_bits, cluster.fmas_per_cycle, cluster.isa)
            other, known = kinds.setdefault(core, (profile.name, facts))
            assert facts == known, f"{core} in {profile.name} and in {other}"


@pytest.mark.parametrize(
    ("name", "cluster", "dtype", "measured_gops"),
    [  # https://github.com/pigirons/cpufp, benchmark_result
        ("rpi4", 0, "fp32", 11.958),
        ("rpi5", 0, "fp32", 38.369),
        ("rpi5", 0, "fp16", 76.738),
        ("rpi5", 0, "int8", 153.48),
        ("rock5b", 0, "fp32", 38.012),
        ("rock5b", 1, "fp32", 14.596),
        ("rock5b", 1, "int8", 58.379),
        ("n100", 0, "fp32", 54.247),
    ],
)
def test_derived_peak_rates_are_those_that_others_measured(
    name: str, cluster: int, dtype: Any, measured_gops: float
) -> None:
    assert WRITTEN[name].clusters[cluster].peak_gops(dtype) == pytest.approx(measured_gops, rel=0.02)


def test_half_precision_and_bytes_have_rates_only_where_instructions_are() -> None:
    (a72,) = WRITTEN["rpi4"].clusters
    assert a72.peak_gops("fp16") is None and a72.peak_gops("int8") is None
    assert WRITTEN["jetson-xavier"].timed_cluster.peak_gops() is None


@pytest.mark.parametrize("triple", sorted({str(profile.llvm_triple) for profile in WRITTEN.values()}))
def test_llvm_inside_tvm_knows_every_processor(triple: str) -> None:
    known = set(call_in_child(query_tvm, triple, timeout_s=300, without=NOT_NEEDED_BY_TVM)["known"])
    wanted = {
        cluster.llvm_cpu
        for profile in WRITTEN.values()
        if profile.llvm_triple == triple
        for cluster in profile.clusters
    }
    assert wanted and wanted <= known


@pytest.mark.parametrize("name", ["pixel4-gpu", "dgx-a100"])
def test_a_graphics_processor_never_passes_for_the_processor_beside_it(name: str) -> None:
    with pytest.raises(DeviceNotReachable, match=f"'{name}': field 'compute': this is for processors"):
        llvm_target(WRITTEN[name])


def test_x86_servers_can_run_the_vectors_they_claim() -> None:
    for profile in WRITTEN.values():
        if machine_of(str(profile.llvm_triple))[0] == "x86_64":
            cluster = profile.timed_cluster
            assert (cluster.vector_bits == 512) == ("avx512f" in cluster.isa)
            assert "avx2" in cluster.isa and "fma" in cluster.isa


def test_no_file_repeats_a_default_or_hides_a_second_document() -> None:
    for path in shipped_profiles_dir().glob("*.yaml"):
        (written,) = yaml.safe_load_all(path.read_text())
        assert written["schema_version"] == 1
        assert None not in written.values(), path


def test_arm_cores_are_what_their_numbers_mean_to_devices_add() -> None:
    compared = 0
    for profile in WRITTEN.values():
        for cluster in profile.clusters:
            core = arm_core_named(cluster.core.partition("(")[2].rstrip(")") or cluster.core)
            if core is not None:
                compared += 1
                assert (cluster.llvm_cpu, cluster.fmas_per_cycle) == (core.llvm_cpu, core.fmas_per_cycle), profile.name
                assert ("-sve" in cluster.llvm_features) == (core.sve and "sve" not in cluster.isa), profile.name
    assert compared > 30


def test_a_graphics_processor_is_compiled_for_in_its_own_language() -> None:
    phone, server = WRITTEN["pixel4-gpu"], WRITTEN["dgx-a100"]
    assert compile_target(phone) == {"kind": "opencl", "mtriple": "aarch64-linux-android"}
    assert compile_target(server)["kind"] == "cuda" and server.gpu is not None
    assert compile_target(server).get("arch") == server.gpu.arch
    assert compile_target(WRITTEN["pixel4"])["kind"] == "llvm"
    with pytest.raises(BadInput, match="field 'compute': networks run on its processor"):
        gpu_target(WRITTEN["pixel4"])
    vulkan = phone.model_copy(update={"gpu": server.gpu.model_copy(update={"api": "vulkan"})})
    with pytest.raises(BadInput, match=r"field 'gpu\.api': no code is generated for vulkan"):
        compile_target(vulkan)
