"""``ci gate``: the bundles that were built, against the baselines that were committed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from natdeploy.verbs.result import Progress, Result

if TYPE_CHECKING:
    from natdeploy.deploy.baseline import Baseline, ModelFigures
    from natdeploy.deploy.gate import Compared
    from natdeploy.devices import HardwareProfile
    from natdeploy.measure import Measurement
    from natdeploy.runs.pipeline import GateSettings, PipelineEntry

#: How often ``--remeasure`` times what would close the gate, at most. A neighbour of minutes makes all visits of one
#: session longer, and its interval does not tell; a model that has become slower is slower each time.
MOST_SESSIONS = 3


@dataclass(frozen=True)
class GateResult(Result):
    """What was compared.

    Attributes:
        compared: one line for each figure of each model.
        passed: whether nothing is worse than its tolerance allows, and nothing is missing.
        updated: baselines that were written; nothing is compared then.
    """

    compared: tuple[Compared, ...]
    passed: bool
    updated: tuple[Path, ...]

    @property
    def failures(self) -> tuple[Compared, ...]:
        """The lines that close the gate."""
        return tuple(line for line in self.compared if line.failed)

    @property
    def complaint(self) -> str:
        """The failures in one line."""
        said = [
            f"{line.entry} {line.pick}: {line.metric} was {line.baseline}, is {line.found} (allowed: {line.tolerance})"
            for line in self.failures
        ]
        return "gate failed: " + "; ".join(said)


def gate(
    file: str | Path = "natdeploy.yaml",
    *,
    device: str | None = None,
    task: str | None = None,
    update: bool = False,
    remeasure: bool = False,
    summary: str | Path | None = None,
    progress: Progress | None = None,
) -> GateResult:
    """Compare the bundles of a pipeline's last build with its baselines, or make them the baselines.

    Args:
        file: the pipeline; its field ``gates`` has the tolerances.
        device, task: only the entries of these.
        update: write the bundles' figures as the new baselines.
        remeasure: time the models of this machine again now, and compare that; what is beyond its tolerance is timed
            up to twice more, and the shortest latency counts.
        summary: a file that the comparison is added to as a Markdown table.
        progress: told what is going on.

    A failed gate is no exception here: see ``passed``. Raises BadInput for an entry that was not built and for a
    baseline of another schema, VerificationFailed for a damaged bundle.
    """
    from natdeploy.deploy.baseline import read_baseline, renewed, write_baseline
    from natdeploy.deploy.gate import compare
    from natdeploy.devices import load_profile
    from natdeploy.runs.pipeline import load_pipeline
    from natdeploy.verbs.ci.markdown import add_text, gate_summary

    pipeline = load_pipeline(file)
    entries, config = pipeline.select(device, task), pipeline.config
    baselines = {entry.name: read_baseline(config.baselines, entry.name) for entry in entries}
    confidence = config.gates.latency.confidence
    found: dict[str, Mapping[str, ModelFigures]] = {}
    for entry in entries:
        profile = load_profile(entry.job.device, derive=remeasure)
        again = profile if remeasure and profile.is_this_machine else None
        measure = partial(_figures, entry, Path(config.out) / entry.name, confidence, again, progress)
        found[entry.name] = measure()
        if again is not None and not update:
            found[entry.name] = _shortest(baselines[entry.name], found[entry.name], config.gates, measure)
    if update:
        new = [renewed(baselines[name], name, figures) for name, figures in found.items()]
        return GateResult((), True, tuple(write_baseline(config.baselines, baseline) for baseline in new))
    lines = [line for name, figures in found.items() for line in compare(name, baselines[name], figures, config.gates)]
    result = GateResult(tuple(lines), not any(line.failed for line in lines), ())
    if summary is not None:
        add_text(Path(summary), gate_summary(result.compared, result.passed))
    return result


def _figures(
    entry: PipelineEntry, folder: Path, confidence: float, again: HardwareProfile | None, progress: Progress | None
) -> Mapping[str, ModelFigures]:
    """An entry's figures by pick; timed anew where ``again`` is this machine. BadInput where it was not built."""
    from natdeploy.deploy.baseline import bundle_figures
    from natdeploy.verbs.ci.record import built_bundles

    found: dict[str, ModelFigures] = {}
    for bundle in built_bundles(folder, entry.device):
        timing = None
        if again is not None:
            if progress is not None:
                progress(f"timing {bundle.manifest.name} again", 0.0)
            timing = _time_again(bundle.path, again)
        figures, picks = bundle_figures(bundle.path, confidence, timing)
        found.update(dict.fromkeys(picks, figures))
    return found


def _shortest(
    baseline: Baseline | None,
    found: Mapping[str, ModelFigures],
    gates: GateSettings,
    measure: Callable[[], Mapping[str, ModelFigures]],
) -> Mapping[str, ModelFigures]:
    """The figures, each model's of its shortest session; there are more of them while a latency is worse."""
    from natdeploy.deploy.gate import MEASURED, compare

    for _ in range(MOST_SESSIONS - 1):
        lines = compare("", baseline, found, gates)
        if not any(line.failed and line.metric.startswith(MEASURED) for line in lines):
            break
        again = measure()
        found = {pick: min(figures, again[pick], key=_latency_ms) for pick, figures in found.items()}
    return found


def _latency_ms(figures: ModelFigures) -> float:
    (measured,) = figures.measured.values()
    return measured.latency_ms


def _time_again(bundle: Path, profile: HardwareProfile) -> Measurement:
    """Time a bundle's artifact on this machine, as when it was built. Raises BadInput where it has none for it."""
    from natdeploy.deploy.integrity import check_files
    from natdeploy.deploy.verify import SUBNET, refuse_other_machine, runnable_of
    from natdeploy.ground.files import read_json
    from natdeploy.measure import time_runnable
    from natdeploy.spaces import Arch

    manifest = check_files(bundle)
    artifact = next(one for one in manifest.artifacts if one.runtime == manifest.latency.runtime)
    refuse_other_machine(bundle, manifest, artifact)
    arch = Arch.from_json(read_json(bundle / SUBNET, "architecture"))
    runnable = runnable_of(bundle, manifest, artifact)
    return time_runnable(runnable, profile=profile, runtime=artifact.runtime, arch=arch, space=arch.space)
