import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.measure import TimingProtocol, protocol_for
from natdeploy.measure.correction import (
    kept_visits,
    local_reference,
    median_and_deviation,
    relative_interval,
    relative_values,
    visit_value,
)
from tests.devices.test_profile import phone


def test_a_machine_that_changes_speed_is_divided_out() -> None:
    rng = np.random.default_rng(0)
    speed = np.where(rng.random(60) < 0.5, 1.0, 1.45)  # a neighbour on the same physical core comes and goes
    reference = 0.2 * speed * rng.normal(1, 0.01, 60)
    network = 0.5 * speed * rng.normal(1, 0.01, 60)
    network[::7] *= 4  # and now and then something hits a visit alone
    kept = kept_visits(list(reference), 0.5)
    assert set(np.flatnonzero(speed > 1)) & set(kept) == set() or sum(speed == 1) < 30
    corrected, _ = median_and_deviation(relative_values(network, reference)[kept] * 0.2)
    assert corrected == pytest.approx(0.5, rel=0.02)
    assert abs(np.mean(network) / 0.5 - 1) > 0.2


def test_a_visit_is_a_low_quantile() -> None:
    assert visit_value([1, 2, 3, 4, 5], 0.25) == 2
    assert visit_value([1, 1, 1, 50], 0.25) == 1


def test_the_reference_around_a_place() -> None:
    assert local_reference([1, 2, 3, 4, 50], 3) == 3.5
    assert local_reference([1, 2, 3], 0) == 1.5
    assert local_reference([7], 1) == 7


def test_visits_that_count() -> None:
    assert list(kept_visits([5, 1, 4, 2, 3, 6], 0.5)) == [1, 3, 4]
    assert list(kept_visits([5, 1], 0.5)) == [0, 1]
    assert list(kept_visits([2, 3, 4, 5], 0.1)) == [0, 1, 2]
    assert list(kept_visits([2, 2, 2, 2], 0.1)) == [0, 1, 2, 3]  # none was faster than another


def test_visits_at_nearly_full_speed_count_as_well() -> None:
    quiet, neighbour = [1.0, 1.02, 1.01, 1.04, 1.05, 1.03], [1.0, 1.45, 1.01, 1.45, 1.0, 1.5]
    assert list(kept_visits(quiet, 0.5, 0.06)) == [0, 1, 2, 3, 4, 5]
    assert list(kept_visits(neighbour, 0.5, 0.06)) == [0, 2, 4]
    assert list(kept_visits([1.0, 1.45, 1.01, 1.5], 0.25, 0.06)) == [0, 1, 2]  # three always


def test_interval_narrows_with_the_spread_and_the_number() -> None:
    rng = np.random.default_rng(1)
    wide, narrow = rng.normal(1, 0.1, 20), rng.normal(1, 0.01, 20)
    assert relative_interval(wide) > 3 * relative_interval(narrow)
    assert relative_interval(rng.normal(1, 0.1, 2000)) < relative_interval(wide) / 3
    assert relative_interval(np.ones(2)) == float("inf")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threads", 0),
        ("min_visits", 1.5),
        ("visit_ms", 0),
        ("visit_quantile", 1.5),
        ("max_drift", -1),
        ("max_visits", 1),
    ],
)
def test_impossible_protocols_are_refused(field: str, value: float) -> None:
    with pytest.raises(BadInput, match="timing protocol"):
        TimingProtocol(**{field: value})  # type: ignore[arg-type]


def test_a_profile_sets_the_protocol() -> None:
    from natdeploy.devices import parse_profile

    protocol = protocol_for(parse_profile(phone(), "test"))
    assert (protocol.threads, protocol.max_drift) == (2, 0.1)
    assert TimingProtocol(**protocol.to_json()) == protocol
