"""Profile a device: choose networks, time them, train a latency model, judge it on networks it never saw."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from natdeploy.devices import HardwareProfile, device_fingerprint
from natdeploy.devices.units import Access
from natdeploy.ground.errors import BadInput
from natdeploy.latency.kernels.predictor import KernelSums
from natdeploy.latency.library import kernel_model_path
from natdeploy.latency.measured.comparable import TRAINING_ROLES
from natdeploy.latency.measured.device_fit import fit_device_model
from natdeploy.latency.measured.fit import MIN_NETWORKS, fit_and_leave_out
from natdeploy.latency.model import LatencyModel
from natdeploy.latency.profiling.adaptive import next_networks
from natdeploy.latency.profiling.choose import random_networks
from natdeploy.latency.profiling.goal import CHUNK, FIRST, FIRST_TRANSFERRED, Goal, Share, dealt, next_step
from natdeploy.latency.profiling.kernel_profile import KernelJob, fit_kernel_model
from natdeploy.latency.profiling.plan import Part, ProfilePlan, plan_profile
from natdeploy.latency.transferred.other_devices import Place, other_knowledge
from natdeploy.latency.transferred.predictor import MIN_MEASURED, SourceKnowledge
from natdeploy.measure import (
    Measurement,
    MeasurementStore,
    TimingProtocol,
    protocol_for,
    runtime_toolchain,
    time_archs,
)
from natdeploy.spaces import Arch, Space, get_space

Progress = Callable[[str, float], None]
#: What is timed: whole networks, kernels and a few networks, or both; and how many networks beside kernels, at least.
LEVELS, WHOLE = ("network", "kernel", "both"), 24


def profile_device(
    profile: HardwareProfile,
    space: Space | str,
    *,
    runtimes: Sequence[str] = (),
    networks: int = 120,
    holdout: int = 40,
    coverage: float = 0.9,
    seed: int = 0,
    goal: Goal | None = None,
    level: str = "network",
    store: MeasurementStore | None = None,
    protocol: TimingProtocol | None = None,
    num_classes: int | None = None,
    progress: Progress | None = None,
    access: Access | None = None,
) -> dict[str, LatencyModel]:
    """Time networks on a device and train one latency model for each runtime.

    Every timing is stored as it is taken and none that is stored is taken again (one that cannot be trusted, once), so
    a profile that was stopped at any instant goes on where it was. Timings of earlier builds on the same device are
    trained on, too, and so is what is known of other devices, where that makes the model better; its ``source`` says
    so.

    Args:
        profile: the device.
        space: what to time networks of.
        runtimes: which of the device's runtimes; empty means all.
        networks, holdout: how many networks to train on, and how many others to judge by. Fewer than 30 to train on
            suffice where other devices are known (:func:`natdeploy.latency.transferred.other_devices.known_devices`).
        coverage: share of the models' intervals that shall hold.
        seed: of the choice of networks and of training.
        goal: begin with few networks and add those that the model is least sure of, until it is reached or
            ``networks`` are timed; without it all ``networks`` are.
        level: a name of :data:`LEVELS`: ``kernel`` times single kernels and pairs, and few whole networks to learn
            what these take beside the sum; ``both`` takes the model that is nearer to networks left out.
        store: where timings are kept; the user's own store if not given.
        protocol: how to time; the default for the device if not given.
        num_classes: classes of the timed networks; the space's own if not given.
        progress: called with the stage and the fraction done.
        access: how to get at a device that is not this machine, and how many units of it to use.

    Returns the models by runtime; each is also written where :func:`natdeploy.latency.find_latency_model` finds it.
    Raises BadInput for a runtime the device lacks or too few networks, before anything is timed; DeviceNotReachable,
    TimingNotPossible.
    """
    space = get_space(space) if isinstance(space, str) else space
    store = MeasurementStore() if store is None else store
    protocol = protocol_for(profile) if protocol is None else protocol
    goal = Goal() if goal is None else goal
    if level not in LEVELS:
        raise BadInput(f"profiling: level is {level!r}, expected one of {', '.join(LEVELS)}")
    if level == "kernel":
        networks = min(networks, WHOLE)
    if level != "network" and networks < WHOLE:
        raise BadInput(f"profiling: networks is {networks}, at least {WHOLE} whole ones are needed beside kernels")
    plan = plan_with_others(
        profile,
        space,
        store,
        runtimes=runtimes,
        networks=networks,
        holdout=holdout,
        coverage=coverage,
        seed=seed,
        transferable=level == "kernel",
    )
    models: dict[str, LatencyModel] = {}
    for number, (runtime, path) in enumerate(plan.paths.items()):
        job = _Job(profile, space, runtime, coverage, seed, store, protocol, num_classes, access or Access())
        tell = None if progress is None else Share(progress, number / len(plan.paths), 1 / len(plan.paths))
        if level != "network":
            models[runtime], kernels = job.by_kernels(plan, goal, tell, alone=level == "kernel")
            kernels.save(kernel_model_path(path))
        elif goal.adaptive:
            models[runtime] = job.adaptive(plan, networks, goal, tell)
        else:
            models[runtime] = job.whole(plan, tell)
        models[runtime].save(path)
    if progress is not None:
        progress("profiled", 1.0)
    return models


def plan_with_others(
    profile: HardwareProfile,
    space: Space,
    store: MeasurementStore | None,
    *,
    runtimes: Sequence[str],
    networks: int,
    holdout: int,
    coverage: float,
    seed: int,
    transferable: bool = False,
) -> ProfilePlan:
    """The plan of :func:`profile_device`; few networks are chosen by what is known of other devices.

    ``transferable``: few networks suffice anyway.
    """
    asked = tuple(runtimes or profile.runtimes)
    others = None
    if not transferable and networks < MIN_NETWORKS and all(runtime in profile.runtimes for runtime in asked):
        transferable = all(device_knowledge(profile, space, runtime, store) is not None for runtime in asked)
        others = device_knowledge(profile, space, asked[0], store, elsewhere=True)
    return plan_profile(
        *(profile, space),
        runtimes=asked,
        networks=networks,
        holdout=holdout,
        coverage=coverage,
        seed=seed,
        others=others,
        transferable=transferable,
    )


def device_knowledge(
    profile: HardwareProfile, space: Space, runtime: str, store: MeasurementStore | None, *, elsewhere: bool = False
) -> SourceKnowledge | None:
    """What other devices tell of a device and runtime; ``elsewhere``: none of its own other runtimes among them."""
    place = Place(device_fingerprint(profile), runtime, runtime_toolchain(runtime, profile))
    return other_knowledge(space, store, place, elsewhere=elsewhere)


@dataclass(frozen=True)
class _Job:
    """Profiling of one runtime."""

    profile: HardwareProfile
    space: Space
    runtime: str
    coverage: float
    seed: int
    store: MeasurementStore
    protocol: TimingProtocol
    num_classes: int | None
    access: Access

    def whole(self, plan: ProfilePlan, tell: Progress | None) -> LatencyModel:
        """All of a plan."""
        measured: list[Measurement] = []
        done, total = 0, sum(len(part.archs) for part in plan.parts)
        for part in plan.parts:
            share = None if tell is None else Share(tell, done / total, len(part.archs) / total)
            measured += self.time(part, share)
            done += len(part.archs)
        return self.fit(measured, self._knowledge())

    def adaptive(self, plan: ProfilePlan, networks: int, goal: Goal, tell: Progress | None) -> LatencyModel:
        """As much as the goal takes, at most so many training networks."""
        ends = float("inf") if goal.minutes is None else time.monotonic() + 60 * goal.minutes
        knowledge = self._knowledge()
        known = knowledge()
        roles, again = plan.parts[0].roles, plan.parts[1]
        planned = [arch for arch in plan.parts[0].archs if roles[arch] == "train"]
        judged = [arch for arch in plan.parts[0].archs if roles[arch] == "holdout"]
        # What will be asked for: networks drawn from the space, none of which the model is judged by.
        pool = [arch for arch in random_networks(self.space, seed=self.seed) if arch not in judged]
        first = min(networks, FIRST if known is None else FIRST_TRANSFERRED)
        chosen = planned[:first] if known is None else next_networks(self.space, pool, {}, first, knowledge=known)
        step = dealt(chosen, judged)
        role = {**dict.fromkeys(judged, "holdout"), **dict.fromkeys(chosen, "train")}
        measured: list[Measurement] = []
        while True:
            for start in range(0, len(step), CHUNK):
                some = tuple(step[start : start + CHUNK])
                done = len(measured) / (networks + len(judged) + len(again.archs))
                measured += self.time(Part(some, role), None if tell is None else Share(tell, min(done, 1.0), 0.0))
                if time.monotonic() > ends:
                    break
            timed = {item.arch: item.latency_ms for item in measured if item.role == "train" and item.arch is not None}
            late = time.monotonic() > ends
            model = None if late and self._too_few(measured, known) else self.fit(measured, knowledge)
            if model is None:
                raise BadInput(
                    f"profiling: {len(timed)} networks were timed in {goal.minutes:g} minutes, too few for a model; "
                    "they are stored: start the same command again to go on"
                )
            reached = goal.within10 is not None and model.quality.within10 >= goal.within10
            if reached or late or len(timed) >= networks:
                break
            more = min(next_step(len(timed)), networks - len(timed))
            step = next_networks(self.space, pool, timed, more, knowledge=known, seed=len(timed))
            role = dict.fromkeys(step, "train")
            if not step:
                break
        if time.monotonic() <= ends and again.archs:
            measured += self.time(again, None if tell is None else Share(tell, 0.9, 0.1))
            model = self.fit(measured, knowledge)
        return model

    def by_kernels(
        self, plan: ProfilePlan, goal: Goal, tell: Progress | None, *, alone: bool
    ) -> tuple[LatencyModel, LatencyModel]:
        """Whole networks, then kernels; the model to go by (that of kernels if ``alone``), and that of kernels."""
        ends = float("inf") if goal.minutes is None else time.monotonic() + 60 * goal.minutes
        measured: list[Measurement] = []
        for part in plan.parts:
            measured += self.time(part, None if tell is None else Share(tell, 0.0, 0.5))
        job = KernelJob(
            *(self.profile, self.space, self.runtime, self.store, self.protocol, self.access),
            num_classes=self.num_classes,
            seed=self.seed,
        )

        def enough(sums: KernelSums) -> bool:
            model, _ = fit_kernel_model(sums, measured, self.space, coverage=self.coverage)
            return goal.within10 is not None and model.quality.within10 >= goal.within10

        sums = job.learn(ends=ends, enough=enough, tell=None if tell is None else Share(tell, 0.5, 0.5))
        kernels, errors = fit_kernel_model(sums, measured, self.space, coverage=self.coverage)
        if alone:
            return kernels, kernels
        networks, others = fit_and_leave_out(measured, self.space, coverage=self.coverage, seed=self.seed)
        return (kernels if np.abs(errors).mean() < np.abs(others).mean() else networks), kernels

    def time(self, part: Part, tell: Progress | None) -> list[Measurement]:
        """Time a part; what is stored already is read, and what cannot be trusted is timed once more."""

        def timed(archs: Sequence[Arch], occurrence: int) -> list[Measurement]:
            return time_archs(
                archs,
                space=self.space,
                profile=self.profile,
                runtime=self.runtime,
                protocol=self.protocol,
                store=self.store,
                role=part.roles,
                num_classes=self.num_classes,
                occurrence=occurrence,
                progress=tell,
                access=self.access,
            )

        found = timed(part.archs, 0)
        disturbed = [arch for arch, item in zip(part.archs, found) if not item.trusted]
        return found + timed(disturbed, 1) if disturbed else found

    def fit(self, measured: Sequence[Measurement], knowledge: Callable[[], SourceKnowledge | None]) -> LatencyModel:
        """A model from these timings and those of earlier builds."""
        place = {"device_fingerprint": device_fingerprint(self.profile), "runtime": self.runtime}
        built = self.store.query(**place, space=self.space.name, role="build")
        timings = [*measured, *(item for item in built if item.protocol["threads"] == self.protocol.threads)]
        return fit_device_model(timings, self.space, knowledge, coverage=self.coverage, seed=self.seed)

    def _knowledge(self) -> Callable[[], SourceKnowledge | None]:
        """What other devices tell, looked for once and only when asked."""
        return cache(lambda: device_knowledge(self.profile, self.space, self.runtime, self.store))

    @staticmethod
    def _too_few(measured: Sequence[Measurement], known: SourceKnowledge | None) -> bool:
        networks = {item.arch for item in measured if item.trusted and item.role in TRAINING_ROLES}
        return len(networks) < (MIN_NETWORKS if known is None else MIN_MEASURED)
