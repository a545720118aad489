"""natdeploy's compiled subnets against the runtimes that a user would take instead, on this machine's processor.

    python benchmarks/compiled.py [--json] [--threads N] [--subnets N] [--seed S] [--without NAME] [--quick]

Random subnets of both Once-for-All spaces at six resolutions, with random weights and folded batch norms:
``libmodel.so`` against ONNX Runtime, OpenVINO, LiteRT (XNNPACK), ncnn and torch (compiled, frozen), each in its best
setting for one image in float32, installed by pip into an environment of its own. Every runtime is a process pinned to
the same N processors; they take turns in rounds, in random order, on the same image, and all outputs are compared with
torch's. Tables go to stderr. ``vs`` is natdeploy's median time over the other's: below 1, natdeploy is faster.

``quiet`` is 1 where a fixed kernel, timed in every round, kept its time within 5 %; in others the ratios say little.
Where ONNX Runtime reaches less than 35 % of the processor's measured peak, ``fair`` is 0 and the run says why. A peer
that cannot be installed, or whose outputs are wrong, is an error; ``--without`` leaves it out and the result says so.
``--quick``: one subnet, few rounds, and no peers beside ONNX Runtime that would have to be installed or that take
minutes to prepare.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.compiled_rounds import Worker
    from benchmarks.subnets import RandomSubnet

CHECKOUT = Path(__file__).resolve().parents[1]
ROUNDS, QUICK_ROUNDS = 15, 4
#: Largest difference of a logit from torch's, relative to the largest logit; sums in another order make some 1e-6.
TOLERANCE = 1e-4
ORT = "onnxruntime"


def measure(*, threads: int, subnets: int, seed: int, without: Sequence[str], quick: bool) -> dict[str, Any]:
    """Build, convert, load, compare, time. Raises BadInput and ChildFailed naming the runtime at fault."""
    import torch

    from benchmarks.compiled_figures import figures, unfair
    from benchmarks.compiled_peers import PEERS
    from benchmarks.compiled_rounds import Worker
    from benchmarks.environment import environment
    from benchmarks.subnets import PRODUCER, random_archs, random_subnets
    from natdeploy.devices import llvm_target, load_profile, measure_peak
    from natdeploy.devices.host import timing_processors
    from natdeploy.ground.processes import call_in_child

    torch.set_num_threads(1)
    host = load_profile("host")
    processors = timing_processors(host, threads)
    target = llvm_target(host)
    left_out = dict.fromkeys(without, "--without")
    if quick:
        left_out |= {
            name: "--quick"
            for name, peer in PEERS.items()
            if name not in left_out and name != ORT and (peer.slow or not peer.installed(name))
        }
    peers = [name for name in PEERS if name not in left_out]
    pythons = {name: PEERS[name].python(name) for name in peers}
    vector_bits = host.timed_cluster.vector_bits
    peak = call_in_child(measure_peak, vector_bits, timeout_s=300, cpus=processors[:1])["peak_gflops_per_core"]
    tell(f"processors {processors}, {peak:.1f} GFLOP/s each; against {', '.join(peers)}")
    rng = np.random.default_rng(seed)
    rows, reference = [], []
    with tempfile.TemporaryDirectory(prefix="compiled.") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        steady = stack.enter_context(Worker("reference", Path(sys.executable), processors))
        load_reference(steady, folder)
        workers = [Worker("natdeploy", Path(sys.executable), processors)]
        workers += [Worker(name, pythons[name], processors) for name in peers]
        for worker in workers:
            stack.enter_context(worker)
        archs = random_archs(1 if quick else subnets, seed)
        for index, subnet in enumerate(random_subnets(archs, seed)):
            tell(f"{index + 1}/{len(archs)} {subnet.name}: preparing")
            errors = prepare(subnet, folder / subnet.name, workers, pythons, target)
            row, turns = timed(subnet, workers, steady, QUICK_ROUNDS if quick else ROUNDS, rng, peak * threads)
            rows.append(row | {"rel_error": errors})
            reference += turns
            tell(line_of(rows[-1]))
    found = figures(rows, reference, threads=threads, peak_gflops_per_core=peak)
    why = unfair(found)
    if why:
        tell(f"NOT A FAIR RUN: {why}")
    about = {
        "producer": PRODUCER,
        "target": dict(target),
        "isa": isa_name(target),
        "processors": list(processors),
        "peers": {name: [*PEERS[name].requirements, *PEERS[name].without_dependencies] for name in peers},
        "left_out": left_out,
        "unfair_because": why,
        "data": "random weights and images",
    }
    return {
        "benchmark": "compiled",
        "figures": found,
        "subnets": rows,
        "environment": {**environment(seed=seed, quick=quick), **about},
    }


def prepare(
    subnet: RandomSubnet, folder: Path, workers: Sequence[Worker], pythons: dict[str, Path], target: dict[str, Any]
) -> dict[str, float]:
    """Build and convert a subnet and load it everywhere; the relative error of each runtime's output to torch's.

    Raises VerificationFailed naming a runtime whose output differs by more than :data:`TOLERANCE`.
    """
    import shutil

    import torch

    from benchmarks.compiled_peers import PEERS
    from benchmarks.subnets import PRODUCER
    from natdeploy.compiler import build_native, build_onnx
    from natdeploy.ground.errors import VerificationFailed

    folder.mkdir()
    onnx = build_onnx(subnet.network, folder).path
    native = build_native(subnet.network, target=target, folder=folder / "native", producer=PRODUCER).path
    image = folder / "image.npy"
    np.save(image, subnet.image)
    with torch.no_grad():
        expected = subnet.module(torch.from_numpy(subnet.image)).numpy().reshape(-1)
    errors = {}
    for worker in workers:
        name = worker.name
        model = native if name == "natdeploy" else PEERS[name].convert(subnet, onnx, pythons[name])
        logits = worker.load(model, image, folder / f"{name}.npy")
        if logits.shape != expected.shape:
            raise VerificationFailed(
                f"runtime {name}: {logits.size} logits for {subnet.name}, torch has {expected.size}"
            )
        errors[name] = float(np.abs(logits - expected).max() / np.abs(expected).max())
        if not errors[name] <= TOLERANCE:  # NaN is no success
            raise VerificationFailed(
                f"runtime {name}: its output for {subnet.name} differs from torch's by {errors[name]:.2g}, relative to "
                f"the largest logit; at most {TOLERANCE:g} is expected"
            )
    shutil.rmtree(folder)  # everything is loaded, and a dozen subnets take gigabytes
    return errors


def timed(
    subnet: RandomSubnet,
    workers: Sequence[Worker],
    steady: Worker,
    rounds: int,
    rng: np.random.Generator,
    peak_gflops: float,
) -> tuple[dict[str, Any], list[float]]:
    """A subnet's row, and the reference kernel's turns."""
    from benchmarks.compiled_figures import row_of
    from benchmarks.compiled_rounds import timed_rounds

    turns = timed_rounds([*workers, steady], rounds, rng)
    reference = turns.pop(steady.name)
    macs = sum(layer.macs for layer in subnet.network.layers)
    row = row_of(turns, macs=macs, peak_gflops=peak_gflops)
    return {"name": subnet.name, "arch": subnet.arch.to_json(), "macs": macs, **row}, reference


def load_reference(worker: Worker, folder: Path) -> None:
    """Compile the reference kernel and load it."""
    from natdeploy.ground.zig import host_library

    np.save(folder / "nothing.npy", np.zeros(1, np.float32))
    library = host_library(CHECKOUT / "benchmarks" / "reference_kernel.c", [])
    worker.load(library, folder / "nothing.npy", folder / "reference.npy")


def isa_name(target: dict[str, Any]) -> str:
    """The vectors that natdeploy's kernels are written for."""
    from natdeploy.compiler import KernelCache
    from natdeploy.compiler.kernels.objects import isa_for
    from natdeploy.compiler.target import check_target

    isa = isa_for(check_target(target), KernelCache())
    arm = str(target["mtriple"]).startswith(("aarch64", "arm"))
    return "NEON" if arm else {16: "AVX-512", 8: "AVX2", 4: "SSE"}[isa.lanes]


