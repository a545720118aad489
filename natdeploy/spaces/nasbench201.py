"""NAS-Bench-201 (Dong and Yang, 2020): cells of four nodes and six edges, on 32 x 32 images."""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.spaces.arch import Arch
from natdeploy.spaces.operators import OperatorSpace

#: From and to node of each edge, in the order of the official strings.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
OPERATORS = ("none", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "nor_conv_3x3")
ABSENT = OPERATORS.index("none")


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


@lru_cache(maxsize=1)
def nasbench201() -> NASBench201:
    """``nasbench201``: 15,625 cells on CIFAR-sized images."""
    return NASBench201("nasbench201", OPERATORS, places=len(EDGES), resolution=32, num_classes=10)
