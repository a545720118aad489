"""How well the heaviest kernels' inner loops fill ARM processors that are not here, from machine code alone.

    python benchmarks/aarch64_static.py [--json] [--seed S] [--quick]

The ten kernels that do most multiply-accumulates in random subnets of both Once-for-All spaces at 224 pixels are
compiled for cortex-a76, and each one's inner loop (the innermost backward branch with the most fused multiply-adds)
goes through llvm-mca of LLVM 19 or later: ``a76_peak_share_min`` is the worst loop's operations a cycle over 16. The
model is neoverse-n1, the same core for servers: LLVM's own cortex-a76 has one multiply-add pipe, the silicon has two.
Caches are not in the model. For cortex-a55 and cortex-x1, whose models are no better, the mix of instructions is
printed. ``inner_loop_spills`` counts accesses to the stack in all inner loops of the ten kernels, for all three
processors. Needs ``apt-get install llvm-19``. ``--quick`` takes the three heaviest kernels of four subnets.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
RESOLUTION, SUBNETS, HEAVIEST = 224, 24, 10
QUICK_SUBNETS, QUICK_HEAVIEST = 4, 3
TRIPLE = "aarch64-linux-gnu"
PROCESSORS = ("cortex-a76", "cortex-a55", "cortex-x1")
#: The processor that is judged, the model that stands for it, and two pipes of four lanes, two operations each.
JUDGED, MODEL, PEAK_FLOPS_PER_CYCLE = "cortex-a76", "neoverse-n1", 16


def measure(*, seed: int, quick: bool) -> dict[str, Any]:
    """Compile, disassemble, simulate. Raises BadInput where LLVM's tools are missing, ChildFailed."""
    from benchmarks.environment import environment
    from benchmarks.subnets import PRODUCER, random_archs, wider_space
    from natdeploy.compiler.machine_code import llvm_tool

    tools = [llvm_tool(name) for name in ("llvm-mca", "llvm-objdump")]
    archs = random_archs(QUICK_SUBNETS if quick else SUBNETS, seed, (RESOLUTION,))
    networks = [wider_space(arch.space).layers(arch) for arch in archs]
    rows = []
    for cpu in PROCESSORS:
        rows += rows_of(networks, cpu, QUICK_HEAVIEST if quick else HEAVIEST)
    judged = [row["peak_share"] for row in rows if row["processor"] == JUDGED]
    figures = {
        "a76_peak_share_min": min(judged),
        "a76_peak_share_mean": sum(judged) / len(judged),
        "inner_loop_spills": sum(row["spills"] for row in rows),
        "peak_flops_per_cycle": PEAK_FLOPS_PER_CYCLE,
        "kernels": len(judged),
        "subnets": len(archs),
    }
    about = {"producer": PRODUCER, "llvm_tools": tools, "model": f"{MODEL} for {JUDGED}", "data": "none"}
    return {
        "benchmark": "aarch64_static",
        "figures": figures,
        "kernels": rows,
        "environment": {**environment(seed=seed, quick=quick), **about},
    }


def rows_of(networks: list[Any], cpu: str, count: int) -> list[dict[str, Any]]:
    """What is found of a processor's heaviest kernels; printed on stderr, too."""
    from benchmarks.machine_code import mix, spills
    from benchmarks.subnets import PRODUCER
    from natdeploy.compiler import PRODUCERS, KernelCache
    from natdeploy.compiler.machine_code import cycles, disassemble, inner_loops
    from natdeploy.compiler.target import check_target
    from natdeploy.ground.errors import VerificationFailed

    producer, cache = PRODUCERS.get(PRODUCER), KernelCache()
    target = check_target({"kind": "llvm", "mtriple": TRIPLE, "mcpu": cpu})
    macs: Counter[str] = Counter()
    kernels: dict[str, Any] = {}
    for layers in networks:
        steps = producer.steps(layers)
        for step, kernel in zip(steps, producer.kernels(steps, target, cache, None)):
            kernels[kernel.symbol] = kernel
            macs[kernel.symbol] += sum(layer.macs for layer in step.layers)
    heaviest = [name for name, _ in macs.most_common(count)]
    codes: Mapping[str, bytes] = producer.code([kernels[name] for name in heaviest], target, cache, None)
    print(f"{cpu}: {len(kernels)} kernels, of which the {count} heaviest do ", file=sys.stderr, end="")
    print(f"{sum(macs[name] for name in heaviest) / macs.total():.0%} of all multiply-accumulates", file=sys.stderr)
    rows = []
    for name in heaviest:
        (code,) = disassemble([codes[name]], cpu)
        loops = inner_loops(code)
        if not loops:
            raise VerificationFailed(
                f"kernel {name} for {cpu} has no loop with multiply-adds; was it compiled for this?"
            )
        row = {
            "processor": cpu,
            "kernel": name,
            "workload": kernels[name].workload,
            "schedule": kernels[name].schedule,
            "macs_share": macs[name] / macs.total(),
            "mix": mix(loops[0]),
            "spills": sum(spills(loop, code) for loop in loops),
            "spills_of_rests": sum(spills(loop, code) for loop in loops[1:]),
        }
        if cpu == JUDGED:
            taken = cycles(loops[:1], MODEL, TRIPLE)[0]
            row |= {"cycles": taken, "peak_share": 2 * loops[0].macs / taken / PEAK_FLOPS_PER_CYCLE}
        rows.append(row)
        found = ", ".join(f"{number} {kind}" for kind, number in sorted(row["mix"].items()))
        share = f"{row['peak_share']:.1%} of peak, " if "peak_share" in row else ""
        spilled = f"{row['spills']} spills, {row['spills_of_rests']} of them in loops for rests"
        print(f"  {name}: {share}{found}; {spilled}; tile {row['schedule']}", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import answer, parser_of

    parser = parser_of(__doc__, quick="three kernels of four subnets", seed="of architectures")
    options = parser.parse_args()
    answer(parser, lambda: measure(seed=options.seed, quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    main()
