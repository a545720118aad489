"""Published files of a graphics processor that does not exist, in the publication's own format."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from natdeploy.latency.kernels.published_fit import gate_copies

#: What a whole network takes beside its kernels.
SCALE, CONSTANT_MS = 1.1, 1.5
#: What a network takes on a processor's core, in times of its kernels on the graphics processor.
CORE = 5.0
FAMILIES = ("anet", "bnet", "cnet", "dnet", "enet", "fnet")


def kernel_ms(what: Mapping[str, Any]) -> float:
    """A launch, multiply-adds and values moved."""

    def number(name: str) -> float:
        value = what["feature"].get(name, "-")
        return 1.0 if value == "-" else float(value)

    vector = what["operation"] in ("MEAN", "FULLY_CONNECTED")
    depthwise = what["operation"] == "DEPTHWISE_CONV_2D"
    in_c, out_c = number("input_channel"), number("input_channel" if depthwise else "filter")
    pixels = 1.0 if vector else number("output_shape") ** 2
    deep = 1.0 if depthwise else in_c / number("group")
    macs = 0.0 if what["operation"] in ("MEAN", "CONCATENATION") else pixels * out_c * deep * number("kernel") ** 2
    moved = number("input_shape") ** 2 * in_c + pixels * out_c
    return float(0.01 + 5e-9 * macs + 2e-7 * moved)


def network(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Operators of a mobile network: a stem, blocks, every other one with a gate, a concatenation and a classifier."""
    width, size = int(rng.integers(1, 5)) * 8, int(rng.choice([24, 32, 48, 64]))
    found: list[tuple[str, str, dict[str, Any]]] = []

    def convolution(out_c: int, kernel: int, called: str = "convolution_2d_1_linked_:_relu_2") -> None:
        nonlocal width
        shape = {"Input_shape": size, "Input_channel": width, "Output_shape": size, "Filter": out_c}
        found.append(("CONV_2D", called, {**shape, "Kernel": kernel, "Stride": 1, "Group": 1}))
        width = out_c

    convolution(width, 3)
    for block in range(int(rng.integers(3, 7))):
        narrow = width
        convolution(int(rng.integers(2, 7)) * narrow, 1)
        shape = {"Input_shape": size + 2, "Input_channel": width, "Output_shape": size, "Filter": 1}
        called = "depthwise_convolution_3_linked_:_hard_swish_4"
        found.append(("DEPTHWISE_CONV_2D", called, {**shape, "Kernel": 3, "Stride": 1, "Group": 1}))
        if block % 2:
            wide, across = width, size
            found.append(("MEAN", "mean_5", {"Input_shape": size, "Input_channel": width, "Output_shape": width}))
            size = 1
            convolution(wide // 4, 1, "fully_connected_6_linked_:_relu_7")
            convolution(wide, 1, "fully_connected_8_linked_:_relu_9_linked_:_mul_10")
            size = across
        convolution(int(rng.integers(1, 9)) * 8, 1, "convolution_2d_11_linked_:_add_12")
        size = max(size // int(rng.integers(1, 3)), 4)
    joined = {"Input_shape": size, "Input_channel": width, "Output_shape": size, "Kernel": 2, "Filter": 2 * width}
    found.append(("CONCATENATION", "concat_13", joined))
    found.append(("MEAN", "mean_14", {"Input_shape": size, "Input_channel": width, "Output_shape": width}))
    found.append(
        ("FULLY_CONNECTED", "fully_connected_15", {"Input_channel": width, "Filter": int(rng.integers(10, 999))})
    )
    return [{"operation": name, "kernel": called, "feature": feature} for name, called, feature in found]


def described(operators: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As natdeploy reads them: fields in lower case."""
    return [
        {**one, "op_index": index, "feature": {name.lower(): value for name, value in one["feature"].items()}}
        for index, one in enumerate(operators)
    ]


def write_files(folder: Path, *, networks: int = 36, gates: bool = False, seed: int = 0) -> tuple[Path, Path]:
    """Operators and whole networks of device ``made-up``, these on a core as well.

    With ``gates`` multiplications take as long as copies.
    """
    rng = np.random.default_rng(seed)
    operators, models = folder / "tflite_gpu_operators.csv", folder / "tflite_models.csv"
    with operators.open("w", newline="") as ops, models.open("w", newline="") as wholes:
        one, two = csv.writer(ops), csv.writer(wholes)
        one.writerow(["model", "operation", "feature", "made-up|gpu|float", "made-up|gpu|kernel"])
        two.writerow(
            ["model", "FLOPS", "size", "made-up|gpu|float|mean", "made-up|gpu|float|std", "made-up|1large|float|mean"]
        )
        for index in range(networks):
            name, listed = f"{FAMILIES[index % len(FAMILIES)]}_w{index}", network(rng)
            kernels = described(listed)
            for what, kernel in zip(listed, kernels):
                us = 1e3 * kernel_ms(kernel) * np.exp(0.01 * rng.standard_normal())
                one.writerow(
                    [name, what["operation"], repr({k: str(v) for k, v in what["feature"].items()}), us, what["kernel"]]
                )
            total_ms = sum(map(kernel_ms, kernels)) + gates * sum(map(kernel_ms, gate_copies(kernels)))
            two.writerow([name, 1000, 2000, 1e3 * (SCALE * total_ms + CONSTANT_MS), 1.0, 1e3 * CORE * total_ms])
    return operators, models
