"""Latency prediction on published measurements, by the protocols of the papers that published them.

    python benchmarks/latency.py few-shot --space fbnet|nasbench201 [--hard] [--target A,B --sources C,D]
    python benchmarks/latency.py scaling [--target adreno640_gpu] [--counts 3,24,25,600]
    python benchmarks/latency.py tables [--target ofa_note10,msunas_i7_8700k]
    python benchmarks/latency.py kernels [--device pixel4,s10]
    python benchmarks/latency.py cpu-networks [--device pixel4 --config 1large]
    python benchmarks/latency.py ofa [--target titan_rtx_1,v100_32]
    python benchmarks/latency.py prior
    python benchmarks/latency.py speed
    python benchmarks/latency.py host
    python benchmarks/latency.py coverage

Options: ``--json`` (one object on stdout, all else on stderr), ``--seeds N``, ``--seed S``, ``--quick``,
``--table FILE`` (other files with the same columns, read together). Without ``--table`` the tidied tables of HELP (Lee
et al. 2021) and OneProxy (Lu et al. 2022) are read from ``shared/data/latency`` beside the checkout.

few-shot is HELP's protocol: sources are measured on the first part of the architectures (by ``arch_id``), the 10 or 20
measurements of the target come from there too, and the next 1,000 are predicted, less the slowest and fastest tenth.
No device's latency of a predicted architecture is read but the target's, to judge.

tables leaves image sizes of published lookup tables out; ``--seeds`` is how many of them, at most.

scaling says at every number of measurements what the blend, its parts and XGBoost from scratch do, by how much the
blend leads the best of these (``lead_N``, paired over seeds, with its standard error), and whether a part is ahead by
more than chance explains (``beats_parts``) or at all (``ahead_of_parts``).

kernels adds up kernels of networks that are unseen on phones' GPUs; cpu-networks predicts networks on some cores of a
phone from few of them and from what other phones took for others; ofa trains on 900 networks of HELP's table of
Once-for-All; speed counts architectures per second; host times networks on this machine for half an hour, and goes on
where it was cut when it is given the same ``--home FOLDER`` again. Each is described in its file,
``benchmarks/latency_*.py``.

prior ranks blocks, and random networks of 16 of them, of devices of which no latency was used: their hardware profiles
and other devices' published latencies are all that it knows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]


#: Files that tasks read beside those of HELP and OneProxy.
DATA = {
    "tables": ("ofa_note10_lut.csv", "msunas_i7_8700k_lut.csv", "ofa_specialized_nets.csv"),
    "prior": ("tables of blocks", "mobile-ml-benchmark", "ncnn"),
    "kernels": ("qed_cnn_gpu_ops.csv.gz", "qed_cnn_e2e.csv.gz"),
    "cpu-networks": ("qed_cnn_e2e.csv.gz",),
    "ofa": ("help_ofa.csv.gz",),
    "speed": ("random architectures",),
    "host": ("this machine, timed",),
}
#: Options that say what a task is about, but those with data of their own.
CHOSEN = ("space", "hard", "target", "sources")
#: Tasks of which neither files nor devices can be chosen.
OWN = ("kernels", "cpu-networks", "prior", "speed", "host", "coverage")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Do the task."""
    from benchmarks.environment import environment

    seeds = range(options.seed, options.seed + (2 if options.quick else options.seeds))
    about = {
        "data": [str(file) for file in options.table or DATA.get(options.task, ())] or "HELP and OneProxy, tidied",
        **{name: getattr(options, name) for name in ("task", *(() if options.task in OWN else CHOSEN))},
        "seeds": len(seeds),
        "row": row(options),
    }
    return {
        "benchmark": "latency",
        "figures": figures_of(options, seeds),
        "environment": {**environment(seed=options.seed, quick=options.quick), **about},
    }


def row(options: argparse.Namespace) -> str:
    """Name of the task, and of what distinguishes it from others of that name."""
    if options.task == "few-shot":
        return f"few-shot-{'hard' if options.hard else options.space}"
    return str(options.task)


