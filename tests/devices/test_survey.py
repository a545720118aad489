"""What machines tell of themselves, and the profiles drafted from it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.devices import (
    CoreFacts,
    HardwareProfile,
    Survey,
    draft_profile,
    load_profile,
    read_profile,
    read_survey,
    save_profile,
    user_profiles_dir,
)
from natdeploy.devices.arm_cores import arm_core, arm_core_named
from natdeploy.devices.ask import ask_device
from natdeploy.devices.survey import cores_in
from natdeploy.ground.errors import BadInput, DeviceNotReachable

FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))


def cpuinfo(parts: list[tuple[int, int]], features: str = FEATURES) -> str:
    block = "processor\t: {}\nBogoMIPS\t: 38.40\nFeatures\t: {}\nCPU implementer\t: {:#x}\nCPU part\t: {:#x}\n\n"
    return "".join(block.format(number, features, *part) for number, part in enumerate(parts))


def clocks(mhz: list[int]) -> str:
    return "".join(f"cpu{number}/cpufreq/cpuinfo_max_freq:{clock * 1000}\n" for number, clock in enumerate(mhz))


#: A Pixel 4 as it answers: Kryo 485 Silver and Gold, line ends as some adb versions send them.
PHONE = (
    "[ro.product.cpu.abi]: [arm64-v8a]\n[ro.product.model]: [Pixel 4]\n[ro.soc.manufacturer]: [QTI]\n"
    "[ro.soc.model]: [SM8150]\naarch64\n"
    + cpuinfo([(0x51, 0x805)] * 4 + [(0x51, 0x804)] * 4)
    + "MemTotal:        5632376 kB\n"
    + clocks([1785] * 4 + [2419] * 3 + [2841])
).replace("\n", "\r\n")


def test_a_phone_becomes_the_profile_that_is_shipped_for_it() -> None:
    drafted, shipped = draft_profile("mine", read_survey(PHONE)), load_profile("pixel4")
    assert (drafted.title, drafted.soc, drafted.memory.gib) == ("Pixel 4", "QTI SM8150", 5.4)
    assert drafted.llvm_triple == shipped.llvm_triple and drafted.reach.via == shipped.reach.via
    assert drafted.reach.accepts("Pixel 4") and not drafted.reach.accepts("Pixel 4a")
    assert drafted.timing == shipped.timing
    for one, other in zip(drafted.clusters, shipped.clusters, strict=True):
        assert (one.cores, one.processors, one.llvm_cpu) == (other.cores, other.processors, other.llvm_cpu)
        assert set(one.isa) == set(other.isa)
        assert one.peak_gops() == pytest.approx(other.peak_gops(), rel=0.01)


def test_a_board_behind_its_device_tree() -> None:
    text = "aarch64\n" + cpuinfo([(0x41, 0xD0B)] * 4) + clocks([2400] * 4)
    caches = "".join(
        f"cpu{cpu}/cache/index{index}/{field}:{value}\n"
        for cpu in range(4)
        for index, level, kind, size, shared in ((0, 1, "Data", "64K", cpu), (3, 3, "Unified", "2M", "0-3"))
        for field, value in (("level", level), ("type", kind), ("size", size), ("shared_cpu_list", shared))
    )
    profile = draft_profile(
        "pi", read_survey(text + caches + "@tree_model\nRaspberry Pi 5 Model B\n"), reach={"ssh": {"host": "pi.local"}}
    )
    (cluster,) = profile.clusters
    assert (profile.title, profile.llvm_triple) == ("Raspberry Pi 5 Model B", "aarch64-linux-gnu")
    assert (cluster.name, cluster.core, cluster.peak_gops()) == ("cpu", "Cortex-A76", pytest.approx(38.4))
    assert [(cache.level, cache.kind, cache.kib, cache.shared_by) for cache in cluster.caches] == [
        (1, "data", 64, 1),
        (3, "unified", 2048, 4),
    ]
    assert profile.way("ssh").host == "pi.local"  # type: ignore[union-attr]


def test_a_kernel_without_sve_gets_code_without_it() -> None:
    hidden = draft_profile("a", read_survey("aarch64\n" + cpuinfo([(0x41, 0xD4E)])))
    shown = draft_profile("b", read_survey("aarch64\n" + cpuinfo([(0x41, 0xD4E)], FEATURES + " sve sve2")))
    assert hidden.timed_cluster.llvm_features == ("-sve",)
    assert shown.timed_cluster.llvm_features == ()


def test_lscpu_alone_is_enough() -> None:
    text = """Architecture:        x86_64
