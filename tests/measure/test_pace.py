"""How fast the reference runs of late."""

from natdeploy.measure import Measurement, Visit
from natdeploy.measure.pace import LATEST, latest_paces
from tests.measure.samples import made_up


def timing(number: int, drift: float, **changes: object) -> Measurement:
    visits = (Visit((1.0,), 1.0),)
    when = f"2026-01-01T00:{number:02d}:00.000Z"
    return made_up(**{"taken_at": when, "drift": drift, "reference_ms": 1.5, "visits": visits, **changes})


def test_the_latest_timings_tell_whether_the_baseline_was_taken_on_a_busy_device() -> None:
    before = [timing(number, 0.0) for number in range(20)]
    (found,) = latest_paces(before)
    assert (found.timings, found.ratio, found.slow_baseline) == (LATEST, 1.0, False)
    (found,) = latest_paces([*before, *(timing(30 + number, -0.3) for number in range(LATEST))])
    assert (found.timings, round(found.ratio, 6), found.slow_baseline) == (LATEST, 0.7, True)


def test_only_what_is_of_one_baseline_and_one_unit_is_compared() -> None:
    fast = [timing(number, -0.3) for number in range(5)]
    (found,) = latest_paces([*fast, *(timing(10 + number, 0.0, reference_ms=1.0) for number in range(3))])
    assert (found.timings, found.ratio) == (3, 1.0)
    units = [timing(number, -0.3, conditions={"unit": str(number % 2)}) for number in range(10)]
    assert latest_paces(units) == latest_paces(fast[:2]) == latest_paces([]) == ()
    two = latest_paces([*fast, *(timing(number, 0.2, runtime="tvm") for number in range(5))])
    assert [(pace.runtime, pace.slow_baseline) for pace in two] == [("onnxruntime", True), ("tvm", False)]
