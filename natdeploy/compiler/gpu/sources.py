"""The files of a plan for a graphics processor: kernels as source, weights, for OpenCL the C program around them."""

from __future__ import annotations

import shutil
from pathlib import Path

from natdeploy.compiler.gpu.target import LANGUAGES
from natdeploy.compiler.model_source import VERSION_SCRIPT, constants_asm, model_c
from natdeploy.compiler.native import RUNTIME
from natdeploy.compiler.plan import Plan
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import read_json, readable_disk_errors, sha256_bytes, write_bytes, write_json

#: The part of the C program that calls OpenCL; the rest is that of processors.
HOST = Path(__file__).parent / "host"
#: C sources of the library, and of ``model_run`` beside them; both are compiled with the generated ``model.c``.
LIBRARY = ("natdeploy_opencl.c", "natdeploy_model.c", "model.c", "constants.S", "program.S")
EXECUTABLE = "model_run.c"
_HEADERS = (
    "natdeploy.h",
    "natdeploy_plan.h",
    "tvm_abi.h",
    "natdeploy_opencl.h",
    "natdeploy_opencl_plan.h",
    "opencl_abi.h",
)
#: Every file that :func:`write_gpu_sources` may write.
SOURCE_FILES = (
    *(f"kernels.{suffix}" for suffix in LANGUAGES.values()),
    *("constants.bin", "plan.json", "exports.map", "CMakeLists.txt"),
    *(*_HEADERS, *LIBRARY, EXECUTABLE),
)
_CMAKE = """\
# The compiled model as a CMake project of an app or board: add_subdirectory(THIS_FOLDER), then
# target_link_libraries(app natdeploy_model). The device's own OpenCL library is loaded when the program runs.
cmake_minimum_required(VERSION 3.16)
project(natdeploy_model C ASM)
set(CMAKE_C_STANDARD 11)
add_library(natdeploy_model STATIC {library})
target_include_directories(natdeploy_model PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
target_compile_options(natdeploy_model PRIVATE $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra>)
# The assembler sources embed these files.
set_source_files_properties(constants.S PROPERTIES OBJECT_DEPENDS ${{CMAKE_CURRENT_SOURCE_DIR}}/constants.bin
  COMPILE_OPTIONS -I${{CMAKE_CURRENT_SOURCE_DIR}})
set_source_files_properties(program.S PROPERTIES OBJECT_DEPENDS ${{CMAKE_CURRENT_SOURCE_DIR}}/kernels.cl
  COMPILE_OPTIONS -I${{CMAKE_CURRENT_SOURCE_DIR}})
target_link_libraries(natdeploy_model PUBLIC ${{CMAKE_DL_LIBS}})
add_executable(model_run EXCLUDE_FROM_ALL {executable})
target_link_libraries(model_run natdeploy_model m)
"""


def kernels_file(plan: Plan) -> str:
    """Name of the file that holds the kernels."""
    return f"kernels.{LANGUAGES[plan.target['kind']]}"


def program_text(plan: Plan) -> str:
    """The kernels in one source file, in the order of the plan; what stands before several of them, once."""
    before: dict[str, None] = {}
    bodies = []
    for kernel in plan.kernels:
        source = plan.objects[kernel.object].decode()
        start = source.rindex("\n", 0, source.index(f" {kernel.name}(")) + 1
        before[source[:start].replace(f"// Function: {kernel.name}\n", "").strip()] = None
        bodies.append(source[start:])
    return "\n".join([*(text + "\n" for text in before if text), *bodies])


def write_gpu_sources(plan: Plan, folder: Path) -> None:
    """Write those of :data:`SOURCE_FILES` that the plan's language has. Equal plans give equal bytes.

    Raises BadInput for a full disk.
    """
    folder = Path(folder)
    write_json(folder / "plan.json", plan.to_json())
    write_bytes(folder / kernels_file(plan), program_text(plan).encode())
    write_bytes(folder / "constants.bin", plan.constants)
    if plan.target["kind"] != "opencl":
        return
    texts = {
        "model.c": model_c(plan),
        "constants.S": constants_asm("constants.bin"),
        "program.S": constants_asm(kernels_file(plan), "natdeploy_program"),
        "exports.map": VERSION_SCRIPT,
        "CMakeLists.txt": _CMAKE.format(library=" ".join(LIBRARY), executable=EXECUTABLE),
    }
    for name, text in texts.items():
        write_bytes(folder / name, text.encode())
    with readable_disk_errors(folder):
        for name in (*_HEADERS, *LIBRARY, EXECUTABLE):
            if name not in texts:
                shutil.copyfile((HOST if (HOST / name).exists() else RUNTIME) / name, folder / name)


def load_gpu_sources(folder: Path) -> Plan:
    """The plan of a folder that :func:`write_gpu_sources` wrote; the file of kernels is the one object of them all.

    Raises BadInput, naming the file, for a part that is missing, damaged or no plan for a graphics processor.
    """
    path = Path(folder) / "plan.json"
    value = read_json(path, "plan")
    try:
        kernels = path.with_name(f"kernels.{LANGUAGES[value['target']['kind']]}").read_bytes()
        constants = path.with_name("constants.bin").read_bytes()
        digest = sha256_bytes(kernels)
        value = {**value, "kernels": [{**kernel, "object": digest} for kernel in value["kernels"]]}
    except OSError as error:
        raise BadInput(f"{error.filename}: cannot be read: {error.strerror}; build the model again") from None
    except (KeyError, TypeError) as error:
        raise BadInput(f"{path}: not a plan for a graphics processor: {error}; build the model again") from None
    return Plan.from_json(value, constants, {digest: kernels}, where=str(path))
