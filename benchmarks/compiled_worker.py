"""One runtime in a process of its own, asked over pipes to load a model and to time a few runs.

    python benchmarks/compiled_worker.py RUNTIME THREADS PROCESSOR,PROCESSOR,...

Started by :mod:`benchmarks.compiled_rounds` in the runtime's own environment; knows nothing of natdeploy but what its
runner imports. Requests and answers are lines of JSON: ``{"load": FILE, "image": FILE.npy, "logits": FILE.npy}``
loads a model, runs it once and leaves its output; ``{"warm_up": N, "repeats": N}`` is answered with ``{"ms": [...]}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

#: One run of a loaded model, and what reads its output afterwards.
Loaded = tuple[Callable[[], Any], Callable[[], np.ndarray]]


def onnxruntime(model: Path, image: np.ndarray, threads: int) -> Loaded:
    """All graph optimisations; input and output bound once. Its threads stop spinning when a run ends."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input(session.get_inputs()[0].name, image)
    binding.bind_output(session.get_outputs()[0].name)
    return lambda: session.run_with_iobinding(binding), lambda: binding.copy_outputs_to_cpu()[0]


def openvino(model: Path, image: np.ndarray, threads: int) -> Loaded:
    """The latency hint, in float32 throughout; the process is pinned already."""
    import openvino

    core = openvino.Core()
    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(core.read_model(str(model)), "CPU", properties).create_infer_request()
    request.set_input_tensor(openvino.Tensor(image))
    return request.infer, lambda: np.array(request.get_output_tensor().data)


def litert(model: Path, image: np.ndarray, threads: int) -> Loaded:
    """The interpreter's default on a processor: the XNNPACK delegate. Its input has channels last."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model), num_threads=threads)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image.transpose(0, 2, 3, 1).copy())
    output = interpreter.get_output_details()[0]["index"]
    return interpreter.invoke, lambda: interpreter.get_tensor(output)


def ncnn(model: Path, image: np.ndarray, threads: int) -> Loaded:
    """float32 storage and arithmetic, everything else as it comes."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    for field in ("use_bf16_storage", "use_fp16_storage", "use_fp16_packed", "use_fp16_arithmetic"):
        setattr(net.opt, field, False)
    if net.load_param(str(model)) or net.load_model(str(model.with_suffix(".bin"))):
        raise ValueError(f"{model}: ncnn cannot load it")
    matrix = ncnn.Mat(image[0]).clone()
    kept: list[Any] = []

    def run() -> None:
        extractor = net.create_extractor()
        extractor.input("in0", matrix)
        kept[:] = [extractor.extract("out0")[1]]

    return run, lambda: np.array(kept[0])[None]


def torch(model: Path, image: np.ndarray, threads: int) -> Loaded:
    """``torch.compile`` with freezing, of an exported program."""
    import torch
    import torch._inductor.config

    torch.set_num_threads(threads)
    torch._inductor.config.freezing = True
    compiled, tensor = torch.compile(torch.export.load(str(model)).module()), torch.from_numpy(image)
    kept: list[Any] = []

    def run() -> None:
        with torch.no_grad():
            kept[:] = [compiled(tensor)]

    return run, lambda: kept[0].numpy()


def natdeploy(model: Path, image: np.ndarray, threads: int) -> Loaded:
    """``libmodel.so`` through its C interface."""
    from natdeploy.devices.native_model import NativeModel

    instance = NativeModel(model, threads=threads)
    kept: list[np.ndarray] = []

    def run() -> None:
        kept[:] = instance.run([image])

    return run, lambda: kept[0]


def reference(model: Path, image: np.ndarray, threads: int) -> Loaded:
    """A fixed kernel on every processor at once (``reference_kernel.c``): shows whether they run at a steady speed."""
    import ctypes
    from concurrent.futures import ThreadPoolExecutor

    kernel = ctypes.CDLL(str(model)).reference_kernel
    kernel.restype = ctypes.c_float
    free = sorted(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(threads, initializer=lambda: os.sched_setaffinity(0, {free.pop()}))
    buffers = [np.ones(1 << 16, np.float32) for _ in range(threads)]
    sums: list[float] = []

    def run() -> None:
        sums[:] = pool.map(lambda data: kernel(data.ctypes.data_as(ctypes.c_void_p), data.size), buffers)

    return run, lambda: np.array(sums, np.float32)


RUNTIMES = {run.__name__: run for run in (natdeploy, onnxruntime, openvino, litert, ncnn, torch, reference)}


class Worker:
    """Answers requests for one runtime."""

    def __init__(self, runtime: str, threads: int) -> None:
        self._open, self._threads = RUNTIMES[runtime], threads
        self._run: Callable[[], Any] | None = None
        self._image: np.ndarray | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """See the module."""
        if "load" in request:
            self._run = None
            self._image = np.load(request["image"])  # runtimes keep its address, not the array
            self._run, logits = self._open(Path(request["load"]), self._image, self._threads)
            self._run()
            np.save(request["logits"], np.asarray(logits(), np.float32))
            return {"outside": astray(os.sched_getaffinity(os.getpid()))}
        assert self._run is not None
        for _ in range(request["warm_up"]):
            self._run()
        ticks = [time.perf_counter_ns()]
        for _ in range(request["repeats"]):
            self._run()
            ticks.append(time.perf_counter_ns())
        return {"ms": [(end - start) / 1e6 for start, end in pairwise(ticks)]}


def astray(allowed: set[int]) -> list[int]:
    """Processors beyond the allowed ones to which a runtime has moved some thread of this process."""
    used: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread may have ended
            used |= os.sched_getaffinity(int(task.name))
    return sorted(used - allowed)


def main(runtime: str, threads: int, processors: set[int]) -> None:
    """Answer until the parent closes the pipe. What libraries print on stdout goes to stderr."""
    os.sched_setaffinity(0, processors)
    with contextlib.suppress(OSError):  # only root goes before other programs
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = Worker(runtime, threads)
    for line in sys.stdin:
        try:
            found = worker.answer(json.loads(line))
        except Exception as error:  # whatever a runtime raises is for the parent to report
            found = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        answers.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), {int(number) for number in sys.argv[3].split(",")})
