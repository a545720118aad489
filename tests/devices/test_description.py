import platform

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.devices import RUNNERS, draft_profile, get_runner, read_survey
from natdeploy.devices.description import parse_description

PHONE = """@machine
aarch64
@shell
/system/bin/sh
@dmi_product
@zones
-273000
35400
@cpuinfo
processor\t: 0
CPU implementer\t: 0x51
CPU part\t: 0x804
@cores
cpu0/cpufreq/cpuinfo_max_freq:1785600
cpu7/cpufreq/cpuinfo_max_freq:2841600
@properties
[ro.hardware]: [flame]
[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a,armeabi]
[ro.product.model]: [Pixel 4]
@battery
Current Battery Service state:
  AC powered: false
  USB powered: true
  level: 64
  temperature: 313
@power
  mWakefulness=Awake
Display Power: state=ON
"""


def described(text: str):
    return parse_description(text, via="adb", unit="R1")


def test_a_phone() -> None:
    said = described(PHONE)
    assert (said.machine, said.model, said.abis[0]) == ("aarch64", "Pixel 4", "arm64-v8a")
    assert said.clocks_mhz == (1785.6, 2841.6)
    assert (said.battery_percent, said.powered, said.celsius, said.screen_on) == (64, True, 31.3, True)
    assert said.emulated is None and said.clock == "device"
    assert described(PHONE.replace("\n", "\r\n")) == said


def test_the_same_answers_make_a_profile() -> None:
    drafted = draft_profile(
        "mine", read_survey(PHONE.replace("CPU part\t: 0x804", "CPU part\t: 0x804\nFeatures\t: asimd"))
    )
    assert (drafted.title, drafted.machine) == ("Pixel 4", "aarch64")
    assert drafted.reach.accepts(described(PHONE).model or "") and drafted.llvm_triple == "aarch64-linux-android"


def test_a_board_has_no_battery() -> None:
    said = described(
        PHONE.partition("@properties")[0].replace("@dmi_product\n", "@tree_model\nRaspberry Pi 4 Model B\n")
    )
    assert (said.model, said.celsius) == ("Raspberry Pi 4 Model B", 35.4)
    assert said.abis == () and said.battery_percent is said.powered is said.screen_on is said.emulated is None


@pytest.mark.parametrize(
    ("old", "new", "evidence"),
    [
        ("/system/bin/sh", "/usr/bin/qemu-aarch64-static", "its shell runs under qemu-aarch64-static"),
        ("CPU implementer\t: 0x51", "vendor_id\t: AuthenticAMD", "describes an x86 processor"),
        ("0x51", "0x00", "CPU implementer is 0"),
        ("[ro.hardware]: [flame]", "[ro.kernel.qemu]: [1]", "it is Android's emulator"),
        ("flame", "ranchu", "it is Android's emulator"),
        ("@dmi_product\n", "@dmi_product\nQEMU Virtual Machine\n", "without hardware acceleration"),
        ("@zones\n", "@virtualisation\nqemu\n@zones\n", "systemd-detect-virt says qemu"),
        ("CPU part", "model name\t: QEMU TCG CPU version 2.5+\nCPU part", "its processor is called QEMU TCG CPU"),
    ],
)
def test_emulated_processors_are_recognised(old: str, new: str, evidence: str) -> None:
    assert old in PHONE
    assert evidence in (described(PHONE.replace(old, new, 1)).emulated or "")


@pytest.mark.parametrize("product", ["KVM Virtual Machine", "Amazon EC2", "HVM domU"])
def test_a_hypervisor_is_no_emulator(product: str) -> None:
    text = PHONE.replace("@dmi_product\n", f"@dmi_product\n{product}\n@virtualisation\nkvm\n")
    assert described(text).emulated is None


@given(st.text(alphabet="@abcdefilmnoprtuwxy: \n\r=0123456789-.", max_size=300))
def test_any_answer_is_understood_or_left_out(text: str) -> None:
    said = described(text)
    assert said.battery_percent is None or said.battery_percent >= 0


@pytest.mark.parametrize("runtime", RUNNERS.names())
def test_runners_of_this_machine_describe_it(runtime: str) -> None:
    runner = get_runner(runtime)
    said = runner.describe()
    assert (said.via, said.machine) == ("local", platform.machine())
    runner.close()
