import copy
from dataclasses import replace
from pathlib import Path

import pytest

from natdeploy.compiler import KernelCache, Plan, make_network_plan
from natdeploy.compiler.plan_check import check_plan
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import canonical_json
from natdeploy.spaces import Network, costs
from tests.compiler.conftest import TARGET


@pytest.fixture(scope="module")
def plan(tiny: Network, cache: KernelCache) -> Plan:
    return make_network_plan(tiny, target=TARGET, cache=cache)


def test_saved_and_loaded_is_the_same_plan(plan: Plan, tmp_path: Path) -> None:
    plan.save(tmp_path / "plan")
    again = Plan.load(tmp_path / "plan")
    assert canonical_json(again.to_json()) == canonical_json(plan.to_json())
    assert again.constants == plan.constants and dict(again.objects) == dict(plan.objects)


def test_it_counts_what_the_layers_count(plan: Plan, tiny: Network) -> None:
    expected = costs(tiny.layers)
    assert plan.macs == expected.macs
    assert plan.arena_bytes <= 1.1 * expected.peak_activation_bytes + 64 * len(plan.tensors)


def test_the_table_names_every_call(plan: Plan) -> None:
    lines = plan.table().splitlines()
    assert len(lines) == len(plan.calls) + 2
    assert all(call.layer in line and call.kernel in line for call, line in zip(plan.calls, lines[1:]))
    assert f"{plan.macs:,} MACs" in lines[-1]


def test_a_residual_sum_joins_its_convolution_and_a_second_one_does_not(plan: Plan) -> None:
    layers = [call.layer for call in plan.calls]
    assert "point" not in layers and layers.index("again") == layers.index("shortcut") + 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 99),
        ("kernels", [{"name": "k"}]),
        ("tensors", [["a", "arena", 0]]),
        ("calls", []),
        ("inputs", []),
        ("arena_bytes", 64),
        ("constants", {"sha256": "0"}),
    ],
)
def test_a_changed_file_is_refused(plan: Plan, field: str, value: object) -> None:
    changed = {**copy.deepcopy(plan.to_json()), field: value}
    with pytest.raises(BadInput, match=r"plan\.json"):
        Plan.from_json(changed, plan.constants, plan.objects, where="plan.json")


def test_missing_and_damaged_parts_are_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such plan"):
        Plan.load(tmp_path / "nothing")
    plan.save(tmp_path / "plan")
    kernel = next((tmp_path / "plan" / "kernels").iterdir())
    kernel.write_bytes(kernel.read_bytes() + b"x")
    with pytest.raises(BadInput, match="missing or damaged"):
        Plan.load(tmp_path / "plan")
    (tmp_path / "plan" / "constants.bin").unlink()
    with pytest.raises(BadInput, match="cannot be read"):
        Plan.load(tmp_path / "plan")


def test_tensors_alive_together_may_not_overlap(plan: Plan) -> None:
    squeezed = tuple(replace(tensor, offset=0) if tensor.space == "arena" else tensor for tensor in plan.tensors)
    with pytest.raises(BadInput, match="overlap while both are alive"):
        check_plan(replace(plan, tensors=squeezed))


def test_reading_before_writing_is_refused(plan: Plan) -> None:
    with pytest.raises(BadInput, match="before it is written"):
        check_plan(replace(plan, calls=plan.calls[::-1]))


def test_constants_are_not_written(plan: Plan) -> None:
    first = plan.calls[0]
    constant = max((t for t in plan.tensors if t.space == "constant"), key=lambda t: t.bytes)
    kernel = next(k for k in plan.kernels if k.name == first.kernel)
    small = tuple(replace(view, shape=(1,)) for view in kernel.arguments)
    kernels = tuple(replace(k, arguments=small) if k is kernel else k for k in plan.kernels)
    call = replace(first, tensors=(*first.tensors[:-1], constant.name))
    with pytest.raises(BadInput, match="writes constant"):
        check_plan(replace(plan, kernels=kernels, calls=(call, *plan.calls[1:])))
