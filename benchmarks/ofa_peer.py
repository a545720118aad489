"""Once-for-All's own network code, run for :mod:`benchmarks.ofa_equivalence` in an environment of its own.

    python benchmarks/ofa_peer.py FOLDER

Reads ``FOLDER/request.json``, writes ``FOLDER/state.pt`` (a random supernet under OFA's names) and
``FOLDER/answers.npz``. Knows nothing of natdeploy. OFA imports torchvision for its data loaders only: a stand-in
without content takes its place.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


class _Empty(types.ModuleType):
    """A module whose every attribute is an empty class."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class _StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds torchvision and everything in it."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """A spec for torchvision's modules."""
        if fullname.split(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        """An empty module."""
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to run."""


def images(seed: int, subnet: int, use: int, count: int, resolution: int) -> torch.Tensor:
    """Random images ``[count, 3, r, r]``, the same wherever they are drawn."""
    rng = np.random.default_rng([seed, subnet, use])
    return torch.from_numpy(rng.standard_normal((count, 3, resolution, resolution), dtype=np.float32))


@torch.no_grad()
def shake(network: nn.Module) -> None:
    """Move what starts at zeros, ones and identities, so that a tensor in the wrong place shows."""
    for name, parameter in network.named_parameters():
        if "matrix" in name:
            parameter.add_(torch.randn_like(parameter) * 0.1)
        elif "bn" in name:
            parameter.add_(torch.rand_like(parameter) - 0.5)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            module.weight.normal_(std=(2 / fan_in) ** 0.5)
        elif isinstance(module, nn.Linear):
            module.weight.normal_(std=module.in_features**-0.5)


def macs_of(network: nn.Module, batch: torch.Tensor) -> int:
    """Multiply-accumulates of convolutions and linear layers for one image."""
    total = 0

    def count(module: Any, _: Any, output: torch.Tensor) -> None:
        nonlocal total
        total += module.weight.numel() * (output.shape[2] * output.shape[3] if output.ndim == 4 else 1)

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    network(batch)
    for hook in hooks:
        hook.remove()
    return total


def main(folder: Path) -> None:
    """Answer the request."""
    sys.meta_path.insert(0, _StandIn())
    from ofa.imagenet_classification.elastic_nn.networks import OFAMobileNetV3
    from ofa.imagenet_classification.elastic_nn.utils import set_running_statistics

    request = json.loads((folder / "request.json").read_text())
    seed = request["seed"]
    torch.manual_seed(seed)
    supernet = OFAMobileNetV3(
        width_mult=1.0, ks_list=[3, 5, 7], expand_ratio_list=[3, 4, 6], depth_list=[2, 3, 4], dropout_rate=0
    )
    shake(supernet)
    torch.save({"state_dict": supernet.state_dict()}, folder / "state.pt")
    answers: dict[str, list[Any]] = {"before": [], "after": [], "params": [], "macs": []}
    with torch.no_grad():
        for index, subnet in enumerate(request["subnets"]):
            supernet.set_active_subnet(ks=subnet["ks"], e=subnet["e"], d=subnet["d"])
            network = supernet.get_active_subnet(preserve_weight=True).eval()
            batch = images(seed, index, 0, request["images"], subnet["r"])
            answers["before"].append(network(batch).numpy())
            calibration = [images(seed, index, 1 + use, 3 + use, subnet["r"]) for use in range(2)]
            set_running_statistics(network, [(some, None) for some in calibration])
            answers["after"].append(network(batch).numpy())
            answers["params"].append(sum(parameter.numel() for parameter in network.parameters()))
            answers["macs"].append(macs_of(network, batch[:1]))
            print(f"ofa: subnet {index + 1}/{len(request['subnets'])}", file=sys.stderr, flush=True)
    np.savez(folder / "answers.npz", **{name: np.asarray(values) for name, values in answers.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
