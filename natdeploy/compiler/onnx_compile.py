"""One group of ONNX nodes to one object file, with TVM's Relax. Imported in child processes only."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

from natdeploy.compiler.kernels.isa import Isa, isa_of
from natdeploy.compiler.onnx_jobs import AXES, DEPTHWISE, PLAIN, Job
from natdeploy.compiler.relax_schedule import inline_before_reduction, schedule
from natdeploy.compiler.tvm_target import resolve, vector_bits
from natdeploy.ground.errors import BadInput


def compile_jobs(jobs: list[Job], target: dict[str, Any]) -> list[bytes]:
    """Object files of the jobs, in order. Raises BadInput naming the operator that TVM cannot compile."""
    resolved = resolve(target)
    isa = isa_of(vector_bits(resolved), target["mtriple"])
    return [_compile(job, resolved, isa) for job in jobs]


def _compile(job: Job, target: Any, isa: Isa) -> bytes:
    name = job.symbol
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # of names that TVM changes
            function = prim_func(job, isa.lanes, isa.registers).with_attr("global_symbol", name)
            library = tvm.compile(tvm.IRModule({name: function}), target=target)
    except Exception as error:  # TVM raises many kinds; all of them mean that it cannot compile these nodes
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = lines[-1][:160] if lines else type(error).__name__
        raise BadInput(f"{job.label} cannot be compiled: {why}") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.o")
        library.mod.write_to_file(str(path), "o")
        return path.read_bytes()


def prim_func(job: Job, lanes: int, registers: int) -> Any:
    """The scheduled TIR of a job."""
    return schedule(inline_before_reduction(fused(job)), lanes, registers)


def fused(job: Job) -> Any:
    """A job as one PrimFunc whose arguments are stored as the job says."""
    model = onnx.load_model_from_string(job.model)
    module = from_onnx(model, keep_params_in_input=False)
    filters = "HWOI" if DEPTHWISE in job.layouts else "HWIO"
    module = _stored(module["main"], job)
    passes = [
        relax.transform.InlinePrivateFunctions(),
        relax.transform.DecomposeOpsForInference(),
        relax.transform.ConvertLayout({"relax.nn.conv2d": ["NHWC", filters]}),
        relax.transform.CanonicalizeBindings(),
        relax.transform.FoldConstant(),  # of numbers that TVM made of shapes; weights are no constants here
        relax.transform.DeadCodeElimination(["main"]),
        relax.transform.LegalizeOps(),
    ]
    module = _as_one_function(tvm.transform.Sequential(passes)(module))
    functions = [function for _, function in module.functions_items() if isinstance(function, tvm.tirx.PrimFunc)]
    if len(functions) != 1:
        raise RuntimeError(f"Relax made {len(functions)} functions of it, expected one")
    return functions[0]


def _stored(main: Any, job: Job) -> Any:
    """A module whose ``main`` is the one given, behind permutations that give its arguments the job's layouts."""
    builder = relax.BlockBuilder()
    inner = builder.add_func(main.without_attr("global_symbol"), "inner")
    count = len(main.params)
    params = []
    for index, (param, layout) in enumerate(zip(main.params, job.layouts)):
        shape = [int(size) for size in param.ty.shape.values]
        stored = [shape[axis] for axis in AXES[layout]] if layout != PLAIN else shape
        params.append(relax.Var(f"a{index}", relax.TensorType(stored, param.ty.dtype)))
    with builder.function("main", params):
        with builder.dataflow():
            images = [
                param if layout == PLAIN else builder.emit(relax.op.permute_dims(param, _inverse(AXES[layout])))
                for param, layout in zip(params, job.layouts)
            ]
            value = builder.emit(relax.Call(inner, images))
            several = isinstance(value.ty, relax.TupleType)
            results = [builder.emit(value[i]) for i in range(len(value.ty.fields))] if several else [value]
            stored = [
                result if layout == PLAIN else builder.emit(relax.op.permute_dims(result, AXES[layout]))
                for result, layout in zip(results, job.layouts[count:])
            ]
            output = builder.emit_output(relax.Tuple(stored) if several else stored[0])
        builder.emit_func_output(output)
    return builder.get()


def _inverse(axes: tuple[int, ...]) -> list[int]:
    return [axes.index(place) for place in range(len(axes))]


def _as_one_function(module: Any) -> Any:
    """All kernels of ``main`` fused into one, whatever Relax's own rules of fusion say."""
    main = module["main"].with_attr("Primitive", 1).without_attr("global_symbol")
    builder = relax.BlockBuilder(module)
    del module["main"]
    name = builder.add_func(main, "group")
    params = [relax.Var(f"a{index}", param.ty) for index, param in enumerate(main.params)]
    with builder.function("main", params):
        with builder.dataflow():
            value = builder.emit_output(relax.Call(name, params))
        builder.emit_func_output(value)
    return relax.transform.FuseTIR()(builder.get())
