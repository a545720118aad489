"""Neural Architecture Transfer under a latency budget: the search as a user sees it."""

from __future__ import annotations

import shutil
from pathlib import Path

from natdeploy.ground.errors import BadInput, BudgetNotMet
from natdeploy.ground.files import atomic_folder, write_json
from natdeploy.runs import RunConfig, RunFolder
from natdeploy.runs.folder import ACCURACY_PREDICTOR, SUMMARY, SUPERNET, TASKS, refuse_foreign
from natdeploy.runs.quantities import in_words
from natdeploy.search.accuracy import AccuracyPredictor, get_accuracy_predictor
from natdeploy.search.algorithms import algorithm_name
from natdeploy.search.evaluator import Evaluator, Progress, Surroundings
from natdeploy.search.hypervolume import hypervolume
from natdeploy.search.initial import check_budget
from natdeploy.search.local import LocalSurroundings
from natdeploy.search.objectives import get_objective
from natdeploy.search.places import Places
from natdeploy.search.sharing import sharing
from natdeploy.search.state import State, load_state, save_state, write_lists
from natdeploy.search.steps import NatSteps
from natdeploy.search.surrogates import SURROGATES
from natdeploy.search.tasks import SeveralTasks


def search(
    config: RunConfig,
    out: str | Path,
    *,
    progress: Progress | None = None,
    surroundings: Surroundings | None = None,
) -> RunFolder:
    """Run NAT (Lu et al. 2021) in the folder ``out``, or continue it there from its last completed step.

    Predicted accuracies take the place of weights where the configuration names a predictor; the search is then held to
    the resolutions that it knows.

    Equal configurations give equal archives, however often the process was killed in between. A finished run is
    returned as it is.

    Args:
        config: what to search.
        out: the run's folder; made when everything that can be checked beforehand is in order.
        progress: told the stage and the fraction done, 0 to 1.
        surroundings: where weights, data and latency model come from; this machine's if not given.

    Raises:
        BadInput: an unknown name, a folder that holds something else, damaged or other images than at the start.
        BudgetNotMet: not even the fastest architecture meets the budget, or none keeps the limits: nothing is written
            then. Or none of those evaluated is accurate enough for a limit: the run is there then.
    """
    out = Path(out)
    here = LocalSurroundings(progress=progress) if surroundings is None else surroundings
    check_names(config)
    config = _at_known_resolutions(config)
    refuse_foreign(out)
    evaluator: Evaluator | None = None
    if RunFolder.exists(out):
        run = RunFolder(out)
        run.check_same(config)
    else:
        places = Places.find(config, here)
        evaluator = _open(here, config, None)
        check_budget(places.estimator(evaluator.num_classes), f"{config.device} with {config.runtime}")
        run = RunFolder.create(out, config, places.latency.save, places.save if places.more_than_one else None)
    with run.lock():
        if not run.is_finished:
            _continue(run, here, evaluator, progress)
    _check_front(run)
    return run


def _check_front(run: RunFolder) -> None:
    """Raise BudgetNotMet where no architecture that was evaluated keeps all limits: accuracies are known only now."""
    if run.front():
        return
    limits = run.config().requested
    best = min(run.archive(), key=run.config().requirements.over)
    broken = max(limits, key=lambda limit: limit.excess(best.value(limit.bounded)))
    raise BudgetNotMet(
        f"{run.path}: none of {run.summary()['evaluations']} evaluated architectures keeps "
        f"{', '.join(map(str, limits))} within the budget; the nearest one ({best.id}) has {broken.name} "
        f"{in_words(best.value(broken.bounded))}"
    )


def _open(here: Surroundings, config: RunConfig, state: Path | None) -> Evaluator:
    """The evaluator of all data sets."""
    first = here.open_evaluator(config, state)
    if not config.further_data:
        return first
    others = {
        name: here.open_evaluator(
            config.model_copy(update={"data": source}), None if state is None else state / TASKS / name
        )
        for name, source in config.further_data.items()
    }
    return SeveralTasks(first, others)


def check_names(config: RunConfig) -> None:
    """Raise BadInput for an objective, surrogate, algorithm or predictor that is not known or does not fit."""
    for name in config.objectives:
        get_objective(name)
    if config.predictor is not None:
        _check_predictor(config, get_accuracy_predictor(config.predictor))
    SURROGATES.get(config.search.surrogate)
    algorithm_name(config.search.algorithm, len(config.objectives))


