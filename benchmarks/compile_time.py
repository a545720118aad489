"""How long natdeploy compiles, and how much memory and disk its artifacts take beyond what they must.

    python benchmarks/compile_time.py [--json] [--seed S] [--quick]

Random subnets of both Once-for-All spaces, compiled for this machine. ``cold_s``: layers to ``libmodel.so`` with an
empty kernel cache, in a temporary folder; ``warm_s``: the same again with the cache filled; the slowest subnet of each.
``all_workloads_s``: every kernel that a space can ask for at 224 pixels, from an empty cache, the slower space.
``arena_ratio``: activation memory over the largest sum of activations alive at once, ``model_run_extra_bytes``: the
static executable beyond float32 weights and biases; the worst of all subnets. The linker's own cache (a C library,
built once after installation) is filled before the clock starts. ``--quick`` takes one subnet of 160 pixels, and the
workloads of a third of a space.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from natdeploy.compiler import KernelCache, Plan
    from natdeploy.spaces import Network

CHECKOUT = Path(__file__).resolve().parents[1]
SUBNETS, RESOLUTION = 6, 224
#: Subnets whose kernels are compiled from nothing; the others of the same space find some in the cache.
COLD = 2


@dataclass(frozen=True)
class Compiled:
    """One subnet, compiled: seconds, and bytes beside the least that are possible."""

    seconds: float
    arena_ratio: float
    extra_bytes: int


def measure(*, seed: int, quick: bool) -> dict[str, Any]:
    """Compile everything. Raises BadInput for a machine whose processor has no kernels, ChildFailed."""
    from benchmarks.environment import environment
    from benchmarks.subnets import PRODUCER, SPACES, every_workload, random_archs, random_subnets
    from natdeploy.compiler import KernelCache, compile_layers
    from natdeploy.devices import llvm_target, load_profile

    target = llvm_target(load_profile("host"))
    archs = random_archs(1, seed, (160,)) if quick else random_archs(SUBNETS, seed)
    with tempfile.TemporaryDirectory(prefix="compile_time.") as temporary:
        folder = Path(temporary)
        fill_linker_cache(target, folder / "first")
        cold, warm = [], []
        for index, subnet in enumerate(random_subnets(archs, seed)):
            cache = KernelCache(folder / f"cache{index}")
            if index < COLD:
                cold.append(compile_once(subnet.network, target, cache, folder / "cold"))
                tell(f"{subnet.name}: cold {cold[-1].seconds:.1f} s")
            else:
                compile_once(subnet.network, target, cache, folder / "first")
            warm.append(compile_once(subnet.network, target, cache, folder / "warm"))
            tell(
                f"{subnet.name}: warm {warm[-1].seconds:.2f} s, arena x {warm[-1].arena_ratio:.3f}, "
                f"executable {warm[-1].extra_bytes:+,} bytes"
            )
        all_s, kernels = [], []
        for space in SPACES[:1] if quick else SPACES:
            networks = every_workload(space, 160 if quick else RESOLUTION)
            networks = networks[: len(networks) // 3] if quick else networks
            started = time.monotonic()
            cache = KernelCache(folder / space)
            kernels.append(compile_layers(networks, target=target, cache=cache, producer=PRODUCER))
            all_s.append(time.monotonic() - started)
            tell(f"{space}: {kernels[-1]} kernels in {all_s[-1]:.1f} s")
    figures = {
        "cold_s": max(one.seconds for one in cold),
        "warm_s": max(one.seconds for one in warm),
        "all_workloads_s": max(all_s),
        "arena_ratio": max(one.arena_ratio for one in warm),
        "model_run_extra_bytes": max(one.extra_bytes for one in warm),
        "subnets": len(archs),
        "workloads": max(kernels),
    }
    about = {"target": dict(target), "producer": PRODUCER}
    return {
        "benchmark": "compile_time",
        "figures": figures,
        "environment": {**environment(seed=seed, quick=quick), **about, "data": "random weights"},
    }


def compile_once(network: Network, target: dict[str, Any], cache: KernelCache, folder: Path) -> Compiled:
    """Layers to ``libmodel.so``, timed, and its sizes; the executable is made after the clock has stopped."""
    from benchmarks.subnets import PRODUCER
    from natdeploy.compiler import build_artifacts, make_network_plan

    started = time.monotonic()
    plan = make_network_plan(network, target=target, cache=cache, producer=PRODUCER)
    build_artifacts(plan, folder, kinds=("native",))
    seconds = time.monotonic() - started
    executable = build_artifacts(plan, folder, kinds=("executable",))["executable"]
    return Compiled(seconds, arena_ratio(plan, network), extra_bytes(executable.path, network))


def arena_ratio(plan: Plan, network: Network) -> float:
    """The plan's arena over the most float32 activations that are alive at once when layers run in order."""
    from natdeploy.spaces.costs import peak_activation_bytes

    return plan.arena_bytes / peak_activation_bytes(network.layers)


def extra_bytes(executable: Path, network: Network) -> int:
    """Bytes of a static executable beyond the network's weights and biases, which are embedded."""
    return executable.stat().st_size - sum(weight.nbytes for weight in network.weights.values())


def fill_linker_cache(target: dict[str, Any], folder: Path) -> None:
    """Link something, so that zig has built what it needs of a C library."""
    from benchmarks.subnets import PRODUCER
    from natdeploy.compiler import build_artifacts, make_network_plan
    from natdeploy.spaces import get_space, random_network

    space = get_space("mbv3-micro")
    plan = make_network_plan(random_network(space.layers(space.smallest())), target=target, producer=PRODUCER)
    build_artifacts(plan, folder, kinds=("native", "executable"))


def tell(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import answer, parser_of

    parser = parser_of(__doc__, quick="one subnet and a third of the workloads", seed="of architectures and weights")
    options = parser.parse_args()
    answer(parser, lambda: measure(seed=options.seed, quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    main()
