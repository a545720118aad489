"""A finished run made by hand: a supernet without training, and a latency model of timings that were made up."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from natdeploy.data import load_dataset
from natdeploy.devices import HardwareProfile, device_fingerprint
from natdeploy.ground.files import write_json
from natdeploy.latency import LatencyModel, fit_latency_model
from natdeploy.measure import Measurement, MeasurementStore, TimingProtocol, runtime_toolchain
from natdeploy.runs import ArchiveEntry, RunConfig, RunFolder
from natdeploy.runs.folder import write_items
from natdeploy.spaces import Arch, costs
from natdeploy.supernets import build_supernet, save_supernet
from tests.deploy.stand_ins import SPACE, archs, timing

RUNTIME = "tvm"


def small_archs() -> list[Arch]:
    """Three architectures made of few different layers, so that they compile quickly."""
    least = SPACE.smallest()
    deeper = [
        Arch(least.space, (3,) * sum(d), (3,) * sum(d), d, least.r, least.w) for d in ((3, 2, 2, 2, 2), (3, 3, 2, 2, 2))
    ]
    return [least, *deeper]


def made_up_timings(profile: HardwareProfile, ms_per_million_macs: float, count: int = 30) -> list[Measurement]:
    """Timings of random architectures that follow their MACs, with a little noise."""
    rng = np.random.default_rng(7)
    toolchain = runtime_toolchain(RUNTIME, profile)
    timed = [*small_archs(), *archs(count, seed=5)]
    found = []
    for number, arch in enumerate(timed):
        ms = costs(SPACE.layers(arch)).macs / 1e6 * ms_per_million_macs * float(rng.lognormal(0, 0.01))
        found.append(
            replace(
                timing(arch, ms),
                device=profile.name,
                device_fingerprint=device_fingerprint(profile),
                artifact_digest=f"{number:064x}",
                toolchain=toolchain,
                protocol=TimingProtocol().to_json(),
                role="train",
                num_classes=None,
            )
        )
    return found


def make_run(
    path: Path, profile: HardwareProfile, store: MeasurementStore, *, budget_ms: float, speed: float
) -> RunFolder:
    """A run over :func:`small_archs`; ``speed`` is what the latency model believes, in ms per million MACs."""
    torch.manual_seed(0)
    config = RunConfig(latency_ms=budget_ms, runtime=RUNTIME, device=profile.name, threads=1, created="then")
    timings = made_up_timings(profile, speed)
    store.add_all(timings)
    model = fit_latency_model(timings, SPACE)
    run = RunFolder.create(path, config, model.save)
    dataset = load_dataset(config.data, seed=config.seed)
    run.result_path.mkdir()
    supernet = build_supernet(SPACE, len(dataset.classes))
    save_supernet(run.result_path / "supernet.safetensors", supernet, {"made": "for a test"})
    entries = archive(model, budget_ms)
    write_items(run.result_path / "archive.json", entries)
    write_items(run.result_path / "front.json", [entry for entry in entries if entry.feasible])
    write_json(run.result_path / "history.json", [])
    write_json(run.result_path / "summary.json", {"data_fingerprint": dataset.fingerprint})
    return run


def archive(model: LatencyModel, budget_ms: float) -> list[ArchiveEntry]:
    """Entries as the model sees them; the deeper, the better."""
    found = []
    predicted = model.predict(small_archs())
    for number, arch in enumerate(small_archs()):
        cost = costs(SPACE.layers(arch))
        upper_ms = float(predicted.upper_ms[number])
        made = ArchiveEntry(
            arch=arch,
            top1=0.8 + 0.05 * number,
            loss=0.5,
            val_images=260,
            latency_ms=float(predicted.mean_ms[number]),
            latency_lower_ms=float(predicted.lower_ms[number]),
            latency_upper_ms=upper_ms,
            macs=cost.macs,
            params=cost.params,
            peak_activation_bytes=cost.peak_activation_bytes,
            generation=2,
            feasible=upper_ms <= budget_ms,
        )
        found.append(made)
    return found
