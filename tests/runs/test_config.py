import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.ground.validation import validate
from natdeploy.runs import JobConfig, RunConfig, SearchSettings, load_job


def config(**fields: object) -> RunConfig:
    return validate(RunConfig, {"latency_ms": 1.0, **fields}, "run.json")


def test_defaults_survive_json() -> None:
    first = config()
    assert validate(RunConfig, first.model_dump(mode="json"), "x") == first


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"latency_ms": 0}, "'latency_ms'"),
        ({"latency_ms": -1}, "'latency_ms'"),
        ({"latency_ms": "fast"}, "'latency_ms'"),
        ({"latency_ms": True}, "'latency_ms'"),
        ({"latency_ms": float("nan")}, "'latency_ms'"),
        ({"latency_ms": float("inf")}, "'latency_ms'"),
        ({"space": "resnet"}, "'space'.*mbv3-micro"),
        ({"objectives": []}, "'objectives'"),
        ({"objectives": ["top1", "top1"]}, "'objectives'"),
        ({"seed": -1}, "'seed'"),
        ({"colour": 1}, "unknown field 'colour'"),
        ({"search": {"iterations": -1}}, "'search.iterations'"),
        ({"search": {"itertaions": 3}}, "unknown field 'search.itertaions'"),
        ({"adapt": {"lr": 0}}, "'adapt.lr'"),
        ({"adapt": {"average_age": 0.6}}, "'adapt.average_age'"),
        ({"adapt": {"validate_on": "varied"}}, "'adapt.validate_on'"),
        ({"adapt": {"ema": 0.99, "average_age": 0.25}}, "one of ema and average_age"),
        ({"schema_version": 99}, "'schema_version'"),
    ],
)
def test_a_wrong_field_is_named_in_one_line(fields: dict, message: str) -> None:
    with pytest.raises(BadInput, match=f"^run.json: .*{message}") as caught:
        config(**fields)
    assert "\n" not in str(caught.value)


def test_first_difference_ignores_when_and_where() -> None:
    first = config()
    assert first.first_difference(config(created="yesterday", threads=first.threads + 1)) is None
    assert first.first_difference(config(seed=1)) == "seed"
    assert first.first_difference(config(search={"iterations": 9})) == "search.iterations"


def test_full_size_is_the_papers() -> None:
    full = SearchSettings.full()
    assert (full.initial, full.iterations, full.archive, full.surrogate_evaluations) == (100, 30, 300, 10_000)


def test_job_file_with_flags_over_it(tmp_path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("data: digits\nlatency_percentile: 40\nsearch: {iterations: 3, initial: 10}\n")
    job = load_job(file, {"latency_ms": "1e-3", "search.iterations": 7, "device": None})
    assert (job.latency_ms, job.latency_percentile) == (0.001, None)
    assert (job.search.iterations, job.search.initial) == (7, 10)
    run = job.run_config()
    assert (run.latency_ms, run.search, run.device) == (0.001, job.search, "host")


def test_a_percentile_needs_its_value(tmp_path) -> None:
    job = load_job(None, {"latency_percentile": 40})
    assert job.run_config(0.5).latency_ms == 0.5
    with pytest.raises(BadInput, match="percentile"):
        job.run_config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latency_ms: 2\nspeed: 3\n", "unknown field 'speed'"),
        ("latency_ms: fast\n", "'latency_ms'"),
        ("data: digits\n", "exactly one"),
        ("latency_ms: 1\nlatency_percentile: 40\n", "exactly one"),
        ("latency_ms: [1\n", "line"),
        ("- 1\n", "expected fields"),
        ('latency_ms: 1\nout: "a\\0b"\n', "'out': expected a name without NUL"),
        ('latency_ms: 1\ndata: "a\\0b"\n', "'data': expected a name without NUL"),
        ("search: 3\nlatency_ms: 1\n", "'search'"),
        ("!!python/object/apply:os.system ['true']\n", "not a readable job file"),
    ],
)
def test_a_wrong_job_file_is_named(tmp_path, text: str, message: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=message) as caught:
        load_job(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_a_flag_into_a_field_that_holds_no_fields(tmp_path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("latency_ms: 1\nsearch: 3\n")
    with pytest.raises(BadInput, match="'search'"):
        load_job(file, {"search.iterations": 1})
    with pytest.raises(BadInput, match="no such job file"):
        load_job(tmp_path / "none.yaml")


def test_predicted_accuracies_take_nothing_from_the_box() -> None:
    job = validate(JobConfig, {"latency_ms": 1, "space": "ofa-mbv3-w1.0", "accuracy": "predictor:p"}, "job")
    assert (job.predictor, job.data, job.supernet) == ("p", "none", "none")
    given = validate(JobConfig, {"latency_ms": 1, "accuracy": "predictor:p", "data": "digits"}, "job")
    assert (given.data, given.supernet) == ("digits", "none")
    measured = validate(JobConfig, {"latency_ms": 1}, "job")
    assert (measured.predictor, measured.data, measured.supernet) == (None, "digits", "box")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"accuracy": "guessed"}, "'accuracy'"),
        ({"accuracy": "predictor:"}, "'accuracy'"),
        ({"resolutions": [33]}, "no resolution 33, expected some of"),
        ({"resolutions": "all"}, "'resolutions'"),
    ],
)
def test_wrong_resolutions_and_accuracies_are_named(fields: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        validate(JobConfig, {"latency_ms": 1, **fields}, "job")


def test_one_resolution_stands_for_a_list() -> None:
    assert validate(JobConfig, {"latency_ms": 1, "resolutions": 28}, "job").resolutions == (28,)
