import pytest

from natdeploy.ground.errors import BadInput
from natdeploy.search.evaluation import Failure, evaluate_all
from natdeploy.spaces import Arch
from tests.search.make import estimator, sample
from tests.search.synthetic import Accuracy

ARCHS = sample(4)


class Fake:
    """Answers from a list per architecture, the last one again and again; exceptions are raised."""

    num_classes, data_fingerprint = 10, "fake"

    def __init__(self, answers: dict[Arch, list]) -> None:
        self.answers, self.calls = answers, []

    def evaluate(self, arch: Arch) -> Accuracy:
        self.calls.append(arch)
        answers = self.answers.get(arch, [Accuracy(0.5, 1.0)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def run(fake: Fake, archs: list[Arch] = ARCHS):
    return evaluate_all(fake, estimator()(archs), generation=2, stage="x")


def test_a_failure_is_tried_once_more() -> None:
    fake = Fake({ARCHS[1]: [RuntimeError("lost"), Accuracy(0.75, 0.9)]})
    entries, failures = run(fake)
    assert [entry.top1 for entry in entries] == [0.5, 0.75, 0.5, 0.5] and not failures
    assert fake.calls.count(ARCHS[1]) == 2 and entries[0].generation == 2


@pytest.mark.parametrize(
    "answer", [RuntimeError("no\nmemory"), Accuracy(float("nan"), 1.0), Accuracy(0.5, float("inf"))]
)
def test_what_fails_twice_is_recorded_and_never_an_accuracy(answer) -> None:
    """A published code entered failed evaluations as accuracy 0."""
    fake = Fake({ARCHS[1]: [answer]})
    entries, failures = run(fake)
    assert [entry.arch for entry in entries] == [ARCHS[0], *ARCHS[2:]] and fake.calls.count(ARCHS[1]) == 2
    assert [failure.arch for failure in failures] == [ARCHS[1]] and "\n" not in failures[0].reason
    assert Failure.from_json(failures[0].to_json()) == failures[0]


def test_when_everything_fails_the_error_comes_out() -> None:
    with pytest.raises(RuntimeError, match="broken"):
        run(Fake({arch: [RuntimeError("broken")] for arch in ARCHS}))
    entries, failures = run(Fake({ARCHS[0]: [RuntimeError("broken")]}), ARCHS[:1])
    assert not entries and len(failures) == 1


def test_a_users_error_comes_out_at_once() -> None:
    fake = Fake({ARCHS[0]: [BadInput("disk full")]})
    with pytest.raises(BadInput, match="disk full"):
        run(fake)
    assert len(fake.calls) == 1
