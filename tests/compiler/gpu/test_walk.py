"""Walking a plan: what is asked of a device, in which order, with which places; no device is needed for that."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from natdeploy.compiler import Plan, load_onnx, make_onnx_plan
from natdeploy.compiler.gpu.walk import PlanOnGpu
from natdeploy.compiler.onnx_verify import random_inputs
from natdeploy.devices.gpu_device import Place
from natdeploy.ground.errors import BadInput, DeviceNotReachable
from tests.compiler.onnx_models import small_convnet


class Recorder:
    """A device of plain memory that writes down what is asked of it; its kernels write their number everywhere."""

    name, max_threads = "Recorder", 256

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.arguments: dict[str, int] = {}

    def allocate(self, size: int) -> np.ndarray:
        return np.zeros(size, np.uint8)

    def write(self, place: Place, array: np.ndarray) -> None:
        data = array.reshape(-1).view(np.uint8)
        place.memory[place.offset : place.offset + data.size] = data
        self.said.append(("write", place.offset, data.size))

    def read(self, place: Place, array: np.ndarray) -> None:
        found = place.memory[place.offset : place.offset + array.nbytes]
        array.reshape(-1).view(np.uint8)[:] = found
        self.said.append(("read", place.offset, array.nbytes))

    def load(self, code: bytes, arguments: Mapping[str, int]) -> None:
        self.said.append(("load", code))
        self.arguments = dict(arguments)

    def launcher(
        self, kernel: str, places: Sequence[Place], groups: tuple[int, int, int], threads: tuple[int, int, int]
    ) -> Callable[[], None]:
        assert len(places) == self.arguments[kernel]
        return lambda: self.said.append((kernel, [place.offset for place in places], groups, threads))

    def wait(self) -> None:
        self.said.append("wait")


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = small_convnet(tmp_path_factory.mktemp("model") / "small.onnx")
    return make_onnx_plan(load_onnx(path), target={"kind": "cuda", "arch": "sm_75"})


def launches(plan: Plan) -> list[Any]:
    """What the plan says of its calls."""
    kernels = {kernel.name: kernel for kernel in plan.kernels}
    offsets = {tensor.name: tensor.offset for tensor in plan.tensors}
    return [
        (
            call.kernel,
            [offsets[name] for name in call.tensors],
            kernels[call.kernel].launch.groups,
            kernels[call.kernel].launch.threads,
        )
        for call in plan.calls
    ]


def test_a_run_is_inputs_then_calls_in_order_then_outputs(plan: Plan) -> None:
    device = Recorder()
    on_device = PlanOnGpu(plan, device, b"code")
    assert device.said == [("write", 0, len(plan.constants)), ("load", b"code")]
    assert device.arguments == {kernel.name: len(kernel.arguments) for kernel in plan.kernels}
    (arrays,) = random_inputs(plan, 1, 0)
    places = {tensor.name: tensor.offset for tensor in plan.tensors}
    for _ in range(2):
        device.said.clear()
        outputs = on_device.run(arrays)
        reads = [("read", places[port.tensor], port.view.bytes) for port in plan.outputs]
        (given,) = plan.inputs
        assert device.said == [("write", places[given.tensor], given.view.bytes), *launches(plan), "wait", *reads]
    assert [(one.shape, one.dtype.name) for one in outputs] == [
        (port.view.shape, port.view.dtype) for port in plan.outputs
    ]


def test_each_call_is_waited_for_where_calls_are_timed(plan: Plan) -> None:
    device = Recorder()
    on_device = PlanOnGpu(plan, device, b"")
    (arrays,) = random_inputs(plan, 1, 0)
    device.said.clear()
    times = on_device.time_calls_ms(arrays)
    expected = [said for launch in launches(plan) for said in (launch, "wait")]
    assert device.said[1:] == ["wait", *expected] and len(times) == len(plan.calls) and min(times) >= 0
    device.said.clear()
    assert len(on_device.time_ms(3, arrays)) == 3 and device.said.count("wait") == 3


def test_inputs_are_checked_before_anything_is_written(plan: Plan) -> None:
    device = Recorder()
    on_device = PlanOnGpu(plan, device, b"")
    (arrays,) = random_inputs(plan, 1, 0)
    device.said.clear()
    for bad in ([], arrays * 2, [arrays[0].astype(np.float64)], [arrays[0][:, :1]]):
        with pytest.raises(BadInput, match=r"inputs given, the model takes 1|input 'image' is float"):
            on_device.run(bad)
    assert not device.said


def test_groups_that_are_too_large_for_a_device_are_refused(plan: Plan) -> None:
    device = Recorder()
    device.max_threads = 8
    with pytest.raises(DeviceNotReachable, match=r"Recorder: runs groups of 8 threads, and a kernel takes \d+"):
        PlanOnGpu(plan, device, b"")
    assert not device.said
