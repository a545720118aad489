"""The measured predictor: a base of rates where times are sums, trees alone where they are not."""

import json

import numpy as np
import pytest

from natdeploy.latency.inputs.features import feature_names
from natdeploy.latency.measured.xgboost_model import MANY, XGBoostPredictor, fit_xgboost

COLUMNS = 3


def networks(count: int) -> np.ndarray:
    """Features of which three say something."""
    found = np.zeros((count, len(feature_names())))
    found[:, :COLUMNS] = np.random.default_rng(0).uniform(1, 10, (count, COLUMNS))
    return found


def test_times_that_are_sums_keep_their_base() -> None:
    features = networks(MANY + 100)
    true_ms = features[:, :COLUMNS] @ np.array([1.0, 2.0, 0.5])
    found = fit_xgboost(features[:MANY], true_ms[:MANY])
    assert found.predictor.rates_ms[:COLUMNS] == pytest.approx([1.0, 2.0, 0.5], rel=0.1)
    assert np.mean(np.abs(found.predictor.predict_ms(features[MANY:]) / true_ms[MANY:] - 1)) < 0.01


@pytest.mark.parametrize("count", [MANY, MANY - 1])
def test_times_that_are_no_sums_do_without_it_where_there_are_many(count: int) -> None:
    features = networks(count + 100)
    true_ms = np.where(features[:, 0] > 5, 4.0, 9.0) * np.where(features[:, 1] > 5, 1.0, 1.5)
    found = fit_xgboost(features[:count], true_ms[:count])
    assert found.predictor.rates_ms.any() == (count < MANY)
    if count >= MANY:
        assert np.mean(np.abs(found.predictor.predict_ms(features[count:]) / true_ms[count:] - 1)) < 0.05
        assert np.mean(np.abs(found.left_out_ms / true_ms[:count] - 1)) < 0.05
    again = XGBoostPredictor.from_json(json.loads(json.dumps(found.predictor.to_json())))
    np.testing.assert_array_equal(again.predict_ms(features), found.predictor.predict_ms(features))
