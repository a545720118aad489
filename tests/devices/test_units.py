import pytest

from natdeploy.devices import load_profile
from natdeploy.devices.units import Access
from natdeploy.ground.errors import BadInput


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"matching": 0}, "expected at least 1, not 0"),
        ({"units": ("a", "a")}, "one is named twice in a, a"),
        ({"units": ("a", "b"), "matching": 3}, "2 are named, but 3 asked for"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(settings: dict, expected: str) -> None:
    with pytest.raises(BadInput, match=expected):
        Access(**settings)


@pytest.mark.parametrize("access", [Access(via="adb"), Access(units=("R1",)), Access(matching=2)])
def test_there_is_nothing_to_choose_on_this_machine(access: Access) -> None:
    host = load_profile("host", derive=False)
    with pytest.raises(BadInput, match="device 'host': it is this machine"):
        access.check(host)
    Access().check(host)
    Access(via="local").check(host)


def test_the_way_must_be_the_profiles() -> None:
    with pytest.raises(BadInput, match=r"'pixel4': field 'reach.via' is adb, tvm-rpc, qemu, not ssh"):
        Access(via="ssh").check(load_profile("pixel4"))
    Access(via="adb", units=("R1",)).check(load_profile("pixel4"))
