"""From a scheduled PrimFunc to source code and launch sizes, with TVM. Imported in child processes only."""

from __future__ import annotations

import contextlib
import io
import warnings
from math import prod
from typing import Any

import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir.pipeline import default_s_tir_pipeline, finalize_device_passes
from tvm_ffi import structural_walk

from natdeploy.compiler.gpu.code import DeviceCode, DeviceKernel
from natdeploy.compiler.gpu.nans import keep_nans
from natdeploy.compiler.gpu.schedule import schedule
from natdeploy.compiler.onnx_compile import fused
from natdeploy.compiler.onnx_jobs import Job
from natdeploy.compiler.plan import Launch
from natdeploy.ground.errors import BadInput

#: TVM's mark of a function that runs on the graphics processor.
_DEVICE_LAUNCH = 2


def compile_jobs(jobs: list[Job], target: dict[str, Any]) -> list[bytes]:
    """:class:`DeviceCode` of each job, as bytes. Raises BadInput naming the operator that TVM cannot compile."""
    known = {"arch": target["arch"]} if target["kind"] == "cuda" and "arch" in target else {}
    resolved = tvm.target.Target({"kind": target["kind"], **known, "host": {"kind": "llvm"}})
    return [_compile(job, resolved).to_bytes() for job in jobs]


def _compile(job: Job, target: Any) -> DeviceCode:
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # of names that TVM changes
            return device_code(schedule(fused(job), target), job.symbol, target)
    except Exception as error:  # TVM raises many kinds; all of them mean that it cannot compile these nodes
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = lines[-1][:160] if lines else type(error).__name__
        raise BadInput(f"{job.label} cannot be compiled for {target.kind.name}: {why}") from error


@tvm.instrument.pass_instrument
class _KeepSplit:
    """Keeps the module as it is once host and device have been taken apart."""

    module: Any = None

    def run_after_pass(self, module: Any, info: Any) -> None:
        """Called by TVM after each pass."""
        if info.name.endswith("SplitHostDevice"):
            self.module = module


def device_code(function: Any, symbol: str, target: Any) -> DeviceCode:
    """Kernels of a PrimFunc whose loops are bound to threads, in the order in which the host launches them."""
    module = tvm.IRModule({symbol: function.with_attr("global_symbol", symbol)})
    kept = _KeepSplit()
    with tvm.transform.PassContext(instruments=[kept]):
        default_s_tir_pipeline()[0](tirx.transform.BindTarget(target)(module))
    functions = {var.name_hint: each for var, each in kept.module.functions_items()}
    host = functions[symbol]
    places = {param: place for place, param in enumerate(host.params)}
    temporaries: list[tuple[int, str]] = []
    launches: list[Any] = []

    def allocate(node: Any) -> None:
        places[node.buffer] = len(host.params) + len(temporaries)
        temporaries.append((prod(int(size) for size in node.buffer.shape), str(node.buffer.dtype)))

    def rename(node: Any) -> None:
        places[node.buffer] = places[node.data.args[0]]

    def call(node: Any) -> None:
        if node.args and isinstance(node.args[0], tvm.ir.StringImm) and node.args[0].value in functions:
            launches.append(node)

    walked = [(tirx.AllocBuffer, allocate), (tirx.DeclBuffer, rename), (tvm.ir.Call, call)]
    structural_walk(host.body, walked, order="pre")
    if not launches:
        raise ValueError("TVM bound nothing of it to threads")
    kernels = []
    for index, launch in enumerate(launches):
        kernel = functions[launch.args[0].value]
        name = symbol if len(launches) == 1 else f"{symbol}_{index}"
        kernels.append(_device_kernel(kernel, name, launch, places, target))
    return DeviceCode(tuple(kernels), tuple(temporaries))


def _device_kernel(kernel: Any, name: str, launch: Any, places: dict[Any, int], target: Any) -> DeviceKernel:
    """One kernel: its parameters in the plan's order (read ones, then written ones), then its source."""
    _, *given = launch.args
    if int(kernel.attrs["calling_conv"]) != _DEVICE_LAUNCH:
        raise ValueError("TVM calls a function of its host")
    params = list(kernel.params)
    extents = dict(zip(map(str, kernel.attrs["tirx.kernel_launch_params"]), map(int, given[len(params) :])))
    written = _written(kernel)
    own = [places[argument.args[0]] for argument in given[: len(params)]]
    order = sorted(range(len(params)), key=lambda index: (params[index] in written, own[index]))
    done = finalize_device_passes()(tvm.IRModule({name: kernel.with_attr("global_symbol", name)}))[name]
    # After TVM's last simplification, for which nothing differs from itself.
    permuted = tirx.PrimFunc([done.params[index] for index in order], keep_nans(done.body), done.ret_type)
    for key, value in done.attrs.items():
        permuted = permuted.with_attr(key, value)
    return DeviceKernel(
        name,
        _source(tvm.IRModule({name: permuted}), target),
        tuple(own[index] for index in order),
        sum(param in written for param in params),
        Launch(_axes(extents, "blockIdx"), _axes(extents, "threadIdx")),
    )


def _axes(extents: dict[str, int], part: str) -> tuple[int, int, int]:
    x, y, z = (extents.get(f"{part}.{axis}", 1) for axis in "xyz")
    return x, y, z


def _source(module: Any, target: Any) -> str:
    # Where TVM finds a CUDA runtime it compiles at once, with tools that may not be there. Only the source is wanted,
    # and the same one on every machine.
    tvm_ffi.register_global_func("tvm_callback_cuda_compile", lambda code: b"", override=True)
    built = tvm.get_global_func(f"target.build.{target.kind.name}")(module, target)
    return str(built.inspect_source()).strip() + "\n"


def _written(kernel: Any) -> set[Any]:
    """Parameters that a kernel stores to."""
    behind: dict[Any, Any] = {}
    stored = []
    declared = (tirx.DeclBuffer, lambda node: behind.update({node.buffer: node.data}))
    structural_walk(kernel.body, [declared, (tirx.BufferStore, lambda node: stored.append(node.buffer))])
    return {behind[buffer] for buffer in stored if buffer in behind} & set(kernel.params)