def _check_predictor(config: RunConfig, predictor: AccuracyPredictor) -> None:
    if predictor.space != config.space:
        raise BadInput(
            f"field 'accuracy': {config.accuracy} is of space {predictor.space}, not {config.space}; "
            f"give space {predictor.space}, or accuracy measured with weights of {config.space}"
        )
    if not set(config.resolutions) <= set(predictor.resolutions):
        known = ", ".join(map(str, predictor.resolutions))
        given = ", ".join(map(str, config.resolutions))
        raise BadInput(
            f"field 'resolutions' is {given}, but {config.accuracy} knows networks at {known} pixels only; "
            f"leave the field out, or give {known}"
        )


def _at_known_resolutions(config: RunConfig) -> RunConfig:
    """Where nothing is said of resolutions, predicted accuracies hold a search to those that the predictor knows."""
    if config.predictor is None or config.resolutions:
        return config
    return config.model_copy(update={"resolutions": get_accuracy_predictor(config.predictor).resolutions})


def _continue(run: RunFolder, here: Surroundings, evaluator: Evaluator | None, progress: Progress | None) -> None:
    """Take the steps that are left, and write the result."""
    config = run.config()
    places = Places.load(run, here)
    if run.state_path.is_dir():
        state = load_state(run)
        evaluator = _open(here, config, run.state_path)
        if state.data_fingerprint != evaluator.data_fingerprint:
            raise BadInput(f"{run.path}: the images of {config.data!r} are not those the run was started with")
    else:
        evaluator = _open(here, config, None) if evaluator is None else evaluator
        state = State(data_fingerprint=evaluator.data_fingerprint)
    nat = NatSteps(config, places.estimator(evaluator.num_classes), evaluator)
    plan = nat.plan()
    total = sum(step.cost for step in plan)
    done = sum(step.cost for step in plan[: state.steps_done])
    for step in plan[state.steps_done :]:
        state = nat.run(step, state, _part(progress, done / total, step.cost / total))
        save_state(run, state, evaluator, nat.objectives)
        done += step.cost
    _write_result(run, state, nat, places)
    if progress:
        progress("search finished", 1.0)


def _part(progress: Progress | None, start: float, share: float) -> Progress | None:
    """Progress of one step as progress of the whole."""
    if progress is None:
        return None
    return lambda stage, fraction: progress(stage, round(start + share * min(1.0, max(0.0, fraction)), 4))


def _write_result(run: RunFolder, state: State, nat: NatSteps, places: Places) -> None:
    config = nat.config
    seconds: dict[str, float] = dict(state.seconds)
    for step in state.history:
        for stage, value in step.seconds.items():
            seconds[stage] = round(seconds.get(stage, 0.0) + value, 3)
    random = hypervolume(state.random, nat.objectives) if config.search.random_baseline else None
    with atomic_folder(run.result_path) as folder:
        kept = SUPERNET if config.predictor is None else ACCURACY_PREDICTOR
        shutil.copyfile(run.state_path / kept, folder / kept)
        for name in config.further_data:
            (folder / TASKS / name).mkdir(parents=True)
            shutil.copyfile(run.state_path / TASKS / name / SUPERNET, folder / TASKS / name / SUPERNET)
        write_lists(folder, state, nat.objectives)
        write_json(
            folder / SUMMARY,
            {
                "objectives": list(config.objectives),
                "reference_point": dict(zip(config.objectives, nat.objectives.worst.tolist())),
                "hypervolume_first": state.history[0].hypervolume,
                "hypervolume_last": state.history[-1].hypervolume,
                "hypervolume_random": random,
                "random_drawn": state.random_drawn,
                "random_feasible": len(state.random),
                "evaluations": state.evaluations,
                "failed": [failure.to_json() for failure in state.failed],
                "generation": state.generation,
                "accuracy": config.accuracy,
                "accuracy_predictor": None if nat.predictor is None else nat.predictor.about(),
                "surrogate": config.search.surrogate if config.predictor is None else config.accuracy,
                "algorithm": algorithm_name(config.search.algorithm, len(config.objectives)),
                "num_classes": nat.estimator.num_classes,
                "data_fingerprint": state.data_fingerprint,
                **_each_fingerprint(nat.evaluator),
                "energy": {
                    key: {"model": "not measured: watts times the predicted latency", **about}
                    for key, about in places.about_energy().items()
                },
                "sharing": sharing(state.archive, config),
                "seconds": seconds,
            },
        )


def _each_fingerprint(evaluator: Evaluator) -> dict[str, dict[str, str]]:
    """Of several data sets: a build reads the one that it is for, and has to know it by itself."""
    return {"data_fingerprints": evaluator.data_fingerprints} if isinstance(evaluator, SeveralTasks) else {}
