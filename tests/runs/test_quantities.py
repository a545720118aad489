import pytest
from hypothesis import given
from hypothesis import strategies as st

from natdeploy.ground.errors import BadInput
from natdeploy.ground.validation import validate
from natdeploy.runs import JobConfig, Limit, Place, Requirements, RunConfig
from natdeploy.runs.quantities import QUANTITIES, canonical, edge, place_of

HOME = Place("host", "tvm")


class Known:
    def __init__(self, **figures: float) -> None:
        self.figures = figures

    def value(self, name: str) -> float:
        return self.figures[name.replace(":", "_")]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("macs", "macs"),
        ("top1:pets", "top1:pets"),
        ("latency_ms:host", "latency_ms"),
        ("latency_ms:host:tvm", "latency_ms"),
        ("latency_ms:host:onnxruntime", "latency_ms:host:onnxruntime"),
        ("latency_ms:pixel4", "latency_ms:pixel4:tvm"),
        ("energy_mj:pixel4", "energy_mj:pixel4:tvm"),
    ],
)
def test_one_spelling_of_each_name(written: str, meant: str) -> None:
    assert canonical(written, HOME) == meant == canonical(meant, HOME)


def test_places_and_ends_of_intervals() -> None:
    assert place_of("macs", HOME) is None and place_of("latency_ms", HOME) == HOME
    assert place_of("energy_mj:pixel4:tvm", HOME) == Place("pixel4", "tvm")
    assert edge("latency_ms:pixel4:tvm", upper=True) == "latency_upper_ms:pixel4:tvm"
    assert edge("energy_mj", upper=False) == "energy_lower_mj" and edge("macs", upper=True) == "macs"


@given(st.sampled_from(QUANTITIES), st.booleans(), st.floats(1e-6, 1), st.floats(0, 2))
def test_limits_are_read_and_written(name: str, at_most: bool, value: float, found: float) -> None:
    limit = Limit.parse(f" {name} {'<=' if at_most else '>='} {value!r} ")
    assert limit == Limit(name, at_most, value)
    again = Limit.parse(str(limit))
    assert again.name == name and again.at_most == at_most and again.value == pytest.approx(value, rel=1e-9)
    assert (limit.excess(found) <= 0) == (found <= value if at_most else found >= value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"limits": "macs<2"}, "expected NAME<=VALUE or NAME>=VALUE"),
        ({"limits": ["beauty<=2"]}, "no limit on 'beauty'; known: top1, latency_ms"),
        ({"limits": ["macs<=many"]}, "'many' is not a number"),
        ({"limits": ["macs<=nan"]}, "finite number above 0"),
        ({"limits": ["macs<=-3"]}, "finite number above 0"),
        ({"limits": ["top1>=90"]}, "an accuracy is a share"),
        ({"limits": ["top1:zoo>=0.9"]}, "no further data set is named 'zoo'"),
        ({"limits": ["macs:x<=2"]}, "expected 'macs' alone"),
        ({"objectives": ["params:x"]}, "expected 'params' alone"),
        ({"objectives": ["top1:zoo"]}, "no further data set is named 'zoo' in field 'further_data'; known: none"),
        ({"objectives": ["latency_ms", "latency_ms:host"]}, "none twice"),
        ({"further_devices": {"host": 1}}, "the run's own device already"),
        ({"further_devices": {"pixel4": 0}}, "further_devices.pixel4"),
        ({"further_data": {"a/b": "x"}}, "further_data"),
        ({"further_data": {"all": "x"}}, "'all', which means every one of them"),
        (
            {"further_data": {"a": "x"}, "build": {"task": "b"}},
            "'build.task': no further data set is named 'b'; known: a",
        ),
        (
            {"accuracy": "predictor:ofa-imagenet", "further_data": {"a": "x"}},
            "predicted accuracies are of one data set",
        ),
    ],
)
def test_what_cannot_be_meant(fields: dict, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        validate(JobConfig, {"latency_ms": 5, **fields}, "job.yaml")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_unless_named_every_device_and_data_set_is_an_objective() -> None:
    config = RunConfig(latency_ms=5, further_devices={"pixel4": None, "rpi4": 9}, further_data={"pets": "pets.npz"})
    assert config.objectives == ("top1", "top1:pets", "latency_ms", "latency_ms:pixel4:tvm", "latency_ms:rpi4:tvm")
    assert config.budgets == {"latency_ms": 5, "latency_ms:pixel4:tvm": 5, "latency_ms:rpi4:tvm": 9}
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config
    assert config.first_difference(RunConfig(latency_ms=5)) == "further_devices"
    assert RunConfig(latency_ms=5, further_devices={"pixel4": 1}, objectives=["macs"]).objectives == ("macs",)


def test_places_are_those_that_figures_are_of() -> None:
    config = RunConfig(latency_ms=5, objectives=["top1", "energy_mj:rpi4"], limits="latency_ms::onnxruntime<=3")
    assert config.limits == ("latency_ms:host:onnxruntime<=3",)
    assert config.places == (HOME, Place("rpi4", "tvm"), Place("host", "onnxruntime"))


def test_some_device_and_every_limit_is_served() -> None:
    wanted = Requirements(
        {"latency_ms": 10, "latency_ms:b:tvm": 5}, (Limit("macs", True, 100), Limit("top1", False, 0.5))
    )
    figures = {"latency_upper_ms": 20, "latency_upper_ms_b_tvm": 5, "macs": 50, "top1": 0.5}
    assert wanted.over(Known(**figures)) <= 0 and wanted.serving(["latency_ms:b:tvm"], Known(**figures))
    assert not wanted.serving(["latency_ms"], Known(**figures))
    assert wanted.over(Known(**figures | {"latency_upper_ms_b_tvm": 6})) == pytest.approx(0.2)
    assert wanted.over(Known(**figures | {"macs": 150})) == pytest.approx(0.5)
    assert wanted.over(Known(**figures | {"top1": 0.4})) == pytest.approx(0.2)
    assert wanted.over(Known(**figures | {"top1": 0.4}), learned=False) <= 0
