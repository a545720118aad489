"""Power meters: made trees of sysfs files, in the layouts of Linux, Android and Jetson Linux."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.devices.commands import run_command
from natdeploy.devices.meter import (
    METER_SCRIPT,
    Reading,
    find_meter,
    mean_watts,
    meter_here,
    parse_readings,
    read_here,
)

RAPL = {
    "sys/class/powercap/intel-rapl:0/name": "package-0",
    "sys/class/powercap/intel-rapl:0/energy_uj": "1000000",
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850",
    "sys/class/powercap/intel-rapl:0:0/name": "core",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": "900000",
    "sys/class/powercap/intel-rapl:0:0/max_energy_range_uj": "262143328850",
    "sys/class/powercap/intel-rapl-mmio:0/name": "package-0",
    "sys/class/powercap/intel-rapl-mmio:0/energy_uj": "1000000",
    "sys/class/powercap/intel-rapl-mmio:0/max_energy_range_uj": "262143328850",
}
BATTERY = {
    "sys/class/power_supply/battery/type": "Battery",
    "sys/class/power_supply/battery/status": "Discharging",
    "sys/class/power_supply/battery/current_now": "-500000",
    "sys/class/power_supply/battery/voltage_now": "4000000",
    "sys/class/power_supply/usb/type": "USB",
    "sys/class/power_supply/usb/online": "0",
}
_OLD = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
JETSON_NANO = {
    f"{_OLD}/rail_name_0": "POM_5V_IN",
    f"{_OLD}/in_power0_input": "3500",
    f"{_OLD}/rail_name_1": "POM_5V_CPU",
    f"{_OLD}/in_power1_input": "1200",
}
_NEW = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
JETSON_XAVIER = {
    f"{_NEW}/in1_label": "GPU",
    f"{_NEW}/in1_input": "19000",
    f"{_NEW}/curr1_input": "100",
    f"{_NEW}/in2_label": "CPU",
    f"{_NEW}/in2_input": "19000",
    f"{_NEW}/curr2_input": "300",
    f"{_NEW}/in7_label": "sum of shunt voltages",
    f"{_NEW}/in7_input": "7",
}


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def readings(files: dict[str, str], count: int = 4) -> list[Reading]:
    return [Reading(0.5 * place, {"/" + name: text for name, text in files.items()}) for place in range(count)]


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (RAPL, "RAPL (package-0)"),
        (BATTERY, "battery gauge"),
        (JETSON_NANO, "INA3221 (POM_5V_IN)"),
        (JETSON_XAVIER, "INA3221 (GPU, CPU)"),
        ({**RAPL, **JETSON_NANO, **BATTERY}, "INA3221 (POM_5V_IN)"),
    ],
)
def test_a_meter_is_found_here_and_by_the_shell_elsewhere(tmp_path: Path, files: dict[str, str], name: str) -> None:
    root = tree(tmp_path, files)
    assert meter_here(root).name == name and not meter_here(root).reason
    script = METER_SCRIPT.replace("/sys/", f"{root}/sys/") + "meter; meter"
    said = run_command(["sh", "-c", script], timeout_s=20).stdout.decode().replace(f"{root}/sys", "/sys")
    there = parse_readings(said)
    (here,) = parse_readings(read_here(root))
    assert len(there) == 2 and there[0].files == there[1].files == here.files and there[0].at_s > 0


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no meter is readable"),
        ({"sys/class/powercap/intel-rapl:0/name": "package-0"}, r"sudo chmod a\+r /sys/class/powercap"),
        ({**BATTERY, "sys/class/power_supply/battery/status": "Charging"}, "a battery on a charger does not show"),
        ({**BATTERY, "sys/class/power_supply/usb/online": "1"}, "a battery on a charger does not show"),
        ({**BATTERY, "sys/class/power_supply/battery/current_now": "odd"}, "no meter is readable"),
        ({**BATTERY, "sys/class/power_supply/battery/current_now": "0"}, "no meter is readable"),
    ],
)
def test_without_a_meter_the_reason_is_told(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    import re

    meter = meter_here(tree(tmp_path, files))
    assert meter.name is None and re.search(reason, meter.reason)
    assert mean_watts(readings(files)) is None


def test_power_of_gauges() -> None:
    assert mean_watts(readings(BATTERY)) == pytest.approx(2.0)
    assert mean_watts(readings(JETSON_NANO)) == pytest.approx(3.5)  # the rail that feeds the others
    assert mean_watts(readings(JETSON_XAVIER)) == pytest.approx(7.6)  # all of them, where none does
    assert mean_watts(readings(BATTERY, 2)) is None  # too few
    plugged = readings({**BATTERY, "sys/class/power_supply/usb/online": "1"}, 3)
    assert mean_watts([*readings(BATTERY), *plugged]) == pytest.approx(2.0)  # those on the cable do not count


@given(
    start=st.integers(0, 262_143_328_850),
    joules=st.floats(0.01, 10_000),
    seconds=st.floats(0.1, 100),
)
def test_counters_may_run_over(start: int, joules: float, seconds: float) -> None:
    most, used = 262_143_328_850, int(1e6 * joules)
    end = start + used if start + used <= most else start + used - most
    files = {"/" + name: text for name, text in RAPL.items()}
    counter = "/sys/class/powercap/intel-rapl:0/energy_uj"
    found = mean_watts(
        [Reading(7.0, {**files, counter: str(start)}), Reading(7.0 + seconds, {**files, counter: str(end)})]
    )
    assert found == pytest.approx(1e-6 * used / seconds, rel=1e-6)


def test_a_counter_that_stands_still_or_a_clock_that_does_tells_nothing() -> None:
    assert mean_watts(readings(RAPL)) is None
    (one,) = readings(RAPL, 1)
    assert mean_watts([one]) is None and mean_watts([]) is None


@given(st.text())
def test_any_text_is_understood_or_passed_over(text: str) -> None:
    for reading in (*parse_readings(text), *parse_readings(f"@reading\n1.5\n{text}")):
        find_meter(reading)
        mean_watts([reading, reading])
