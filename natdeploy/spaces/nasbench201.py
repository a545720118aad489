"""NAS-Bench-201 (Dong and Yang, 2020): cells of four nodes and six edges, on 32 x 32 images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.layer import Layer
from natdeploy.spaces.mobilenetv3_layers import NetworkBuilder
from natdeploy.spaces.operators import OperatorSpace

#: From and to node of each edge, in the order of the official strings.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OPERATORS = ("none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")
ABSENT = OPERATORS.index("none")
#: Channels of the three stages of cells, and cells in each; a residual block with stride 2 stands between two stages.
STAGE_C = (16, 32, 64)
STAGE_CELLS = 5


class NASBench201(OperatorSpace):
    """The cells; places are :data:`EDGES`."""

    def from_text(self, text: str) -> Arch:
        """Architecture of an official string, ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
        found = re.fullmatch(r"\|(\w+)~0\|\+\|(\w+)~0\|(\w+)~1\|\+\|(\w+)~0\|(\w+)~1\|(\w+)~2\|", text)
        if found is None:
            raise BadInput(f"space {self.name}: {text!r} is not a cell like |op~0|+|op~0|op~1|+|op~0|op~1|op~2|")
        return self.arch(found.groups())

    def live(self, genome: np.ndarray) -> np.ndarray:
        """Which edges lie on a path from the cell's input to its output, bool ``[6]``: compilers drop the others."""
        fed, used = {0}, {3}
        for (start, end), gene in zip(EDGES, genome):  # edges are sorted by the node they enter
            if gene != ABSENT and start in fed:
                fed.add(end)
        for (start, end), gene in sorted(zip(EDGES, genome), key=lambda item: -item[0][0]):
            if gene != ABSENT and end in used:
                used.add(start)
        kept = [start in fed and end in used and gene != ABSENT for (start, end), gene in zip(EDGES, genome)]
        return np.array(kept)

    def layers(self, arch: Arch, num_classes: int | None = None) -> tuple[Layer, ...]:
        """The network as the benchmark trained it: every edge of every cell, also those that lead nowhere."""
        self.check(arch)
        net = NetworkBuilder(c=3, h=self.resolution, w=self.resolution)
        net.conv("stem", STAGE_C[0], kernel=3)
        for out_c in STAGE_C:
            if out_c != net.c:
                _residual_block(net, out_c)
            for _ in range(STAGE_CELLS):
                _cell(net, arch.ops)
        net.index = -1
        net.relu("lastact", batch_norm=True)
        net.pool("global_pool")
        net.linear("classifier", self.num_classes if num_classes is None else num_classes)
        return tuple(net.layers)

    def costs(self, arch: Arch) -> np.ndarray:
        """Count of each operator but the absent one."""
        return np.bincount(self.encode(arch), minlength=len(OPERATORS))[1:].astype(np.float64)

    def factored(self, arch: Arch) -> np.ndarray:
        """Count of each operator; of each on a path; whether there is a path; operator of each edge on a path."""
        genome = self.encode(arch)
        live = self.live(genome)
        raw = np.eye(len(OPERATORS))[genome]
        kept = raw * live[:, None]
        return np.concatenate([raw.sum(0), kept.sum(0), [float(live.any())], kept.reshape(-1)])


def _cell(net: NetworkBuilder, ops: Sequence[str]) -> None:
    """Nodes 1 to 3: each the sum of its edges; node 0 is the cell's input, node 3 its output."""
    path = _next_block(net)
    nodes = [net.last]
    for node in (1, 2, 3):
        ends = []
        for (start, end), op in zip(EDGES, ops):
            if end == node:
                net.last = nodes[start]
                _edge(net, f"{path}.{end}_from_{start}", op)
                ends.append(net.last)
        if len(ends) > 1:
            net.join(f"{path}.node{node}", "add", tuple(ends))
        nodes.append(net.last)


def _edge(net: NetworkBuilder, path: str, op: str) -> None:
    if op == "none":
        net.join(path, "zero", (net.last,))
    elif op == "avg_pool_3x3":
        net.avg_pool(path, kernel=3)
    elif op != "skip_connect":
        net.relu(f"{path}.relu")
        net.conv(f"{path}.conv", net.c, kernel=int(op[-1]))


def _residual_block(net: NetworkBuilder, out_c: int) -> None:
    path = _next_block(net)
    entry, in_c, size = net.last, net.c, net.h
    net.relu(f"{path}.a.relu")
    net.conv(f"{path}.a.conv", out_c, kernel=3, stride=2)
    net.relu(f"{path}.b.relu")
    net.conv(f"{path}.b.conv", out_c, kernel=3)
    main = net.last
    net.last, net.c, net.h, net.w = entry, in_c, size, size
    net.avg_pool(f"{path}.shortcut.pool", kernel=2, stride=2)
    net.conv(f"{path}.shortcut.conv", out_c, batch_norm=False)
    net.join(f"{path}.add", "add", (main, net.last))


def _next_block(net: NetworkBuilder) -> str:
    net.index, net.next_block = net.next_block, net.next_block + 1
    return f"cells.{net.index}"


@lru_cache(maxsize=1)
def nasbench201() -> NASBench201:
    """``nasbench201``: 15,625 cells on CIFAR-sized images."""
    return NASBench201("nasbench201", OPERATORS, places=len(EDGES), resolution=32, num_classes=10)
