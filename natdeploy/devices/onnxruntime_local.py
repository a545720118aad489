"""ONNX Runtime in this process, on the processor."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.devices.description import DeviceDescription
from natdeploy.devices.meter import Meter, meter_here
from natdeploy.devices.runner import Runnable, Session, check_artifact, checked_input
from natdeploy.devices.this_machine import describe_this_machine
from natdeploy.ground.errors import BadInput


class OnnxRuntimeLocal:
    """Runs ``onnx`` artifacts with all graph optimisations, one operator after another."""

    name = "onnxruntime"
    kind = "onnx"

    def toolchain(self) -> dict[str, str]:
        """Version of ONNX Runtime."""
        from importlib.metadata import version

        return {"onnxruntime": version("onnxruntime")}

    def describe(self) -> DeviceDescription:
        """This machine."""
        return describe_this_machine()

    def meter(self) -> Meter:
        """This machine's."""
        return meter_here()

    def close(self) -> None:
        """Nothing is held."""

    def open(self, runnable: Runnable, *, threads: int = 1) -> Session:
        """Load a model. Raises BadInput for a missing or damaged one."""
        check_artifact(self, runnable)
        return _OrtSession(runnable, threads)


class _OrtSession:
    def __init__(self, runnable: Runnable, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 4
        # Several sessions live at once while networks are timed in turn: idle pools must not spin on each other's core.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._path = Path(runnable.path)
        model = self._path.read_bytes()  # ONNX Runtime takes no path that is not UTF-8
        try:
            self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a type of its own for each kind of damage
            raise BadInput(f"{self._path}: ONNX Runtime cannot load it: {_one_line(error)}") from None
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise BadInput(f"{self._path}: has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")
        if inputs[0].type != "tensor(float)" or list(inputs[0].shape) != list(runnable.input_shape):
            raise BadInput(
                f"{self._path}: input is {inputs[0].type}{list(inputs[0].shape)}, "
                f"expected float32{list(runnable.input_shape)}"
            )
        self._shape = tuple(runnable.input_shape)
        self._input, self._output = inputs[0].name, outputs[0].name
        self._binding: Any = None
        self._bound: np.ndarray | None = None

    def run(self, x: np.ndarray) -> np.ndarray:
        """Outputs of one image."""
        x = checked_input(x, self._shape, self._path)
        return np.asarray(self._session.run([self._output], {self._input: x})[0], dtype=np.float32)

    def time_ms(self, repeats: int, x: np.ndarray) -> list[float]:
        """Milliseconds of each run; input and output are bound once, so that no Python object is made in a run."""
        x = checked_input(x, self._shape, self._path)
        if self._binding is None or self._bound is not x:
            self._binding = self._session.io_binding()
            self._binding.bind_cpu_input(self._input, x)
            self._binding.bind_output(self._output)
            self._bound = x  # the binding reads this memory
        run, binding, clock = self._session.run_with_iobinding, self._binding, time.perf_counter_ns
        ticks = [clock()]
        for _ in range(repeats):
            run(binding)
            ticks.append(clock())
        return [(end - start) / 1e6 for start, end in pairwise(ticks)]

    def close(self) -> None:
        """Free the model."""
        self._binding = self._bound = self._session = None


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."
