import pytest

from natdeploy.devices import load_profile
from natdeploy.devices.power import power_model
from natdeploy.devices.profile import Power
from natdeploy.ground.errors import BadInput

BOARD = load_profile("rpi4")  # four cores, timed with one thread


@pytest.mark.parametrize(
    ("power", "watts", "words"),
    [
        ({"core_w": 1.5, "limit_w": 9}, 1.5, "core_w"),
        ({"idle_w": 2.0, "load_w": 6.0, "limit_w": 90}, 1.0, "load_w less idle_w"),
        ({"limit_w": 8}, 2.0, "limit_w"),
    ],
)
def test_the_most_telling_figure_counts(power: dict, watts: float, words: str) -> None:
    found = power_model(BOARD.model_copy(update={"power": Power(**power)}))
    assert found.watts == pytest.approx(watts) and words in found.about


def test_more_threads_draw_more() -> None:
    timing = BOARD.timing.model_copy(update={"threads": 4})
    power = Power(idle_w=2.0, load_w=6.0)
    assert power_model(BOARD.model_copy(update={"power": power, "timing": timing})).watts == pytest.approx(4.0)


@pytest.mark.parametrize("power", [None, Power(idle_w=2.0), Power(idle_w=3.0, load_w=2.0)])
def test_without_figures_the_field_is_named(power) -> None:
    with pytest.raises(BadInput, match="field 'power'"):
        power_model(BOARD.model_copy(update={"power": power}))