CPU(s):              8
Model name:          Some Processor
CPU max MHz:         4200.0000
Flags:               fpu ssse3 sse4_1 sse4_2 popcnt movbe abm bmi1 bmi2 f16c fma avx avx2 lm
"""
    profile = draft_profile("box", read_survey(text))
    (cluster,) = profile.clusters
    assert (cluster.cores, cluster.vector_bits, cluster.clock_mhz, cluster.llvm_cpu) == (8, 256, 4200, "x86-64-v3")
    assert profile.llvm_triple == "x86_64-linux-gnu"
    assert any("clusters.0.llvm_cpu" in note for note in profile.notes)


def test_an_unknown_arm_core_gets_the_safe_baseline_and_a_note() -> None:
    (cluster,) = draft_profile("new", read_survey("aarch64\n" + cpuinfo([(0x41, 0xFFF)]))).clusters
    assert (cluster.core, cluster.llvm_cpu, cluster.fmas_per_cycle) == ("implementer 0x41, part 0xfff", "generic", None)


def test_answers_instead_of_files() -> None:
    cores = {0: CoreFacts(model="Cortex-A55", clock_mhz=1800), 1: CoreFacts(model="cortex-a76", clock_mhz=2200)}
    profile = draft_profile("told", Survey("aarch64", cores, {}, memory_gib=4))
    assert [(cluster.name, cluster.core, cluster.llvm_cpu) for cluster in profile.clusters] == [
        ("big", "Cortex-A76", "cortex-a76"),
        ("little", "Cortex-A55", "cortex-a55"),
    ]


@pytest.mark.parametrize("text", ["", "nothing of use\n", "aarch64\n", cpuinfo([(0x41, 0xD0B)], ""), "sparc64\n"])
def test_facts_that_say_too_little_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"device 'x': nothing tells .*uname -m"):
        draft_profile("x", read_survey(text))


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("x", {"clusters.0.clock_mhz": 99_999}, "'clusters.0.clock_mhz'"),
        ("x", {"clusters.7.clock_mhz": 1000}, "number from 0 to 2 in place of '7'"),
        ("x", {"title.de": "x"}, "nothing below a plain value"),
        ("x", {"colour": "red"}, "unknown field 'colour'"),
        ("../x", {}, "'name'"),
        ("X y", {}, "'name'"),
    ],
)
def test_changes_and_names_that_do_not_fit_are_refused(name: str, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(BadInput, match=expected):
        draft_profile(name, read_survey(PHONE), changes=changes)


def test_changes_come_last() -> None:
    changes = {"clusters.0.clock_mhz": 3000, "memory.bandwidth_gb_s": 34.1, "power.idle_w": 1}
    profile = draft_profile("x", read_survey(PHONE), changes=changes)
    assert profile.clusters[0].clock_mhz == 3000 and profile.power is not None and profile.power.idle_w == 1
    assert (profile.memory.gib, profile.memory.bandwidth_gb_s) == (5.4, 34.1)


def test_what_was_saved_is_what_is_loaded_and_nothing_is_overwritten() -> None:
    profile = draft_profile("pixel4", read_survey(PHONE))
    path = save_profile(profile, user_profiles_dir())
    assert read_profile(path) == load_profile("pixel4") == profile
    with pytest.raises(BadInput, match=f"{path}: there is a profile of this name"):
        save_profile(profile, user_profiles_dir())
    changed = draft_profile("pixel4", read_survey(PHONE), title="Other")
    assert read_profile(save_profile(changed, user_profiles_dir(), replace=True)).title == "Other"
    assert [file.name for file in user_profiles_dir().iterdir()] == ["pixel4.yaml"]


@given(st.text(max_size=300))
def test_no_text_is_too_odd_to_be_read(text: str) -> None:
    survey = read_survey(PHONE + text)
    assert survey.properties["ro.product.model"]
    assert isinstance(read_survey(text), Survey)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), min_size=1, max_size=5))
def test_cores_are_counted_in_the_kernels_lists(ranges: list[tuple[int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}" if more else str(first) for first, more in ranges)
    assert cores_in(text) == sum(more + 1 for _, more in ranges)


def test_cores_have_one_name_each() -> None:
    a76 = arm_core(0x41, 0xD0B)
    assert a76 is not None and a76 == arm_core_named(" cortex-A76 ")
    assert arm_core(0x41, 0) is None and arm_core_named("abacus") is None


def test_this_machine_is_asked_without_harm() -> None:
    text, reach = ask_device("local")
    survey = read_survey(text)
    assert (survey.machine, len(survey.cores)) == (os.uname().machine, os.cpu_count())
    assert reach == {"via": ["local"]}


@pytest.fixture
def adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for adb with one phone, whose answers lie in a file."""
    program = tmp_path / "bin" / "adb"
    program.parent.mkdir()
    (tmp_path / "answers").write_text(PHONE)
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = devices ]; then printf "List of devices attached\\nSERIAL1\\tdevice\\n"; exit; fi\n'
        f'[ "$1 $2 $3" = "-s SERIAL1 shell" ] && exec cat {tmp_path / "answers"}\n'
        'echo "error: device not found" >&2; exit 1\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


def drafted(source: str) -> HardwareProfile:
    text, reach = ask_device(source)
    return draft_profile("x", read_survey(text), reach=reach)


def test_a_phone_is_asked_over_adb(adb: Path) -> None:
    assert drafted("adb").reach.adb is None
    assert drafted("adb:SERIAL1").way("adb").serial == "SERIAL1"  # type: ignore[union-attr]
    with pytest.raises(DeviceNotReachable, match="'OTHER'"):
        ask_device("adb:OTHER")
    with pytest.raises(DeviceNotReachable, match="rm -rf"):
        ask_device("adb:;rm -rf x")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("ssh:", r"ssh:\[USER@\]HOST"),
        ("ssh:a b:c", "expected|ssh:"),
        ("ssh:a:99999", "port 99999 is none; expected 1 to 65535"),
        ("ssh:-oProxyCommand=x", "host"),
        ("/nope", "No such"),
    ],
)
def test_sources_that_are_none_are_refused(source: str, expected: str) -> None:
    with pytest.raises(BadInput, match=expected):
        ask_device(source)
