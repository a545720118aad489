import json
from collections.abc import Sequence

import numpy as np
import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.latency import LatencyModel, SourceKnowledge, fit_transferred_model
from natdeploy.latency.intervals.quality import point_quality
from natdeploy.latency.transferred.design import NOISE, OWN, informative
from natdeploy.latency.transferred.mixture import CONSTANT, PRIOR_FREEDOM, Mixture, components
from natdeploy.latency.transferred.predictor import KNOWLEDGE, TransferredPredictor, widening
from natdeploy.spaces import Arch, get_space
from tests.latency.devices import SPACE, cells, latency_ms, table
from tests.latency.timings import measurement

POOL, QUERY = cells()[:300], cells()[300:450]
NEW = 7
KNOWN = SourceKnowledge.of(SPACE, {f"device{number}": table(number, POOL) for number in range(5)})
CHOSEN = KNOWN.choose(12, seed=1)
TRUE_MS = np.array([latency_ms(arch, NEW) for arch in QUERY])


def measured(archs: list) -> dict:
    return {arch: latency_ms(arch, NEW) for arch in archs}


def rho(predictor: TransferredPredictor) -> float:
    return point_quality(TRUE_MS, predictor.predict(QUERY, 0.9).mean_ms).spearman


def test_a_dozen_measurements_rank_other_architectures() -> None:
    quality = point_quality(TRUE_MS, KNOWN.transfer(measured(CHOSEN)).predict(QUERY, 0.9).mean_ms)
    assert quality.spearman > 0.95
    assert quality.within10 > 0.8


def test_all_knowledge_is_not_behind_its_parts() -> None:
    found = {name: rho(KNOWN.transfer(measured(CHOSEN), knowledge=name)) for name in KNOWLEDGE}
    assert found["all"] > max(found.values()) - 0.01
    assert found["own"] < found["all"]


def test_more_measurements_do_better_and_many_calibrate_themselves() -> None:
    few = KNOWN.transfer(measured(CHOSEN))
    many = KNOWN.transfer(measured(list(POOL[:120])))
    assert few.judges == 5 and many.judges == 1
    errors = [np.abs(predictor.predict(QUERY, 0.9).mean_ms / TRUE_MS - 1).mean() for predictor in (few, many)]
    assert errors[1] < errors[0]


def covered(known: SourceKnowledge, archs: Sequence[Arch], devices: Sequence[int]) -> list[float]:
    """Share of latencies within their intervals of nominal 0.9, for each new device."""
    shares = []
    for device in devices:
        true_ms = np.array([latency_ms(arch, device) for arch in QUERY])
        predictor = known.transfer({arch: latency_ms(arch, device) for arch in archs})
        inner, outer = (predictor.predict(QUERY, coverage) for coverage in (0.5, 0.9))
        shares.append(float(np.mean((outer.lower_ms <= true_ms) & (true_ms <= outer.upper_ms))))
        assert (outer.lower_ms < inner.lower_ms).all() and (inner.upper_ms < outer.upper_ms).all()
        assert (outer.lower_ms > 0).all()
    return shares


def test_intervals_of_many_measurements_hold_and_widen_with_coverage() -> None:
    assert np.mean(covered(KNOWN, POOL[:120], range(5, 11))) >= 0.85


def test_intervals_of_few_measurements_hold_and_widen_with_coverage() -> None:
    """Over sets of sources: one set of five may be less like further devices than its devices are like each other."""
    sets = []
    for first in (0, 20, 40):
        sources = range(first, first + 5)
        known = KNOWN if not first else SourceKnowledge.of(SPACE, {str(one): table(one, POOL) for one in sources})
        sets.append(float(np.mean(covered(known, known.choose(12, seed=1), range(first + 5, first + 11)))))
    assert np.mean(sets) >= 0.85
    assert min(sets) >= 0.75


def test_fewer_judges_widen_more() -> None:
    factors = [widening(judges, 0.9) for judges in (2, 5, 20, 1000)]
    assert factors == sorted(factors, reverse=True)
    assert factors[0] > 1.5 and 1 < factors[-1] < 1.01
    assert widening(5, 0.99) > widening(5, 0.9) > widening(5, 0.5) > 1


def test_source_models_are_judged_on_architectures_they_did_not_see() -> None:
    """Intervals calibrated on the sources' own fits would be far too narrow for new architectures."""
    in_sample = KNOWN.devices(POOL).on_sources[:, :5]
    left_out = KNOWN._known(POOL).on_sources[:, :5]
    truth = (KNOWN.table.log_ms - KNOWN.table.log_ms.mean(0)) / KNOWN.table.log_ms.std(0)
    assert 1.2 * np.abs(in_sample - truth).mean() < np.abs(left_out - truth).mean() < 0.2


