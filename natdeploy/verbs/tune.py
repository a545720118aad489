"""``tune``: measure which tiles a device runs its kernels fastest with, for everything that is compiled for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.compiler.kernels.kind import Workload
    from natdeploy.devices import HardwareProfile, Runnable, Via
    from natdeploy.measure.tiles import Visit

#: Random subnets of a space, whose workloads are as good as all of it: what a block computes depends on its place, its
#: kernel and its expand ratio only.
SAMPLED = 48
#: More resolutions than this are not tuned all at once unless they are asked for: each takes minutes.
MOST_RESOLUTIONS = 4


@dataclass(frozen=True)
class TunedTile:
    """A workload for which the rule's tile was given up.

    Attributes:
        workload: what is computed.
        rule, chosen: the tiles.
        rule_ms, chosen_ms: what they take.
        ratio: of the two in the same rounds; the median of the sessions.
    """

    workload: dict[str, Any]
    rule: dict[str, int]
    chosen: dict[str, int]
    rule_ms: float
    chosen_ms: float
    ratio: float


@dataclass(frozen=True)
class TuneResult(Result):
    """What the record holds of the workloads that were asked for.

    Attributes:
        device: the hardware profile.
        device_fingerprint: which machine.
        asked: the space, or the ONNX file.
        resolutions: of the space; none for an ONNX file.
        workloads: kernels with tiles to choose among.
        measured: how many of them were measured now; the others were known.
        changed: those for which another tile than the rule's was chosen, the largest gain first.
        identity: of the whole record of this device and toolchain; ``rules`` where it changes nothing.
        was: its identity before; compiled code, timings and predictors of that are of other code.
        folder: where the record lies.
    """

    device: str
    device_fingerprint: str
    asked: str
    resolutions: tuple[int, ...]
    workloads: int
    measured: int
    changed: tuple[TunedTile, ...]
    identity: str
    was: str
    folder: Path


def tune(
    model: str | Path | None = None,
    *,
    device: str = "host",
    space: str | None = None,
    resolutions: Sequence[int] = (),
    seed: int = 0,
    via: Via | None = None,
    units: Sequence[str] = (),
    progress: Progress | None = None,
    test_only_clock: Callable[[Runnable, int], list[float]] | None = None,
    test_only_visit: Visit | None = None,
) -> TuneResult:
    """Measure tiles of the kernels of a space or of an ONNX model; each workload is stored at once.

    What is known already is not measured again. ``compile``, ``build`` and ``profile`` take the record's tiles from
    then on; timings and predictors of other tiles are not mixed with theirs.

    Args:
        model: an ONNX file; excludes ``space``.
        device: name of a hardware profile, or a path to one.
        space: search space; ``mbv3-micro`` where no model is given either.
        resolutions: of the space, in pixels; all of them if there are at most :data:`MOST_RESOLUTIONS`, else the
            middle one.
        seed: of the subnets that stand for the space.
        via: way to a device that is not this machine; the profile's preferred one by default.
        units: which ones of several, by serial (adb) or host (ssh); they share the work.
        progress: told what is going on.
        test_only_clock: for tests on emulators, see :class:`natdeploy.devices.units.Access`.
        test_only_visit: in place of this machine's clock, see :func:`natdeploy.measure.tiles.tune`.

    Raises BadInput for an unknown device, space or resolution, for an ONNX file that cannot be read, and for a damaged
    record; DeviceNotReachable for a device that is not there or was lost (TimingNotPossible for an emulator); what was
    measured until then is stored.
    """
    from natdeploy.compiler import KernelCache, tuning_of
    from natdeploy.compiler.kernels.objects import isa_for
    from natdeploy.compiler.target import check_target
    from natdeploy.compiler.trial import candidates
    from natdeploy.devices import hardware_fingerprint, llvm_target, load_profile
    from natdeploy.devices.units import Access
    from natdeploy.ground.errors import BadInput
    from natdeploy.measure import tiles

    if model is not None and (space is not None or resolutions):
        raise BadInput("an ONNX model and a space (or its resolutions) exclude each other; give one of them")
    profile = load_profile(device)
    access = Access(via, tuple(units), test_only_clock=test_only_clock)
    access.check(profile)
    sizes: tuple[int, ...] = ()
    if model is not None:
        asked, workloads = str(model), _of_model(Path(model), profile)
    else:
        asked = space or "mbv3-micro"
        sizes = _sizes(asked, resolutions)
        workloads = _of_space(asked, sizes, seed)
    isa = isa_for(check_target(llvm_target(profile)), KernelCache())
    workloads = [one for one in workloads if len(candidates(one, isa)) > 1]
    was = tuning_of(profile).identity
    measured = list(tiles.tune(workloads, profile, progress=progress, access=access, visit=test_only_visit))
    record = tuning_of(profile)
    found = [tuned for one in workloads if (tuned := record.find(one, isa)) is not None and tuned.changed]
    changed = []
    for one in sorted(found, key=lambda tuned: tuned.gain):
        chosen = next(trial for trial in one.trials if trial.schedule == one.chosen)
        changed.append(TunedTile(one.workload, one.rule, one.chosen, one.trials[0].ms, chosen.ms, one.gain))
    return TuneResult(
        device=profile.name,
        device_fingerprint=hardware_fingerprint(profile),
        asked=asked,
        resolutions=sizes,
        workloads=len(workloads),
        measured=len(measured),
        changed=tuple(changed),
        identity=record.identity,
        was=was,
        folder=record.folder,
    )


def _of_model(path: Path, profile: HardwareProfile) -> list[Workload]:
    from natdeploy.compiler import load_onnx
    from natdeploy.compiler.onnx_plan import onnx_workloads
    from natdeploy.compiler.trial import distinct
    from natdeploy.devices import llvm_target

    return distinct(onnx_workloads(load_onnx(path), target=llvm_target(profile)))


def _sizes(name: str, asked: Sequence[int]) -> tuple[int, ...]:
    from natdeploy.ground.errors import BadInput
    from natdeploy.spaces import get_space

    known = tuple(get_space(name).resolutions)
    if unknown := [size for size in asked if size not in known]:
        raise BadInput(f"space {name}: no resolution {unknown[0]}; it has {', '.join(map(str, known))}")
    if asked:
        return tuple(sorted(set(asked)))
    return known if len(known) <= MOST_RESOLUTIONS else (known[len(known) // 2],)


def _of_space(name: str, sizes: Sequence[int], seed: int) -> list[Workload]:
    import numpy as np

    from natdeploy.compiler.trial import network_workloads
    from natdeploy.measure import reference_arch
    from natdeploy.spaces import get_space

    space, rng = get_space(name), np.random.default_rng(seed)
    archs: list[Any] = [space.smallest(), space.largest(), reference_arch(space)]
    archs += [space.sample(rng) for _ in range(SAMPLED)]
    return network_workloads(space.layers(replace(arch, r=size)) for arch in archs for size in sizes)
