"""A phone's charge counter: what Android's services and the kernel print, and networks that run meanwhile."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.compiler import Artifact
from natdeploy.devices import charge, meter
from natdeploy.devices.adb import AdbLink
from natdeploy.devices.charge import charge_meter, charge_power
from natdeploy.devices.meter import MeteredRun, NotMetered, Reading, quick_meter
from natdeploy.devices.remote_run import RemoteRunner
from tests.devices.boards import image
from tests.devices.phones import ADB, Phone, make_phone
from tests.devices.test_meter import BATTERY, tree
from tests.measure.phones import use_stand_in

#: ``dumpsys battery`` of a phone over the air, and ``dumpsys batterystats -c``, as AOSP prints them. {counter} and
#: {discharged} are arithmetic of a shell.
DUMPSYS = """#!/bin/sh
read up rest < /proc/uptime; t=$(( ${{up%.*}} * 100 + 1${{up#*.}} - 100 ))
case "$*" in
  battery) printf 'Current Battery Service state:\\n{set}  AC powered: false\\n  USB powered: {usb}\\n'
           printf '  Max charging voltage: 5000000\\n  Charge counter: %d\\n  status: {status}\\n' $(( {counter} ))
           printf '  level: 83\\n  scale: 100\\n  voltage: 4000\\n  temperature: 291\\n' ;;
  power) printf '  mWakefulness=Asleep\\nDisplay Power: state=OFF\\n' ;;
  "batterystats -c android") printf '9,0,i,vers,36,213,AP2A\\n9,0,l,bt,0,86400000,9000,86400000\\n'
           printf '9,0,l,dc,17,18,9,8,%d,404,0,0,0,0\\n9,1000,l,pwi,uid,1.5,1,0,0\\n' $(( {discharged} )) ;;
esac
"""
#: Hundredths of a second since the system has started, in the script.
SINCE = "t"
UNPLUGGED = {"set": "", "usb": "false", "status": "3", "counter": "0", "discharged": "0"}


def say(phone: Phone, **changes: str) -> None:
    phone.program("dumpsys", DUMPSYS.format(**{**UNPLUGGED, **changes}))


def hasten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds for minutes; a busy machine looks seldom then, and knows less."""
    for name, value in (("CHARGE_S", 4.0), ("LOOK_S", 0.05), ("WORST_RESOLUTION", 0.5)):
        monkeypatch.setattr(charge, name, value)


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phone]:
    hasten(monkeypatch)
    phone = make_phone(use_stand_in(tmp_path / "phones", monkeypatch), "R58M123")
    yield phone
    phone.end()


@pytest.fixture
def runner(phone: Phone) -> Iterator[RemoteRunner]:
    runner = RemoteRunner(AdbLink(adb=ADB), test_only_clock=lambda repeats: [1.0] * repeats)
    yield runner
    runner.close()


def counter(charges: list[int], every_s: float = 5.0, **files: str) -> list[Reading]:
    """Readings of ``charge``, each with a charge in microampere-hours, at 4 volts."""
    said = {
        "dumpsys battery voltage": "4000",
        "dumpsys battery status": "3",
        "dumpsys battery USB powered": "false",
        **files,
    }
    return [
        Reading(100 + every_s * place, {**said, "dumpsys battery Charge counter": str(one)})
        for place, one in enumerate(charges)
    ]


