"""Does machine code alone rank natdeploy's artifacts on this machine better than multiply-adds do?

    python benchmarks/static_rank.py [--space mbv3-micro] [--networks 110] [--json] [--seed S] [--quick]

Reads timings of the compiled library that ``natdeploy profile --device host`` has stored, x86-64 only, and nothing of
them but to judge. Every kernel of these networks is compiled; its inner loop (innermost, with the most fused
multiply-adds) goes through llvm-mca of LLVM 19 or later with the model of the processor, and what it does per cycle
stands for the whole kernel (kernels without such a loop take the median's rate). Figures: Spearman's rank correlation
of a network's sum with its latency, ``mca_spearman``, beside ``macs_spearman`` and that of the shipped prior's costs,
``prior_spearman``; a virtual machine tells no clock, but ranks do not depend on it: 4 GHz are assumed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
CLOCK_GHZ = 4.0
#: A line of a disassembly: address, name, operands.
Line = tuple[int, str, str]
_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*?)\s*(?:<[^>]*>)?\s*$")
_TARGET = re.compile(r"^0x([0-9a-f]+)")


def parse(disassembly: str) -> list[Line]:
    """Read ``llvm-objdump -d --no-show-raw-insn`` of x86-64 code."""
    found = (_LINE.match(line.partition("#")[0]) for line in disassembly.splitlines())
    return [(int(match[1], 16), match[2], match[3]) for match in found if match]


def macs_of(line: Line) -> int:
    """Multiply-adds of float32 that one instruction does."""
    _, name, operands = line
    if not name.startswith(("vfmadd", "vfnmadd")):
        return 0
    if name.endswith("ss"):
        return 1
    return 16 if "zmm" in operands else 8 if "ymm" in operands else 4


def heaviest_loop(code: Sequence[Line]) -> list[Line]:
    """The innermost loop with the most multiply-adds; empty where there is none."""
    place = {address: index for index, (address, _, _) in enumerate(code)}
    spans = set()
    for index, (_, name, operands) in enumerate(code):
        target = _TARGET.match(operands) if name.startswith("j") else None
        if target and place.get(int(target[1], 16), index + 1) <= index:
            spans.add((place[int(target[1], 16)], index))
    inner = [
        (start, end)
        for start, end in spans
        if not any((a, b) != (start, end) and start <= a and b <= end for a, b in spans)
    ]
    loops = [list(code[start : end + 1]) for start, end in sorted(inner)]
    return max(
        (loop for loop in loops if sum(map(macs_of, loop))), key=lambda loop: sum(map(macs_of, loop)), default=[]
    )


def macs_per_cycle(code: bytes, cpu: str) -> float | None:
    """Of an object file's heaviest loop; None where there is none, or where the processor's model lacks it."""
    from benchmarks.machine_code import llvm_tool

    with tempfile.NamedTemporaryFile(suffix=".o") as file:
        file.write(code)
        file.flush()
        command = [llvm_tool("llvm-objdump"), "-d", "--no-show-raw-insn", file.name]
        loop = heaviest_loop(parse(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    if not loop:
        return None
    lines = [f"{name} {'loop' if name.startswith('j') else operands}" for _, name, operands in loop]
    command = [llvm_tool("llvm-mca"), "-mtriple=x86_64-linux-gnu", f"-mcpu={cpu}", "-iterations=100", "-json"]
    done = subprocess.run(command, input="\n".join(("loop:", *lines)) + "\n", capture_output=True, text=True)
    if done.returncode:
        return None
    cycles = json.loads(done.stdout)["CodeRegions"][0]["SummaryView"]["TotalCycles"] / 100
    return sum(map(macs_of, loop)) / cycles


def measure(space_name: str, networks: int) -> dict[str, float]:
    """The figures. Raises BadInput where too little is stored, or LLVM's tools are missing."""
    from benchmarks.subnets import PRODUCER
    from natdeploy.compiler import PRODUCERS, KernelCache
    from natdeploy.compiler.target import check_target
    from natdeploy.devices import device_fingerprint, llvm_target, load_profile
    from natdeploy.ground.errors import BadInput
    from natdeploy.latency.library import load_prior
    from natdeploy.latency.prior import PriorPredictor
    from natdeploy.latency.quality import point_quality
    from natdeploy.latency.roofline import Processor
    from natdeploy.measure import MeasurementStore
    from natdeploy.spaces import costs, get_space

    host, space = load_profile("host"), get_space(space_name)
    place = {"device_fingerprint": device_fingerprint(host), "runtime": "tvm", "space": space_name}
    timings = [item for role in ("holdout", "train") for item in MeasurementStore().query(**place, role=role)]
    known = {item.arch: item.latency_ms for item in timings if item.arch is not None and item.trusted}
    archs = list(known)[:networks]
    if len(archs) < 20:
        raise BadInput(
            f"{len(archs)} stored timings of {space_name} with tvm, at least 20 are needed; profile the host"
        )
    target = check_target(llvm_target(host))
    producer, cache = PRODUCERS.get(PRODUCER), KernelCache()
    kernels: dict[str, Any] = {}
    macs: dict[str, int] = {}
    uses = []
    for arch in archs:
        steps = producer.steps(space.layers(arch))
        made = producer.kernels(steps, target, cache, None)
        kernels |= {kernel.symbol: kernel for kernel in made}
        macs |= {kernel.symbol: sum(one.macs for one in step.layers) for step, kernel in zip(steps, made)}
        uses.append([kernel.symbol for kernel in made])
    print(f"static_rank: {len(kernels)} kernels", file=sys.stderr, flush=True)
    codes = producer.code(list(kernels.values()), target, cache, None)
    rates = {name: macs_per_cycle(code, str(target["mcpu"])) for name, code in codes.items()}
    typical = float(np.median([rate for rate in rates.values() if rate]))
    cycles = np.array([sum(macs[name] / (rates[name] or typical) for name in names) for names in uses])
    cluster = host.timed_cluster
    peak = (cluster.peak_gops() or 226.0) / 2
    processor = Processor(
        peak, CLOCK_GHZ, *(max(cache_.kib for cache_ in cluster.caches if cache_.level == n) for n in (2, 3))
    )
    said = {
        "mca": cycles,
        "macs": np.array([costs(space.layers(arch)).macs for arch in archs], np.float64),
        "prior": PriorPredictor(load_prior(), processor, space).predict(archs, 0.9).mean_ms,
    }
    truth = np.array([known[arch] for arch in archs])
    figures = {f"{name}_spearman": point_quality(truth, value).spearman for name, value in said.items()}
    looped = float(np.mean([rate is not None for rate in rates.values()]))
    return {**figures, "networks": len(archs), "kernels": len(kernels), "kernels_with_loop": looped}


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.environment import environment
    from benchmarks.output import answer, parser_of

    parser = parser_of(__doc__, quick="thirty networks", seed="unused: networks are those that were timed")
    parser.add_argument("--space", default="mbv3-micro")
    parser.add_argument("--networks", type=int, default=110)
    options = parser.parse_args()
    networks = min(options.networks, 30) if options.quick else options.networks

    def work() -> dict[str, Any]:
        about = {"space": options.space, "data": "this machine's stored timings"}
        return {
            "benchmark": "static_rank",
            "figures": measure(options.space, networks),
            "environment": {**environment(seed=options.seed, quick=options.quick), **about},
        }

    answer(parser, work, as_json=options.json)


if __name__ == "__main__":
    main()
