"""A plan on a graphics processor: memory for the arena, memory for the constants, one launch after another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from natdeploy.compiler.plan import Plan, Port
from natdeploy.devices.gpu_device import GpuDevice, Place
from natdeploy.ground.errors import BadInput, DeviceNotReachable


class PlanOnGpu:
    """A plan whose weights and kernels are on a device.

    Args:
        plan: of a graphics processor.
        device: what runs it.
        code: its kernels as the device takes them.

    Raises DeviceNotReachable where the device cannot hold or run it.
    """

    def __init__(self, plan: Plan, device: GpuDevice, code: bytes) -> None:
        self._plan, self._device = plan, device
        kernels = {kernel.name: kernel for kernel in plan.kernels}
        most = max(prod(kernel.launch.threads) for kernel in plan.kernels if kernel.launch)
        if most > device.max_threads:
            raise DeviceNotReachable(
                f"{device.name}: runs groups of {device.max_threads} threads, and a kernel takes {most}"
            )
        # An empty piece of memory would have no address.
        memory = {
            "arena": device.allocate(max(plan.arena_bytes, 1)),
            "constant": device.allocate(max(len(plan.constants), 1)),
        }
        if plan.constants:
            device.write(Place(memory["constant"], 0), np.frombuffer(plan.constants, np.uint8))
        device.load(code, {kernel.name: len(kernel.arguments) for kernel in plan.kernels})
        self._places = {tensor.name: Place(memory[tensor.space], tensor.offset) for tensor in plan.tensors}
        self._launches: list[Callable[[], None]] = []
        for call in plan.calls:
            launch = kernels[call.kernel].launch
            assert launch is not None  # check_plan has seen to it
            places = [self._places[name] for name in call.tensors]
            self._launches.append(device.launcher(call.kernel, places, launch.groups, launch.threads))

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """All outputs from all inputs. Raises BadInput for inputs of other types or shapes, DeviceNotReachable."""
        self._write_inputs(arrays)
        for launch in self._launches:
            launch()
        return self._outputs()

    def time_ms(self, repeats: int, arrays: Sequence[np.ndarray]) -> list[float]:
        """Milliseconds of each run by this machine's clock, copies of inputs and outputs included."""
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            self.run(arrays)
            times.append(1e3 * (time.perf_counter() - start))
        return times

    def time_calls_ms(self, arrays: Sequence[np.ndarray]) -> list[float]:
        """Milliseconds of each call of one run, each waited for."""
        self._write_inputs(arrays)
        self._device.wait()
        times, start = [], time.perf_counter()
        for launch in self._launches:
            launch()
            self._device.wait()
            end = time.perf_counter()
            times.append(1e3 * (end - start))
            start = end
        return times

    def _write_inputs(self, arrays: Sequence[np.ndarray]) -> None:
        if len(arrays) != len(self._plan.inputs):
            raise BadInput(f"{len(arrays)} inputs given, the model takes {len(self._plan.inputs)}")
        for port, array in zip(self._plan.inputs, arrays):
            self._device.write(self._places[port.tensor], _checked(port, array))

    def _outputs(self) -> list[np.ndarray]:
        self._device.wait()
        outputs = [np.empty(port.view.shape, port.view.dtype) for port in self._plan.outputs]
        for port, array in zip(self._plan.outputs, outputs):
            self._device.read(self._places[port.tensor], array)
        return outputs


def _checked(port: Port, array: np.ndarray) -> np.ndarray:
    if array.dtype.name != port.view.dtype or array.shape != port.view.shape:
        raise BadInput(
            f"input {port.name!r} is {array.dtype}{list(array.shape)}, "
            f"expected {port.view.dtype}{list(port.view.shape)}"
        )
    return np.ascontiguousarray(array)
