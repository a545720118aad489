"""Latencies that papers published, and how their protocols split them.

Read from ``../shared/data/latency`` beside the checkout, the tidied tables of HELP (Lee et al. 2021) and OneProxy (Lu
et al. 2022), or from other files with the same columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from natdeploy.spaces import Arch, get_space

TABLES = Path(__file__).resolve().parents[2] / "shared" / "data" / "latency"
#: OneProxy's, of the NAS-Bench-201 space.
ONEPROXY = TABLES / "oneproxy_nb201.csv.gz"
#: Kinds of devices that have next to nothing in common: sources of one kind, targets of the other.
GPUS = ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp", "v100")
EDGE = ("essential_ph", "pixel2", "pixel3", "samsung_a50", "samsung_s7", "raspi4", "fpga", "eyeriss")
#: Devices of one family: none of them is a source where another is the target.
FAMILIES = ("adreno",)


@dataclass(frozen=True)
class Protocol:
    """How a published table is split, and the devices of the default run."""

    file: str
    text: str
    first_part: int
    targets: tuple[str, ...]
    sources: tuple[str, ...]


PROTOCOLS = {
    "fbnet": Protocol(
        "help_fbnet.csv.gz",
        "ops",
        4000,
        ("raspi4_1", "eyeriss_1"),
        ("titanx_1", "titanx_32", "titanx_64", "silver_4210r_1", "pixel3_1", "essential_ph_1"),
    ),
    "nasbench201": Protocol(
        "help_nb201.csv.gz",
        "arch_str",
        900,
        ("titan_rtx_256", "gold_6226_1", "pixel2_1", "raspi4_1", "eyeriss_1"),
        ("titanx_1", "titanx_32", "titanx_256", "silver_4210r_1", "pixel3_1", "essential_ph_1"),
    ),
}


@dataclass(frozen=True)
class Table:
    """Latencies in ms: a row per architecture (``arch_id`` ascending), a column per device."""

    ids: np.ndarray
    archs: list[Arch]
    latency_ms: pd.DataFrame

    def of(self, device: str, rows: np.ndarray) -> dict[Arch, float]:
        """Measurements of a device among the rows (a mask)."""
        if device not in self.latency_ms:
            raise SystemExit(f"latency: no device {device!r} in the table; it has {', '.join(self.latency_ms)}")
        values = self.latency_ms[device].to_numpy()
        return {self.archs[row]: float(values[row]) for row in np.flatnonzero(rows & np.isfinite(values))}


def read_table(files: Sequence[Path], space: str, text: str) -> Table:
    """Read tidied tables together; a device is its name, with the batch where there is one."""
    rows = pd.concat([pd.read_csv(file) for file in files])
    if "valid" in rows:
        rows = rows[rows["valid"] != 0]  # a table without that column has none in its rows
    if "batch" in rows:
        rows["device"] = rows["device"] + "_" + rows["batch"].astype(str)
    rows = rows.drop_duplicates(["arch_id", "device"])
    latency_ms = rows.pivot(index="arch_id", columns="device", values="latency_ms").sort_index()
    texts = rows.drop_duplicates("arch_id").set_index("arch_id")[text].reindex(latency_ms.index)
    archs = [get_space(space).from_text(value) for value in texts]
    return Table(latency_ms.index.to_numpy(), archs, latency_ms)
