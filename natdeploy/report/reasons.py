"""What was chosen and why, in sentences made from the archive and the bundles' manifests."""

from __future__ import annotations

from natdeploy.deploy.manifest import Manifest
from natdeploy.report.facts import Facts
from natdeploy.report.units import interval, milliseconds, percent
from natdeploy.runs import on_task
from natdeploy.runs.certainty import indistinguishable, top1_error


def reasons(facts: Facts, manifest: Manifest) -> list[str]:
    """Why this model was built, in the order in which it was decided."""
    told = [_rule(facts, pick, manifest) for pick in manifest.provenance.picked_as]
    for missed in manifest.latency.missed:
        told.append(
            f"{missed.arch_id} was tried before it: predicted {milliseconds(missed.predicted_ms)} ms, measured "
            f"{milliseconds(missed.measured_ms)} ms, over the budget; the measurement went back into the predictor."
        )
    told.append(_outcome(manifest))
    return told


def _rule(facts: Facts, pick: str, manifest: Manifest) -> str:
    task = manifest.provenance.task
    feasible = [on_task(entry, task) for entry in facts.archive if entry.feasible]
    if pick == "best" and feasible:
        highest = max(feasible, key=lambda entry: entry.top1)
        what, on = "validation", f" on {highest.val_images} images" + (f" of {task}" if task else "")
        if highest.accuracy_source == "predicted":
            what, on = "predicted", ""
        tied = sum(indistinguishable(entry, highest) for entry in feasible)
        return (
            f"Picked as best: the highest {what} top-1 within the budget is "
            f"{percent(highest.top1, top1_error(highest))}{on}. {tied} of {len(feasible)} architectures differ from it "
            "by no more than one standard error of the difference; of these, the highest top-1 among those that use "
            "nearly as much of the budget as any is tried first."
        )
    if pick == "knee":
        return "Picked as knee: on the front, the farthest from the straight line between its two ends."
    if pick == "fastest":
        return "Picked as fastest: the least predicted latency within the budget."
    if pick == manifest.model.arch_id or manifest.model.arch_id.startswith(pick):
        return f"Picked by its id, {pick}."
    return f"Picked as {pick}."


def _outcome(manifest: Manifest) -> str:
    predicted = manifest.latency.predicted
    text = "Not predicted: there is no latency model of its device"
    if predicted is not None:
        text = f"Predicted {interval(predicted.mean_ms, predicted.lower_ms, predicted.upper_ms)} ms"
    measured = manifest.measured_for_budget()
    if measured is None:
        return f"{text}; not measured."
    budget = manifest.latency.budget_ms
    trust = "" if measured.trusted else " The machine was too unsteady for this timing to be trusted."
    if budget is None:
        return f"{text}; measured {milliseconds(measured.latency_ms)} ms.{trust}"
    share = 100 * measured.latency_ms / budget
    return (
        f"{text}; measured {milliseconds(measured.latency_ms)} ms, {share:.0f} % of the budget of "
        f"{milliseconds(budget)} ms.{trust}"
    )
