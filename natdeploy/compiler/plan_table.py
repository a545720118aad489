"""A plan for people: one line per call."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from natdeploy.compiler.plan import Launch, Plan


def plan_table(plan: Plan) -> str:
    """One line per call: layer, kernel, shape, whence its tile, multiply-accumulates, bytes moved; the totals."""
    kernels = {kernel.name: kernel for kernel in plan.kernels}
    rows = [("layer", "kernel", "output", "tile", "MACs", "bytes", *(["threads"] if plan.on_gpu else []))]
    for call in plan.calls:
        views = kernels[call.kernel].arguments
        shape = "x".join(map(str, views[-1].shape))
        tile = "record" if kernels[call.kernel].tuned else "rule"
        launch = kernels[call.kernel].launch
        threads = [launch_text(launch)] if launch else []
        moved = sum(view.bytes for view in views)
        rows.append((call.layer, call.kernel, shape, tile, f"{call.macs:,}", f"{moved:,}", *threads))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(size) if i < 4 else cell.rjust(size) for i, (cell, size) in enumerate(zip(row, widths)))
        for row in rows
    ]
    lines.append(
        f"{len(plan.calls)} calls of {len(plan.kernels)} kernels, {plan.macs:,} MACs, "
        f"arena {plan.arena_bytes:,} bytes, constants {len(plan.constants):,} bytes"
    )
    return "\n".join(line.rstrip() for line in lines)


def launch_text(launch: Launch) -> str:
    """Groups and threads of each, without axes of one at the end: ``49 x 16,16``."""
    return " x ".join(
        ",".join(map(str, sizes)).removesuffix(",1").removesuffix(",1") for sizes in (launch.groups, launch.threads)
    )