def test_chosen_architectures_leave_less_variance_than_random_ones() -> None:
    """Under the prior by which they are chosen, whatever a device then turns out to be."""
    inputs = KNOWN.devices(POOL)
    weights = np.zeros((1, inputs.on_sources.shape[1] + 7))
    weights[0, [0, 1, -4, -3, -2, -1]] = CONSTANT, 1, *OWN, NOISE

    def spread(rows: np.ndarray) -> float:
        measured = inputs.rows(rows)
        return float(Mixture(weights, np.ones(1), measured, np.zeros(len(rows)), 1.0).predict(inputs)[1].mean())

    rng = np.random.default_rng(0)
    random = [spread(rng.choice(len(POOL), 8, replace=False)) for _ in range(10)]
    assert spread(informative(inputs, 8)) < min(random)


def test_choices_are_distinct_and_longer_ones_continue_shorter_ones() -> None:
    assert len(set(CHOSEN)) == 12
    assert KNOWN.choose(5, seed=1) == CHOSEN[:5]
    assert set(KNOWN.choose(4, among=QUERY, seed=0)) <= set(QUERY)
    with pytest.raises(BadInput, match="cannot choose 4 of 3"):
        KNOWN.choose(4, among=QUERY[:3])


def test_sources_need_not_have_run_the_same_architectures() -> None:
    tables = {f"device{number}": table(number, POOL[20 * number : 200 + 20 * number]) for number in range(5)}
    assert rho(SourceKnowledge.of(SPACE, tables).transfer(measured(CHOSEN))) > 0.95


def test_equal_inputs_give_equal_predictions() -> None:
    first, second = (KNOWN.transfer(measured(list(POOL[:80])), seed=2).predict(QUERY, 0.9) for _ in range(2))
    assert np.array_equal(first.mean_ms, second.mean_ms) and np.array_equal(first.upper_ms, second.upper_ms)


def test_json_round_trip() -> None:
    predictor = KNOWN.transfer(measured(CHOSEN))
    again = TransferredPredictor.from_json(json.loads(json.dumps(predictor.to_json())), SPACE)
    for one, other in zip(*(vars(item.predict(QUERY, 0.9)).values() for item in (predictor, again))):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize("count", [10, 30])
def test_predictions_are_those_of_the_components(count: int) -> None:
    mixture = KNOWN.transfer(measured(list(POOL[:count]))).mixture
    inputs = KNOWN.devices(QUERY)
    cross, diagonal = components(inputs, mixture.measured), np.diagonal(components(inputs, inputs), axis1=1, axis2=2)
    means, variances = [], []
    for row in mixture.weights:
        gram = np.tensordot(row[:-1], components(mixture.measured, mixture.measured), 1) + row[-1] * np.eye(count)
        given = np.tensordot(row[:-1], cross, 1)
        scale = PRIOR_FREEDOM * mixture.variance + mixture.log_ms @ np.linalg.solve(gram, mixture.log_ms)
        means.append(given @ np.linalg.solve(gram, mixture.log_ms))
        left = row[:-1] @ diagonal - (given * np.linalg.solve(gram, given.T).T).sum(1)
        variances.append(scale / (PRIOR_FREEDOM + count) * (left + row[-1]))
    mean, deviation = mixture.predict(inputs)
    np.testing.assert_allclose(mean, mixture.share @ np.array(means), rtol=1e-6)
    second = mixture.share @ (np.array(variances) + np.array(means) ** 2)
    np.testing.assert_allclose(deviation, np.sqrt(second - (mixture.share @ np.array(means)) ** 2), rtol=1e-4)


@pytest.mark.parametrize("name", ["mbv3-micro", "nasbench201", "fbnet"])
def test_genomes_are_predicted_as_their_architectures_are(name: str) -> None:
    space, rng = get_space(name), np.random.default_rng(4)
    archs = tuple(dict.fromkeys(space.sample(rng) for _ in range(60)))

    def ms(arch: Arch, rate: float) -> float:
        return 1.0 + float(space.encode(arch) @ np.linspace(0.01, rate, len(space.gene_sizes)))

    known = SourceKnowledge.of(space, {str(rate): {arch: ms(arch, rate) for arch in archs[:40]} for rate in (0.1, 0.3)})
    predictor = known.transfer({arch: ms(arch, 0.2) for arch in archs[:8]})
    listed, genomes = (
        predictor.predict(asked, 0.9) for asked in (archs, np.stack([space.encode(arch) for arch in archs]))
    )
    for one, other in zip(vars(listed).values(), vars(genomes).values()):
        np.testing.assert_array_equal(one, other)
    factored = np.stack([space.factored(arch) for arch in archs])
    encoding = known.devices.sources.encoding
    standard = (factored - encoding.standard.centre[: factored.shape[1]]) * encoding.standard.scale[: factored.shape[1]]
    np.testing.assert_allclose(encoding(archs).structure, standard, atol=1e-12)


