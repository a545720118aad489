import dataclasses

import pytest

from natdeploy.runs.certainty import indistinguishable, standard_error, tied_for_best, top1_error
from tests.search.make import made_up


def test_standard_error() -> None:
    assert standard_error(0.5, 96) == pytest.approx(0.05)
    assert standard_error(0.0, 300) == pytest.approx(standard_error(1.0, 300))
    assert 0 < standard_error(1.0, 300) < standard_error(1.0, 100) < 0.02


def test_a_predicted_accuracy_has_its_predictors_error() -> None:
    (measured,) = made_up([(0.8, 1.0)])
    assert top1_error(measured) == standard_error(0.8, 500)
    assert top1_error(dataclasses.replace(measured, accuracy_source="predicted", top1_error=0.003)) == 0.003


def test_who_is_tied_with_the_best_depends_on_the_images() -> None:
    entries = made_up([(0.70, 1.0), (0.79, 2.0), (0.80, 3.0), (0.60, 4.0)])
    assert [entry.top1 for entry in tied_for_best(entries)] == [0.79, 0.80]
    few = [dataclasses.replace(entry, val_images=20) for entry in entries]
    assert [entry.top1 for entry in tied_for_best(few)] == [0.70, 0.79, 0.80]
    assert indistinguishable(few[0], few[2]) and not indistinguishable(entries[0], entries[2])