def line_of(row: dict[str, Any]) -> str:
    """A subnet's medians, the ratios and the share of peak, for people."""
    times = ", ".join(f"{name} {ms:.2f}" for name, ms in row["ms"].items())
    error = max(row["rel_error"].values())
    return (
        f"  {row['macs'] / 1e6:.0f} M MACs: {times} ms; to ONNX Runtime {row['vs'][ORT]:.3f}, to {row['best']} "
        f"{row['vs_best']:.3f}; {row['fma_peak_share']:.0%} of peak; errors up to {error:.1e}"
    )


def tell(line: str) -> None:
    """Progress and tables, on stderr."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.compiled_peers import PEERS
    from benchmarks.output import print_found
    from natdeploy.ground.errors import NatdeployError

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--threads", type=int, default=1, help="of every runtime, each on a processor of its own")
    parser.add_argument("--subnets", type=int, default=12, help="twelve have every width and resolution")
    parser.add_argument("--seed", type=int, default=0, help="of architectures, weights and images")
    others = [name for name in PEERS if name != ORT]
    parser.add_argument("--without", action="append", default=[], choices=others, help="leave a peer out; repeatable")
    parser.add_argument("--quick", action="store_true", help="one subnet and what is already installed")
    options = parser.parse_args()
    for name in ("threads", "subnets"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, not {getattr(options, name)}")
    asked = {name: getattr(options, name) for name in ("threads", "subnets", "seed", "without", "quick")}
    try:
        found = measure(**asked)
    except NatdeployError as error:
        parser.error(str(error))
    print_found(found, as_json=options.json)


if __name__ == "__main__":
    main()