def test_works_where_a_space_lists_layers() -> None:
    space = get_space("mbv3-micro")
    rng = np.random.default_rng(3)
    archs = tuple(dict.fromkeys(space.sample(rng) for _ in range(150)))

    def ms(arch, rate: float) -> float:
        return 0.1 + sum(layer.macs / rate + layer.out_elements / 1e7 for layer in space.layers(arch))

    known = SourceKnowledge.of(space, {str(r): {arch: ms(arch, r) for arch in archs[:80]} for r in (2e7, 5e7, 2e8)})
    found = known.transfer({arch: ms(arch, 1e8) for arch in known.choose(8)}).predict(archs[80:], 0.9)
    assert point_quality(np.array([ms(arch, 1e8) for arch in archs[80:]]), found.mean_ms).spearman > 0.9


def stored(archs, role: str = "train", **changes) -> list:
    made = [measurement(arch, latency_ms(arch, NEW), role) for arch in archs]
    return [type(item)(**{**vars(item), **changes}) for item in made]


def test_a_model_is_saved_loaded_and_says_where_it_comes_from(tmp_path) -> None:
    model = fit_transferred_model([*stored(CHOSEN), *stored(QUERY, "holdout")], KNOWN)
    assert (model.source, model.quality.evaluated_on, model.quality.training_networks) == ("transferred", "holdout", 12)
    assert model.quality.spearman > 0.97
    model.save(tmp_path / "model.json")
    again = LatencyModel.load(tmp_path / "model.json")
    np.testing.assert_allclose(again.predict(QUERY).upper_ms, model.predict(QUERY).upper_ms, rtol=1e-9)
    with pytest.raises(BadInput, match="cannot tell what 3 classes take"):
        model.predict(QUERY, num_classes=3)
    with pytest.raises(BadInput, match="cannot predict an architecture of fbnet"):
        model.predict([get_space("fbnet").smallest()])


def test_without_holdout_networks_quality_is_of_left_out_ones() -> None:
    quality = fit_transferred_model(stored(CHOSEN), KNOWN).quality
    assert (quality.evaluated_on, quality.networks) == ("cross-validation", 12)
    assert quality.within10 > 0.5


def test_holdout_and_untrusted_networks_are_not_trained_on() -> None:
    plain = fit_transferred_model(stored(CHOSEN), KNOWN).predict(QUERY).mean_ms
    more = [*stored(CHOSEN), *stored(QUERY, "holdout"), *stored(QUERY[:20], "build"), *stored(POOL[:9], trusted=False)]
    assert np.array_equal(plain, fit_transferred_model(more, KNOWN).predict(QUERY).mean_ms)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"runtime": "tvm"}, "more than one runtime"), ({"device_fingerprint": "ff"}, "more than one device")],
)
def test_what_must_not_be_mixed(change: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        fit_transferred_model([*stored(CHOSEN), *stored(POOL[:1], **change)], KNOWN)


def test_bad_input() -> None:
    with pytest.raises(BadInput, match="2 measured networks, at least 3"):
        KNOWN.transfer(measured(CHOSEN[:2]))
    with pytest.raises(BadInput, match="positive numbers of ms"):
        KNOWN.transfer({**measured(CHOSEN), POOL[0]: float("nan")})
    with pytest.raises(BadInput, match="unknown knowledge 'none'"):
        KNOWN.transfer(measured(CHOSEN), knowledge="none")
    with pytest.raises(BadInput, match="space nasbench201"):
        KNOWN.transfer({get_space("fbnet").smallest(): 1.0, **measured(CHOSEN)})
    with pytest.raises(BadInput, match="at least 2 source devices, not 1"):
        SourceKnowledge.of(SPACE, {"one": table(0, POOL)})
    with pytest.raises(BadInput, match="source device 'b': 29 measurements"):
        SourceKnowledge.of(SPACE, {"a": table(0, POOL), "b": table(1, POOL[:29])})
    with pytest.raises(BadInput, match="source device 'b': latencies must be positive"):
        SourceKnowledge.of(SPACE, {"a": table(0, POOL), "b": dict.fromkeys(POOL, 0.0)})