def figures_of(options: argparse.Namespace, seeds: range) -> dict[str, float]:
    """The figures of the task that was asked for."""
    from benchmarks.latency_figures import MANY, coverage_figures, few_shot_figures, hard_figures, scaling_figures
    from benchmarks.latency_protocols import Asked, run_few_shot, run_hard, run_scaling
    from benchmarks.published_latencies import PROTOCOLS

    if options.task == "tables":
        from benchmarks.latency_tables import tables_figures

        return tables_figures(options.target.split(",") if options.target else (), len(seeds))
    if options.task in OWN[:-1] or options.task == "ofa":
        return _own_figures(options, seeds)
    targets, sources = (names.split(",") if names else () for names in (options.target, options.sources))
    asked = Asked(options.table, targets, sources)
    if options.task == "few-shot" and options.hard:
        return hard_figures(run_hard(asked, seeds))
    if options.task == "few-shot":
        return few_shot_figures(run_few_shot(asked, options.space, seeds))
    if options.task == "scaling":
        counts = [int(count) for count in options.counts.split(",")] if options.counts else MANY
        return scaling_figures(run_scaling(asked, seeds, counts), counts)
    tallies = {space: (run_few_shot(asked, space, seeds), "chosen") for space in PROTOCOLS}
    others = {"hard": (run_hard(asked, seeds), "chosen"), "scaling": (run_scaling(asked, seeds), "all")}
    return coverage_figures({**tallies, **others})


def _own_figures(options: argparse.Namespace, seeds: range) -> dict[str, float]:
    """Tasks with protocols of their own."""
    if options.task == "kernels":
        from benchmarks.latency_kernels import kernels_figures

        return kernels_figures(options.device.split(",") if options.device else (), seeds)
    if options.task == "cpu-networks":
        from benchmarks.latency_phones import phone_figures

        return phone_figures(options.device, options.config, seeds)
    if options.task == "ofa":
        from benchmarks.latency_ofa import ofa_figures, run_ofa

        return ofa_figures(run_ofa(options.target.split(",") if options.target else (), seeds))
    if options.task == "speed":
        from benchmarks.latency_speed import speed_figures

        return speed_figures(seeds)
    if options.task == "host":
        from benchmarks.latency_host import QUICK_SPACE, host_figures

        few: dict[str, Any] = {"space": QUICK_SPACE, "networks": 40, "unseen": 20} if options.quick else {}
        return host_figures(options.seed, home=options.home, **few)
    from benchmarks.latency_prior import prior_figures

    return prior_figures(seeds)


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import print_found
    from benchmarks.published_latencies import PROTOCOLS

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("task", choices=("few-shot", "scaling", *DATA, "coverage"))
    parser.add_argument("--space", choices=tuple(PROTOCOLS), default="fbnet")
    parser.add_argument("--hard", action="store_true", help="few-shot: no source device is like the targets")
    parser.add_argument("--target", help="devices, joined by commas")
    parser.add_argument("--sources", help="devices, joined by commas")
    parser.add_argument("--device", help="phones: kernels (joined by commas), cpu-networks (one)")
    parser.add_argument("--config", help="cpu-networks: cores, for instance 1large")
    parser.add_argument("--home", type=Path, help="host: folder of the timings, to go on where a run was cut")
    parser.add_argument("--counts", help="scaling: numbers of measurements, from 3 on, joined by commas")
    parser.add_argument("--table", type=Path, action="append", default=[], help="tables to read instead; repeatable")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--quick", action="store_true", help="two seeds, in about a minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    options = parser.parse_args()
    if options.task in OWN and (options.table or options.target or options.sources):
        parser.error(f"{options.task} takes no --table, --target and --sources: its data are its own")
    if (options.device and options.task not in ("kernels", "cpu-networks")) or (
        options.config and options.task != "cpu-networks"
    ):
        parser.error("--device is of kernels and cpu-networks, --config of cpu-networks")
    if options.counts and options.task != "scaling":
        parser.error("--counts is of scaling")
    if options.counts and not all(count.isdigit() and int(count) >= 3 for count in options.counts.split(",")):
        parser.error(f"--counts are whole numbers from 3 on, joined by commas, not {options.counts}")
    if options.home and options.task != "host":
        parser.error("--home is of host")
    if options.task in ("tables", "ofa") and (options.table or options.sources):
        parser.error(f"{options.task} takes no --table and --sources; say what is judged with --target")
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, not {options.seeds}")
    print_found(measure(options), as_json=options.json)


if __name__ == "__main__":
    main()
