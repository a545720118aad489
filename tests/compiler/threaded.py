"""A plan whose kernels are written in C and may be shared by threads (``kernels.c``)."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from natdeploy.compiler.native import RUNTIME
from natdeploy.compiler.plan import Call, Kernel, Plan, Port, View, make_plan
from natdeploy.ground.files import sha256_bytes
from natdeploy.ground.zig import run_zig
from tests.compiler.conftest import TARGET

KERNELS = Path(__file__).parent / "kernels.c"
ROWS, COLUMNS = 7, 5
WEIGHT = np.linspace(-1, 1, COLUMNS * COLUMNS, dtype="<f4").reshape(COLUMNS, COLUMNS)


def threaded_plan(folder: Path, rows: int = ROWS) -> Plan:
    """``sum over rows of x @ W @ W @ W``, each product split into its rows."""
    run_zig(["cc", "-O2", "-g0", "-fPIC", f"-I{RUNTIME}", "-c", "-o", "kernels.o", str(KERNELS)], folder)
    code = (folder / "kernels.o").read_bytes()
    digest = sha256_bytes(code)
    full, square = View((rows, COLUMNS)), View((COLUMNS, COLUMNS))
    names = ("x", "a", "b", "c")
    return make_plan(
        producer="test",
        target=TARGET,
        kernels=[
            Kernel("rows", digest, (full, square, full), parts=rows),
            Kernel("sum", digest, (full, View((COLUMNS,)))),
        ],
        objects={digest: code},
        activations={**dict.fromkeys(names, full.bytes), "y": COLUMNS * 4},
        constants={"weight": WEIGHT.tobytes()},
        calls=[
            *(Call(out, "rows", (x, "weight", out), rows * COLUMNS**2) for x, out in pairwise(names)),
            Call("y", "sum", ("c", "y")),
        ],
        inputs=[Port("x", "x", full)],
        outputs=[Port("y", "y", View((COLUMNS,)))],
    )