def test_power_is_taken_between_two_changes() -> None:
    # 1 mAh every 10 s is 0.36 A; the first and the last one are only partly seen
    found = charge_power(counter([3_000_000 - 1000 * (place // 2) for place in range(1, 62)]))
    assert not isinstance(found, str)
    assert found[0] == pytest.approx(0.36 * 4) and found[1] == pytest.approx(1 / 29 + 5 / 290)


@given(
    watts=st.floats(0.5, 8),
    grain=st.sampled_from([1, 250, 1000]),
    refresh=st.sampled_from([1, 3, 12]),
    start=st.integers(1_000_000, 5_000_000),
)
def test_what_is_told_holds_to_the_resolution_told(watts: float, grain: int, refresh: int, start: int) -> None:
    """A gauge of some grain that is refreshed every so many looks."""
    per_look = watts / 4 / 3600e-6 * 5
    charges = [int(start - per_look * (place - place % refresh)) // grain * grain for place in range(37)]
    found = charge_power(counter(charges))
    if isinstance(found, str):
        return
    assert found[1] <= charge.WORST_RESOLUTION == 0.1 and found[0] == pytest.approx(watts, rel=1.001 * found[1])


@pytest.mark.parametrize(
    ("charges", "reason"),
    [
        ([], "not at all in 0 s"),
        ([3_000_000] * 30, r"moved not at all in 145 s, and twice is the least"),
        ([3_000_000] * 15 + [2_999_000] * 15, "moved once in 145 s"),
        ([3_000_000] * 10 + [2_999_000] * 10 + [2_998_000] * 10, r"fell by 1 mAh in 50 s, in grains of 1 mAh: .*10 %"),
        ([3_000_000 + 1000 * place for place in range(30)], "rose while the network ran"),
    ],
)
def test_what_is_below_the_counters_resolution_is_refused(charges: list[int], reason: str) -> None:
    found = charge_power(counter(charges))
    assert isinstance(found, str) and re.search(reason, found)


def test_a_cable_that_is_plugged_in_meanwhile_spoils_it() -> None:
    before = counter([3_000_000 - 1000 * place for place in range(30)])
    after = counter([2_970_000 - 1000 * place for place in range(3)], **{"dumpsys battery USB powered": "true"})
    assert charge_power([*before, *after]) == "does not tell: the battery was charged meanwhile"


def test_who_tells_the_charge(phone: Phone, runner: RemoteRunner) -> None:
    assert runner.meter().name is None and "no meter is readable" in runner.meter().reason  # of phones.py's dumpsys
    say(phone, discharged="123")
    assert runner.meter().name == "charge counter (batterystats)"
    say(phone, counter="2915000")
    assert runner.meter() == meter.Meter("charge counter (dumpsys battery)", seconds=charge.CHARGE_S)
    tree(phone.folder, {f"{SUPPLY}/type": "Battery", f"{SUPPLY}/charge_counter": "2915123"})
    assert runner.meter().name == "charge counter (sysfs)"
    tree(phone.folder, BATTERY)  # its current
    assert runner.meter().name == "battery gauge"


SUPPLY = "sys/class/power_supply/battery"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"usb": "true"}, "a battery on a charger does not show"),
        ({"status": "2"}, "a battery on a charger does not show"),
        ({"status": "5 (Full)"}, "a battery on a charger does not show"),
        (
            {"set": r"  (UPDATES STOPPED -- use '\\''reset'\\'' to restart)\n"},
            "was set by hand .*dumpsys battery reset",
        ),
    ],
)
def test_a_phone_on_a_charger_is_refused(
    phone: Phone, runner: RemoteRunner, changes: dict[str, str], reason: str
) -> None:
    say(phone, counter="2915000", **{name: text.replace(r"'\\''", r"'\''") for name, text in changes.items()})
    found = runner.meter()
    assert found.name is None and re.search(reason, found.reason)


def test_batterystats_that_take_for_ever_are_no_counter(phone: Phone, runner: RemoteRunner) -> None:
    phone.program("timeout", "#!/bin/sh\nexit 124\n")
    say(phone, discharged="123")
    assert runner.meter().name is None and "no meter is readable" in runner.meter().reason


def test_the_kernels_word_on_chargers_counts_too(phone: Phone, runner: RemoteRunner) -> None:
    say(phone, counter="2915000")
    tree(phone.folder, {f"{SUPPLY}/type": "Battery", f"{SUPPLY}/status": "Charging"})
    assert "on a charger" in runner.meter().reason


@pytest.mark.parametrize("who", ["sysfs", "dumpsys battery", "batterystats"])
def test_a_network_runs_beside_the_counter(
    phone: Phone, runner: RemoteRunner, aarch64: Artifact, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten units of the counter go each tenth of a second: 1 mAh/s is 3.6 A, at 4 V 14.4 W."""
    session = runner.open(aarch64)
    session.run(image())
    rate = {"dumpsys battery": {"counter": "900000000 - 100 * (t / 10)"}, "batterystats": {"discharged": "t / 10"}}
    say(phone, **rate.get(who, {}))
    if who == "sysfs":
        monkeypatch.setattr(charge, "CHARGE_S", 1.0)  # it stands still however long one looks
        tree(phone.folder, {f"{SUPPLY}/type": "Battery", f"{SUPPLY}/charge_counter": "2915123"})
        found = runner.run_metered(session)
        assert isinstance(found, NotMetered) and "moved not at all" in found.reason
        return
    found = runner.run_metered(session)
    assert isinstance(found, MeteredRun) and found.run_ms > 0 and found.idle_watts is None
    watts = 14.4 if who == "dumpsys battery" else 144.0
    assert found.resolution is not None and found.watts == pytest.approx(watts, rel=found.resolution)
    assert f"charge counter ({who})" == runner.meter().name
    session.close()
    assert len(phone.left()) == 1  # the scratch folder itself


def test_profiling_leaves_a_slow_meter_to_bench() -> None:
    found = charge_meter(counter([3_000_000])[0])
    assert found is not None and found.name
    slow = quick_meter(found)
    assert slow.name is None and "3 min a network: bench reads it, profile does not" in slow.reason
    assert quick_meter(meter.Meter("RAPL")) == meter.Meter("RAPL")


@given(
    st.dictionaries(
        st.sampled_from(["dumpsys battery Charge counter", "dumpsys battery voltage", "batterystats dc"]), st.text()
    )
)
def test_any_text_is_understood_or_passed_over(files: dict[str, str]) -> None:
    charge_meter(Reading(1.0, files))
    charge_power([Reading(1.0, files), Reading(2.0, files), Reading(3.0, files)])
