"""Does what is known without any timing rank natdeploy's artifacts on this machine better than multiply-adds do?

    python benchmarks/static_rank.py [--space mbv3-micro] [--networks 250] [--json] [--seed S] [--quick]

Reads timings of the compiled library that ``natdeploy profile --device host`` has stored, and nothing of them but to
judge. Figures: Spearman's rank correlation with latency of the prior by machine code, ``mca_spearman`` (used where
llvm-mca of LLVM 19 or later is installed), of the prior by roofline, ``roofline_spearman`` (used where it is not), of
the roofline with the costs of other runtimes, ``published_costs_spearman``, and of multiply-adds, ``macs_spearman``; of
all but the last, too, the standard deviation of the logarithm of latency over prediction, ``..._scatter``, and the
share of latencies inside intervals of 90 %, ``..._coverage_90``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]


def measure(space_name: str, networks: int) -> dict[str, float]:
    """The figures. Raises BadInput where too little is stored, or LLVM's tools are missing."""
    from natdeploy.devices import device_fingerprint, load_profile
    from natdeploy.ground.errors import BadInput
    from natdeploy.latency.hardware.machine_code import Machine, MachineCodePredictor
    from natdeploy.latency.hardware.prior import PriorPredictor
    from natdeploy.latency.hardware.roofline import processor_of
    from natdeploy.latency.intervals.quality import point_quality
    from natdeploy.latency.library import load_prior, own_prior
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
    truth = np.array([known[arch] for arch in archs])
    prior, processor = load_prior(), processor_of(host)
    predictors: dict[str, MachineCodePredictor | PriorPredictor] = {
        "mca": MachineCodePredictor(prior, Machine.of(host), space),
        "roofline": PriorPredictor(own_prior(prior), processor, space),
        "published_costs": PriorPredictor(prior, processor, space),
    }
    figures = {"networks": float(len(archs))}
    for name, predictor in predictors.items():
        said = predictor.predict(archs, 0.9)
        figures |= {
            f"{name}_spearman": point_quality(truth, said.mean_ms).spearman,
            f"{name}_scatter": float(np.std(np.log(truth / said.mean_ms))),
            f"{name}_coverage_90": float(np.mean((said.lower_ms <= truth) & (truth <= said.upper_ms))),
        }
        print(f"static_rank: {name}", file=sys.stderr, flush=True)
    macs = np.array([costs(space.layers(arch)).macs for arch in archs], np.float64)
    return figures | {"macs_spearman": point_quality(truth, macs).spearman}


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.environment import environment
    from benchmarks.output import answer, parser_of

    parser = parser_of(__doc__, quick="thirty networks", seed="unused: networks are those that were timed")
    parser.add_argument("--space", default="mbv3-micro")
    parser.add_argument("--networks", type=int, default=250)
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
