import pytest

from natdeploy.ground.errors import BadInput, OutOfMemory
from natdeploy.search.evaluation import Failure, evaluate_all
from natdeploy.search.tasks import SeveralTasks
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


def test_too_little_memory_is_a_failure_of_the_architecture() -> None:
    entries, failures = run(Fake({ARCHS[1]: [OutOfMemory("out of memory with batches of 2 images")]}))
    assert len(entries) == 3 and [failure.arch for failure in failures] == [ARCHS[1]]
    assert failures[0].reason == "OutOfMemory: out of memory with batches of 2 images"
    with pytest.raises(OutOfMemory):
        run(Fake({arch: [OutOfMemory("none")] for arch in ARCHS}))


def test_what_an_evaluator_has_to_say_is_passed_on() -> None:
    class Talkative(Fake):
        def tell(self, say) -> None:
            self.say = say

        def evaluate(self, arch: Arch) -> Accuracy:
            self.say(f"memory is short for {arch.id}")
            return super().evaluate(arch)

    told: list[tuple[str, float]] = []
    both = SeveralTasks(Talkative({}), {"pets": Talkative({})})
    evaluate_all(both, estimator()(ARCHS[:2]), generation=0, stage="x", progress=lambda *said: told.append(said))
    first, second = (f"memory is short for {arch.id}" for arch in ARCHS[:2])
    assert told[:3] == [(f"x: {first}", 0.0), (f"x: pets: {first}", 0.0), ("x: 1 of 2", 0.5)]
    assert told[3:5] == [(f"x: {second}", 0.5), (f"x: pets: {second}", 0.5)]


def test_a_users_error_comes_out_at_once() -> None:
    fake = Fake({ARCHS[0]: [BadInput("disk full")]})
    with pytest.raises(BadInput, match="disk full"):
        run(fake)
    assert len(fake.calls) == 1
