from collections.abc import Sequence

import numpy as np

from natdeploy.search import Estimator
from natdeploy.spaces import Arch
from tests.search.make import sample
from tests.search.synthetic import SPACE, Latency, Prediction


class ByClasses(Latency):
    """A tenth of a millisecond a class."""

    def predict(self, archs: Sequence[Arch], *, num_classes: int | None = None) -> Prediction:
        assert num_classes is not None
        mean = np.full(len(archs), num_classes / 10)
        return Prediction(mean, mean, mean)


def test_a_latency_is_that_of_a_network_with_the_tasks_own_classes() -> None:
    few, many = (Estimator(SPACE, ByClasses(), 5.0, classes)(sample(3)) for classes in (10, 100))
    assert {item.latency_ms for item in few} == {1.0} and all(item.feasible for item in few)
    assert {item.latency_ms for item in many} == {10.0} and not any(item.feasible for item in many)
